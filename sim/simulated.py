"""What simulated boards have in common: bytes in and out, deadlines, and how slow they are."""

from __future__ import annotations

import abc
import time

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.transport import Transport, TransportError

__all__ = ["SimulatedBoard", "byte_cycles"]

#: Wall-clock seconds of simulation between two looks at the clock.
_SLICE = 0.02
#: A busy array simulates more slowly than the idle one that is timed, and the machine has other work.
_MARGIN = 4.0
#: Cycles of silence after which a reply on a FIFO has ended: longer than the gaps between its words.
_FIFO_SILENCE = 40


def byte_cycles(config: ArrayConfig) -> int:
    """Clock cycles of silence on the line of ``config`` that mean that no byte is on its way.

    On a UART a byte's ten bits; a FIFO carries a byte in each cycle, but not within a reply's gaps.
    """
    return _FIFO_SILENCE if config.link == "fifo" else 10 * config.clocks_per_bit


class SimulatedBoard(Transport):
    """A simulated accelerator behind the pins of its line, a UART or a FIFO.

    Simulated time passes only inside :meth:`write` and :meth:`read`, so the same calls give the same
    cycles. Not for use by two threads at once. ``byte_cycles`` is what :func:`byte_cycles` returns.
    """

    #: Clock cycles simulated so far.
    cycles: int

    def __init__(self, description: str, byte_cycles: int) -> None:
        self.description = description
        self.cycles = 0
        self._byte_cycles = byte_cycles
        self._received = bytearray()
        self._closed = False
        self._cycles_per_second = 0.0
        self._slowest = float("inf")

    @abc.abstractmethod
    def _run(self, cycles: int, send: bytes, size: int) -> tuple[int, int, bytes]:
        """Run up to ``cycles`` cycles; return the cycles run, the bytes of ``send`` taken, and replies.

        With ``send``, returns early once all of it is on the line; without, once ``size`` bytes have
        come, or some and then silence for a byte's time.
        """

    def _calibrate(self, cycles: int) -> None:
        """Measure how fast the board simulates; to be called once it runs."""
        started = time.perf_counter()
        self._run(cycles, b"", 1 << 16)
        self.cycles += cycles
        self._note(cycles, time.perf_counter() - started)

    def _note(self, cycles: int, seconds: float) -> None:
        if seconds <= 0.0:
            return
        speed = cycles / seconds
        if self._cycles_per_second:
            # Weighted by length, so that a short hiccup of the machine counts for little.
            weight = min(1.0, seconds / 0.1)
            speed = (1 - weight) * self._cycles_per_second + weight * speed
        self._cycles_per_second = speed
        self._slowest = min(self._slowest, speed)

    def _step(self, deadline: float, send: bytes, size: int) -> tuple[bool, int, bytes]:
        """Simulate a slice; return whether it ended early, bytes sent and bytes received."""
        started = time.perf_counter()
        seconds = min(_SLICE, deadline - time.monotonic())
        cycles = max(self._byte_cycles, int(seconds * self._cycles_per_second))
        ran, sent, received = self._run(cycles, send, size)
        self.cycles += ran
        self._note(ran, time.perf_counter() - started)
        return ran < cycles, sent, received

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError(f"{self.description} is closed")

    def write(self, data: bytes, timeout: float) -> None:
        self._check_open()
        deadline = time.monotonic() + timeout
        done = 0
        while done < len(data):
            ended, sent, received = self._step(deadline, data[done:], 1 << 16)
            done += sent
            self._received += received
            if ended:
                break
            if done < len(data) and time.monotonic() >= deadline:
                raise TransportError(
                    f"{self.description} took only {done} of {len(data)} bytes in {timeout:g} s"
                )

    def read(self, size: int, timeout: float) -> bytes:
        self._check_open()
        deadline = time.monotonic() + timeout
        while not self._received:
            _, _, received = self._step(deadline, b"", size)
            self._received += received
            if time.monotonic() >= deadline:
                break
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def close(self) -> None:
        self._closed = True

    def slowdown(self, clock_hz: int) -> float:
        return max(1.0, _MARGIN * clock_hz / self._slowest)
