"""Byte pipes to a board: the seam that real and simulated boards share."""

from __future__ import annotations

import abc

__all__ = ["Transport", "TransportError"]


class TransportError(ConnectionError):
    """The byte pipe is gone: unplugged, closed, or its simulation ended."""


class Transport(abc.ABC):
    """A byte pipe to one board. No method waits longer than its ``timeout`` (seconds)."""

    #: What a person would call it, e.g. ``serial:/dev/ttyUSB1`` or ``simulated (compiled, sim)``.
    description: str

    @abc.abstractmethod
    def write(self, data: bytes, timeout: float) -> None:
        """Send all of ``data``; raises :class:`TransportError` when that fails or takes too long."""

    @abc.abstractmethod
    def read(self, size: int, timeout: float) -> bytes:
        """Return 1 to ``size`` bytes as soon as any are there, or ``b""`` after ``timeout``.

        Raises :class:`TransportError` when no byte can come any more.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release the port or the simulator. May be called twice."""

    def slowdown(self, clock_hz: int) -> float:
        """How many seconds pass here for one second of the board's clock: 1 on real boards."""
        return 1.0
