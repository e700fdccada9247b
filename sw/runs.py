"""Runs of images through a loaded model."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from xnorgrid.hw.protocol import Op, Region, Run, StatusReport

from .batch import Batch, batches
from .errors import DeviceReset
from .link import Call
from .loaded import Loaded, Streaming
from .memory_image import MemoryImage, read_calls
from .packing import word_bytes
from .session import Session

__all__ = ["REPORT_BYTES", "Runs"]

REPORT_BYTES = StatusReport.size // 8


class Runs:
    """Runs batches of images through the model that is ``loaded`` on the board behind ``session``.

    All of a batch goes through each segment before the next. While the array runs one segment, the weights of
    the next are written into the other half of the memories, unless these have only one port; its
    instructions are when the array rests.
    """

    def __init__(self, session: Session, loaded: Loaded) -> None:
        self._session = session
        self.loaded = loaded
        self.program = loaded.program
        #: Wall-clock seconds from the start of runs to the report of their end.
        self.array_seconds = 0.0
        self._tag = 0

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
        kept = self._segmented or all(program.places[index].scores for index in layers)
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
        """Write the images of a batch and run all segments on them; ``last`` if no other batch follows."""
        session, loaded = self._session, self.loaded
        busy = session.report(deadline).busy_cycles if self._segmented else 0
        # A request or reply of an earlier run, come late or repeated, would be as good as one of this.
        session.renew(deadline)
        resting_since = self._now()
        loaded.write_weights(0, deadline)
        loaded.write_instructions(0, deadline)
        waited = self._now() - resting_since
        session.transfer(self._image_calls(values, batch), deadline)
        ended = self._now()
        for number in range(len(self.program.segments)):
            if number:
                session.renew(deadline)
                loaded.write_weights(number, deadline)
                loaded.write_instructions(number, deadline)
            wall_clock = time.perf_counter()
            started = self._start(number, batch, deadline)
            if number:
                waited += max(0.0, started - ended)
            following = loaded.next_to_write(number, last=last)
            # Weight memories of one port are busy; the next weights are written before they are needed.
            if following is not None and self.program.config.weight_ports > 1:
                loaded.write_weights(following, deadline)
            cycles = self._await_end(deadline) - busy
            self.array_seconds += time.perf_counter() - wall_clock
            busy += cycles
            # Nobody saw the run end while weights were written; the board counts its cycles.
            seconds = cycles / self.program.config.clock_hz
            ended = started + seconds
            if self._segmented:
                loaded.streaming += Streaming(
                    segments=1, array_seconds=seconds, waiting_seconds=waited
                )
                waited = 0.0

    @property
    def _segmented(self) -> bool:
        return len(self.program.segments) > 1

    def _now(self) -> float:
        """Seconds of the board's time: a simulated board has its own."""
        cycles = getattr(self._session.transport, "cycles", None)
        return time.perf_counter() if cycles is None else cycles / self.program.config.clock_hz

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

    def _start(self, number: int, batch: Batch, deadline: float) -> float:
        """Start a run of segment ``number``; return when that was, in :meth:`_now`'s time."""
        self._tag = (self._tag + 1) % (1 << 16)
        run = Run.const(
            {
                "passes": batch.passes - 1,
                "input_stride": self.program.input_stride,
                "output_stride": self.program.output_stride,
                "lanes": self.program.segments[number].lanes * batch.columns,
            }
        )
        start = Call(
            Op.RUN, address=self._tag, data=run.as_bits().to_bytes(Run.size // 8, "little")
        )
        self._session.request([start], deadline)
        return self._now()

    def _await_end(self, deadline: float) -> int:
        """Wait for the end of the run; return the board's busy cycles so far."""
        done = False
        while not done:
            report = self._session.report(deadline)
            done = bool(report.done)
            if report.tag != self._tag or not (done or report.running):
                raise DeviceReset(
                    f"{self._session.transport.description}: the run was stopped, so another program uses "
                    f"the board; make sure of that and load the model again"
                )
        return int(report.busy_cycles)

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
        calls = self.loaded.stream_calls(len(runs))
        for batch in runs:
            calls.append(Call(Op.RUN, cycles=program.cycles(batch.passes, turnaround)))
            payload = batch.passes * words * word_bytes(config.lanes)
            calls += [Call(Op.READ, reply_bytes=payload)] * batch.columns
            if self._segmented:
                # Each pass has frames of its own.
                frames = 6 * len(program.segments) + (1 + len(layers)) * batch.passes * config.cols
            calls += [Call(Op.STATUS, reply_bytes=REPORT_BYTES)] * frames
        return calls
