"""The board as an object: load a model, run images, read the counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import Op

from .compile import Program
from .compile import compile as compile_model
from .errors import NotLoaded
from .identity import BoardIdentity
from .images import input_values
from .link import Call, Progress
from .loaded import Loaded, Streaming
from .model import Model
from .runs import REPORT_BYTES, Runs
from .session import Session
from .transport import Transport

__all__ = ["Board", "Counters", "Streaming"]


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
        self._runs: Runs | None = None
        #: The session's losses when the program was loaded; more since then, and it may be gone.
        self._losses = 0
        self._session = Session(transport, config, reopen, timeout)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port or the simulator. May be called twice."""
        self._runs = None
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
        return self._runs.program if self._runs else None

    @property
    def array_seconds(self) -> float:
        """Wall-clock seconds from the start of runs to the report of their end, since the last load."""
        return self._runs.array_seconds if self._runs else 0.0

    @property
    def streaming(self) -> Streaming:
        """What it took to run the model in segments, since the last load."""
        return self._runs.loaded.streaming if self._runs else Streaming()

    @property
    def counters(self) -> Counters:
        """What the board counted since the last load or reset."""
        deadline = self._session.deadline(None, [Call(Op.STATUS, reply_bytes=REPORT_BYTES)])
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
        loaded = Loaded(self._session, program)
        self._runs = None
        deadline = self._session.deadline(timeout, loaded.load_calls())
        with self._session.conversation(deadline, fresh=True):
            loaded.load(deadline, progress)
        self._runs = Runs(self._session, loaded)
        self._losses = self._session.losses
        return program

    def run(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Return the scores of ``images``, any number of them: (N, classes) int32.

        For what images must look like, and the :class:`~xnorgrid.images.ImageError` if they do not, see
        :func:`~xnorgrid.images.input_values`. Raises :class:`~xnorgrid.errors.NotLoaded` without a model.
        """
        runs = self._require_runs()
        values = input_values(runs.program.model, images)
        return runs.run(values, [len(runs.program.places) - 1], timeout)[0]

    def predict(self, images: ArrayLike, *, timeout: float | None = None) -> np.ndarray:
        """Return the class of each image, (N,) int64: the first of the model's largest outputs."""
        scores = self.run(images, timeout=timeout)
        model = self._require_runs().program.model
        return np.argmax(model.outputs(scores), axis=1)

    def layers(self, images: ArrayLike, *, timeout: float | None = None) -> dict[str, np.ndarray]:
        """Return every layer's results for ``images`` by the layer's name, first layer first.

        Bits (N, *shape) uint8 of the model's ``shapes``, inversion undone; for the last layer scores
        (N, classes) int32. Raises :class:`~xnorgrid.errors.NotLoaded` unless the model was loaded with
        ``keep_layers=True``.
        """
        runs = self._require_runs()
        program = runs.program
        if not program.keeps_layers:
            raise NotLoaded(
                "the model was loaded without its layers' results: load it with keep_layers=True"
            )
        values = input_values(program.model, images)
        names = [place.layer.name for place in program.places]
        return dict(zip(names, runs.run(values, range(len(names)), timeout), strict=True))

    def reset(self, *, timeout: float | None = None) -> None:
        """Stop a run and clear the counters. The model stays loaded if the board still holds it."""
        deadline = self._session.deadline(timeout, [])
        with self._session.conversation(deadline):
            self._session.restart(deadline)

    def _require_runs(self) -> Runs:
        self._session.require_open()
        if self._runs is None or self._session.losses != self._losses:
            raise NotLoaded("no model is loaded on the board: load one with board.load(model)")
        return self._runs
