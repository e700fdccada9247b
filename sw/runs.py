"""A compiled model on a board: what of it lies in the memories, and runs of images through it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xnorgrid.hw.protocol import Op, Region, Run, StatusReport

from .batch import Batch, batches
from .compile import Program
from .errors import DeviceReset, LoadFailed
from .link import Call, Progress
from .memory_image import MemoryImage, program_image, read_calls, weight_images, zero_words
from .packing import word_bytes
from .session import Session

__all__ = ["REPORT_BYTES", "Loaded", "Streaming"]

REPORT_BYTES = StatusReport.size // 8


@dataclass(frozen=True)
class Streaming:
    """What it took to run a model in segments, since it was loaded; all 0 for one that needs none.

    Seconds are those of the board: wall-clock time, or on a simulated board its cycles at the clock's rate.
    """

    #: Runs of one segment each.
    segments: int = 0
    #: Weights, presets and instructions that were written for them, without frames around them.
    bytes: int = 0
    #: In which the array ran, from the board's own counter.
    array_seconds: float = 0.0
    #: In which it stood still for weights and instructions: from the end of a segment's run to the start of
    #: the next one's, without the transfer of images and results between batches.
    waiting_seconds: float = 0.0


class Loaded:
    """A program on the board behind ``session``.

    A model of one segment is written once, by :meth:`load`. Of more, the first two are, one into each half of
    the memories, and read back by checksum. In a run each segment's instructions are written before its
    start, and the weights of one that is not in its half while the array works on the other half. These
    weights are covered by the CRC-32 of each frame and the board's answer to it, not by a checksum: that
    would need the array to rest for as long as it takes to read them, and faulty memories were found
    when both halves were checked.

    After an exception in a run, halves whose contents are uncertain count as empty and are written again.
    """

    def __init__(self, session: Session, program: Program) -> None:
        self._session = session
        self.program = program
        #: Wall-clock seconds from the start of runs to the report of their end.
        self.array_seconds = 0.0
        self.streaming = Streaming()
        self._weights = [
            [call for image in weight_images(segment) for call in image.writes()]
            for segment in program.segments
        ]
        self._instructions = [list(program_image(segment).writes()) for segment in program.segments]
        #: Segments whose weights are in the lower and upper half, and whose instructions are written.
        self._halves: list[int | None] = [None, None]
        self._ready: int | None = None
        self._tag = 0

    def memory_images(self) -> list[MemoryImage]:
        """What :meth:`load` writes."""
        segments = self.program.segments
        return [
            *zero_words(self.program.config),
            *(image for segment in segments[:2] for image in weight_images(segment)),
            program_image(segments[0]),
        ]

    def load(self, deadline: float, progress: Progress | None) -> None:
        """Write what lies in the memories at first and read it back by checksum."""
        images = self.memory_images()
        writes = [call for image in images for call in image.writes()]
        checks = [check for image in images for check in image.checks()]
        self._session.transfer(writes, deadline, progress)
        answers = self._session.transfer([call for call, _ in checks], deadline, progress)
        for (call, checksum), answer in zip(checks, answers, strict=True):
            if int.from_bytes(answer, "little") != checksum:
                raise LoadFailed(
                    f"{self._session.transport.description}: {call} reads back with checksum "
                    f"{answer[::-1].hex()} instead of {checksum:08x}: a memory of the board is faulty, or "
                    f"another program writes to it; load the model again"
                )
        self._halves = [0, 1 if len(self._weights) > 1 else None]
        self._ready = 0

    def load_calls(self) -> list[Call]:
        """The requests of :meth:`load`: for deadlines."""
        images = self.memory_images()
        checks = [call for image in images for call, _ in image.checks()]
        return [*(call for image in images for call in image.writes()), *checks]

    def run(
        self, values: np.ndarray, layers: Sequence[int], timeout: float | None
    ) -> list[np.ndarray]:
        """Results of ``layers`` (indices) for input ``values`` (N, size): one array (N, …) a layer."""
        program, session = self.program, self._session
        results = [
            np.zeros(
                (len(values), *program.model.shapes[index]),
                np.int32 if program.places[index].scores else np.uint8,
            )
            for index in layers
        ]
        # Hidden results of a resident model are those of the last pass.
        kept = len(program.segments) > 1 or all(program.places[index].scores for index in layers)
        runs = list(batches(len(values), program.config.cols, program.max_passes if kept else 1))
        if not runs:
            return results
        deadline = session.deadline(timeout, self._expected_calls(runs, layers))
        with session.conversation(deadline):
            for batch in runs:
                self._run_batch(values[batch.images], batch, deadline, last=batch is runs[-1])
                for result, index in zip(results, layers, strict=True):
                    words = self._read_results(index, batch, deadline)
                    result[batch.images] = program.decode_layer(index, words)
        return results

    def _run_batch(self, values: np.ndarray, batch: Batch, deadline: float, *, last: bool) -> None:
        """Write the images of a batch and run all segments on them."""
        # A request or reply of an earlier run, come late or repeated, would be as good as one of this.
        self._session.renew(deadline)
        self._session.transfer(self._image_calls(values, batch), deadline)
        for number in range(len(self.program.segments)):
            self._start(number, batch, deadline)
            self._await_end(deadline)

    def _image_calls(self, values: np.ndarray, batch: Batch) -> list[Call]:
        program = self.program
        packed = program.pack_images(values)
        together = program.input_stride == program.input_words
        calls: list[Call] = []
        for column in range(batch.columns):
            words = packed[column :: batch.columns]
            for k, part in enumerate([words] if together else words):
                address = program.input_base + k * program.input_stride
                calls += MemoryImage(Region.ACTIVATIONS, column, address, part).writes()
        return calls

    def _start(self, number: int, batch: Batch, deadline: float) -> None:
        self._tag = (self._tag + 1) % (1 << 16)
        run = Run.const(
            {
                "tag": self._tag,
                "passes": batch.passes - 1,
                "columns": batch.columns - 1,
                "input_stride": self.program.input_stride,
                "output_stride": self.program.output_stride,
            }
        )
        start = Call(Op.RUN, data=run.as_bits().to_bytes(Run.size // 8, "little"))
        self._started = time.perf_counter()
        self._session.request([start], deadline)

    def _await_end(self, deadline: float) -> None:
        done = False
        while not done:
            report = self._session.report(deadline)
            done = bool(report.done)
            if report.tag != self._tag or not (done or report.running):
                raise DeviceReset(
                    f"{self._session.transport.description}: the run was stopped, so another program uses "
                    f"the board; make sure of that and load the model again"
                )
        self.array_seconds += time.perf_counter() - self._started

    def _read_results(self, index: int, batch: Batch, deadline: float) -> np.ndarray:
        """Output words of layer ``index`` for each image of a batch: (images, words, bytes) uint8."""
        program = self.program
        place, bytes_of_word = program.places[index], word_bytes(program.config.lanes)
        words = place.result.size
        together = batch.passes == 1 or program.output_stride == words
        calls: list[Call] = []
        for column in range(batch.columns):
            for k in range(1 if together else batch.passes):
                address = place.result_base + k * program.output_stride
                count = batch.passes * words if together else words
                calls += read_calls(Region.ACTIVATIONS, column, address, count, bytes_of_word)
        answer = np.frombuffer(b"".join(self._session.transfer(calls, deadline)), np.uint8)
        by_column = answer.reshape(batch.columns, batch.passes, words, bytes_of_word)
        return by_column.transpose(1, 0, 2, 3).reshape(-1, words, bytes_of_word)

    def _expected_calls(self, runs: list[Batch], layers: Sequence[int]) -> list[Call]:
        """Requests that cost as much time as ``runs``: for deadlines only."""
        program, config = self.program, self.program.config
        words = program.input_words + sum(program.places[k].result.size for k in layers)
        # The sequencer knows how long the array rests between layers; that is longer.
        turnaround = 2 * config.rows + config.cols + 100
        frames = 6 + len(layers) * config.cols
        calls = []
        for batch in runs:
            calls.append(Call(Op.RUN, cycles=program.cycles(batch.passes, turnaround)))
            payload = batch.passes * words * word_bytes(config.lanes)
            calls += [Call(Op.READ, reply_bytes=payload)] * batch.columns
            calls += [Call(Op.STATUS, reply_bytes=REPORT_BYTES)] * frames
        return calls
