"""The board as an object: load a model, run images, read the counters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import Op, Region, Run, StatusReport

from .batch import Batch, batches
from .compile import Program
from .compile import compile as compile_model
from .errors import DeviceReset, LoadFailed, NotLoaded
from .identity import BoardIdentity
from .images import input_values
from .link import Call, Progress
from .memory_image import MemoryImage, memory_images, read_calls
from .model import Model
from .packing import word_bytes
from .session import Session
from .transport import Transport

__all__ = ["Board", "Counters"]

_REPORT_BYTES = StatusReport.size // 8


@dataclass(frozen=True)
class Counters:
    """What the board counted since the last load or reset."""

    #: Cycles from the first to the last of each run.
    busy_cycles: int
    #: Of these, cycles in which no processing element started a beat.
    stalled_cycles: int
    #: XNORs that contributed to a result.
    useful_lanes: int
    #: Frames that arrived damaged, and bytes that were lost.
    bad_frames: int
    lost_bytes: int

    def utilisation(self, config: ArrayConfig) -> float:
        """Useful lane-operations as a fraction of lanes times busy cycles; 0.0 before the first run."""
        return self.useful_lanes / max(1, config.lane_count * self.busy_cycles)


class Board:
    """A board, real or simulated, that runs binary networks.

    Use it in a ``with`` statement, or call :meth:`close`. Every method that talks to the board takes
    ``timeout`` in seconds; without one it allows several times what the call takes on a good line. All
    raise a :class:`~xnorgrid.errors.BoardError` when the board cannot do what is asked. After any
    exception the same object can be used again: the next call stops what may still be running, on a new
    connection if the old one was lost. :meth:`load` always works then, and :meth:`run` does if the board
    still holds the model; else it raises :class:`~xnorgrid.errors.DeviceReset` once, and then
    :class:`~xnorgrid.errors.NotLoaded`.

    Not for use by two threads at once.

    Parameters
    ----------
    transport : Transport
        The byte pipe to the board. Closed with the board.
    config : ArrayConfig
        Its clock and baud rate are assumed until the board has told its own.
    reopen : callable
        Returns a new transport when the old one was lost. Without one, a lost board stays lost.
    timeout : float
        Seconds for the handshake.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        config: ArrayConfig,
        reopen: Callable[[], Transport] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._program: Program | None = None
        #: The session's losses when the program was loaded; more since then, and it may be gone.
        self._losses = 0
        self._tag = 0
        #: Wall-clock seconds from the start of runs to the report of their end, since the last load.
        self.array_seconds = 0.0
        self._session = Session(transport, config, reopen, timeout)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port or the simulator. May be called twice."""
        self._program = None
        self._session.close()

    @property
    def transport(self) -> Transport:
        """The byte pipe in use."""
        return self._session.transport

    @property
    def description(self) -> str:
        """What a person would call the board."""
        return self.transport.description

    @property
    def identity(self) -> BoardIdentity:
        """Who the board said it is."""
        return self._session.identity

    @property
    def config(self) -> ArrayConfig:
        """The array on the board."""
        return self.identity.config

    @property
    def program(self) -> Program | None:
        """The loaded model as it was compiled for this board, if any."""
        return self._program

    @property
    def counters(self) -> Counters:
        """What the board counted since the last load or reset."""
        deadline = self._session.deadline(None, [Call(Op.STATUS, reply_bytes=_REPORT_BYTES)])
        with self._session.conversation(deadline):
            report = self._session.report(deadline)
        return Counters(**{name: int(report[name]) for name in Counters.__dataclass_fields__})

    def load(
        self,
        model: Model,
        *,
        keep_layers: bool = False,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Program:
        """Compile ``model`` for this board, write it and read it back by checksum.

        ``keep_layers`` lets :meth:`layers` read every layer's results. ``progress`` is called with the number
        of requests done and of all. Stops a run and clears the
        counters. Raises :class:`~xnorgrid.compile.ModelDoesNotFit`, leaving what was loaded before as it
        was; after any other exception nothing is loaded.
        """
        self._session.require_open()
        program = compile_model(model, self.config, keep_layers=keep_layers)
        images = memory_images(program)
        writes = [call for image in images for call in image.writes()]
        checks, checksums = zip(
            *(check for image in images for check in image.checks()), strict=True
        )
        self._program = None
        self.array_seconds = 0.0
        deadline = self._session.deadline(timeout, [*writes, *checks])
        with self._session.conversation(deadline, fresh=True):
            self._session.request(writes, deadline, progress)
            answers = self._session.request(checks, deadline, progress)
            for call, checksum, answer in zip(checks, checksums, answers, strict=True):
                if int.from_bytes(answer, "little") != checksum:
                    raise LoadFailed(
                        f"{self.description}: {call} reads back with checksum {answer[::-1].hex()} "
                        f"instead of {checksum:08x}: a memory of the board is faulty, or another program "
                        f"writes to it; load the model again"
                    )
        self._program = program
        self._losses = self._session.losses
        return program

    def run(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Return the scores of ``images``, any number of them: (N, classes) int32.

        For what images must look like, and the :class:`~xnorgrid.images.ImageError` if they do not, see
        :func:`~xnorgrid.images.input_values`. Raises :class:`~xnorgrid.errors.NotLoaded` without a model.
        """
        program = self._require_program()
        bits = input_values(program.model, images)
        last = len(program.places) - 1
        return self._run(program, bits, program.max_passes, [last], timeout)[0]

    def predict(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Return the class with the highest score for each image (the first of equals): (N,) int64."""
        return np.argmax(self.run(images, timeout=timeout), axis=1)

    def layers(self, images: ArrayLike, *, timeout: float | None = None) -> dict[str, np.ndarray]:
        """Return every layer's results for ``images`` by the layer's name, first layer first.

        Bits (N, out) uint8, inversion undone; for the last layer scores (N, classes) int32. Raises
        :class:`~xnorgrid.errors.NotLoaded` unless the model was loaded with ``keep_layers=True``.
        """
        program = self._require_program()
        if not program.keeps_layers:
            raise NotLoaded(
                "the model was loaded without its layers' results: load it with keep_layers=True"
            )
        bits = input_values(program.model, images)
        names = [place.layer.name for place in program.places]
        results = self._run(program, bits, 1, range(len(names)), timeout)
        return dict(zip(names, results, strict=True))

    def reset(self, *, timeout: float | None = None) -> None:
        """Stop a run and clear the counters. The model stays loaded if the board still holds it."""
        deadline = self._session.deadline(timeout, [])
        with self._session.conversation(deadline):
            self._session.restart(deadline)

    def _require_program(self) -> Program:
        self._session.require_open()
        if self._program is None or self._session.losses != self._losses:
            raise NotLoaded("no model is loaded on the board: load one with board.load(model)")
        return self._program

    def _run(self, program, bits, max_passes, layers, timeout) -> list[np.ndarray]:
        """Results of ``layers`` (indices) for input ``bits`` (N, fan-in), one array (N, out) a layer."""
        results = [
            np.zeros(
                (len(bits), len(layer.weights)), np.int32 if layer.thresholds is None else np.uint8
            )
            for layer in (program.places[index].layer for index in layers)
        ]
        runs = list(batches(len(bits), program.config.cols, max_passes))
        if not runs:
            return results
        deadline = self._session.deadline(timeout, self._expected_calls(program, runs, layers))
        with self._session.conversation(deadline):
            for batch in runs:
                self._run_batch(program, bits[batch.images], batch, deadline)
                for result, index in zip(results, layers, strict=True):
                    words = self._read_results(program, index, batch, deadline)
                    result[batch.images] = program.decode_layer(index, words)
        return results

    def _run_batch(self, program: Program, bits: np.ndarray, batch: Batch, deadline: float) -> None:
        """Write the images of one run, start it and wait for its end."""
        # A request or reply of an earlier run, come late or repeated, would be as good as one of this.
        self._session.renew(deadline)
        packed = program.pack_images(bits)
        writes = [
            call
            for column in range(batch.columns)
            for call in MemoryImage(
                Region.ACTIVATIONS, column, program.input_base, packed[column :: batch.columns]
            ).writes()
        ]
        self._session.request(writes, deadline)
        self._tag = (self._tag + 1) % (1 << 16)
        run = Run.const(
            {
                "tag": self._tag,
                "passes": batch.passes - 1,
                "columns": batch.columns - 1,
                "input_stride": program.input_words,
                "output_stride": program.output_words,
            }
        )
        start = Call(Op.RUN, data=run.as_bits().to_bytes(Run.size // 8, "little"))
        started = time.perf_counter()
        self._session.request([start], deadline)
        done = False
        while not done:
            report = self._session.report(deadline)
            done = bool(report.done)
            if report.tag != self._tag or not (done or report.running):
                raise DeviceReset(
                    f"{self.description}: the run was stopped, so another program uses the board; make sure "
                    f"of that and load the model again"
                )
        self.array_seconds += time.perf_counter() - started

    def _read_results(
        self, program: Program, index: int, batch: Batch, deadline: float
    ) -> np.ndarray:
        """Output words of layer ``index`` for each image of a batch: (images, words, bytes) uint8."""
        place = program.places[index]
        size = word_bytes(program.config.lanes)
        calls = [
            call
            for column in range(batch.columns)
            for call in read_calls(
                Region.ACTIVATIONS,
                column,
                place.output_base,
                batch.passes * place.output_words,
                size,
            )
        ]
        answer = np.frombuffer(b"".join(self._session.request(calls, deadline)), np.uint8)
        by_column = answer.reshape(batch.columns, batch.passes, place.output_words, size)
        return by_column.transpose(1, 0, 2, 3).reshape(-1, place.output_words, size)

    @staticmethod
    def _expected_calls(program: Program, runs: list[Batch], layers) -> list[Call]:
        """Requests that cost as much time as running ``runs``: for deadlines only."""
        config = program.config
        words = program.input_words + sum(program.places[index].output_words for index in layers)
        # The sequencer knows how long the array rests between layers; that is longer.
        turnaround = 2 * config.rows + config.cols + 100
        calls = []
        for batch in runs:
            calls.append(Call(Op.RUN, cycles=program.cycles(batch.passes, turnaround)))
            payload = batch.passes * words * word_bytes(config.lanes)
            calls += [Call(Op.READ, reply_bytes=payload)] * batch.columns
            calls += [Call(Op.STATUS, reply_bytes=_REPORT_BYTES)] * (6 + len(layers) * config.cols)
        return calls
