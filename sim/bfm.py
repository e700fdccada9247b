"""What cocotb benches are made of: set-up, UART driver and monitor, in-order checker."""

from __future__ import annotations

import json
import os
import random
from collections import deque
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer, with_timeout

from .cosim import ARRAYS, PARAMETERS, SEED

__all__ = [
    "PERIOD_NS",
    "InOrderChecker",
    "UartDriver",
    "UartMonitor",
    "arrays",
    "cycle",
    "parameters",
    "rng",
    "start",
]

PERIOD_NS = 10


def parameters() -> dict[str, Any]:
    """Parameters that the run was given."""
    return json.loads(os.environ[PARAMETERS])


def arrays() -> dict[str, np.ndarray]:
    """Arrays that the run was given."""
    with np.load(os.environ[ARRAYS]) as stored:
        return dict(stored)


def rng() -> random.Random:
    """Return a generator that the run's seed determines."""
    return random.Random(int(os.environ[SEED]))


async def start(dut: Any) -> None:
    """Start the clock, reset for two cycles, and return just after a rising edge."""
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def cycle(dut: Any) -> None:
    """Go to the middle of the cycle, where outputs show what was set after its rising edge."""
    await FallingEdge(dut.clk)


class InOrderChecker:
    """Compares what is observed with what was expected, one by one and in order."""

    def __init__(self) -> None:
        self._expected: deque[tuple[Any, str]] = deque()
        #: Comparisons made so far.
        self.checked = 0

    def expect(self, value: Any, what: str) -> None:
        """``what`` says in words what ``value`` is."""
        self._expected.append((value, what))

    def observe(self, value: Any) -> None:
        """Raise :class:`AssertionError` unless ``value`` is the next expected one."""
        assert self._expected, f"{value!r} came although nothing was expected"
        expected, what = self._expected.popleft()
        assert value == expected, f"{what} is {value!r}, expected {expected!r}"
        self.checked += 1

    def finish(self) -> None:
        """Raise :class:`AssertionError` if something expected never came, or nothing was checked."""
        assert not self._expected, f"{len(self._expected)} never came, first {self._expected[0][1]}"
        assert self.checked, "nothing was checked"


class UartDriver:
    """Sends bytes 8N1 into ``pin``, with pauses of random length between them.

    Before each byte the line stays idle for some cycles with probability ``stalls``.
    """

    def __init__(self, pin: Any, clocks_per_bit: int, random: random.Random, stalls: float) -> None:
        self._pin = pin
        self._bit_ns = clocks_per_bit * PERIOD_NS
        self._random = random
        self._stalls = stalls
        pin.value = 1

    async def send(self, data: bytes) -> None:
        """Send ``data``; returns after the last stop bit."""
        for byte in data:
            if self._random.random() < self._stalls:
                await Timer(self._random.randint(1, 20 * self._bit_ns), "ns")
            frame = 0x200 | byte << 1
            for bit in range(10):
                self._pin.value = frame >> bit & 1
                await Timer(self._bit_ns, "ns")


class UartMonitor:
    """Receives bytes 8N1 from ``pin``; a byte without a stop bit is an error."""

    def __init__(self, pin: Any, clocks_per_bit: int) -> None:
        self._pin = pin
        self._bit_ns = clocks_per_bit * PERIOD_NS
        self._bytes: Queue[int] = Queue()
        self._task = cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        while True:
            if self._pin.value != 0:
                await FallingEdge(self._pin)
            await Timer(self._bit_ns // 2, "ns")
            assert self._pin.value == 0, "a glitch on the line"
            byte = 0
            for bit in range(8):
                await Timer(self._bit_ns, "ns")
                byte |= int(self._pin.value) << bit
            await Timer(self._bit_ns, "ns")
            assert self._pin.value == 1, f"byte {byte:#04x} has no stop bit"
            self._bytes.put_nowait(byte)

    async def read(self, cycles: int) -> int:
        """Return the next byte; raises :class:`SimTimeoutError` if none ends within ``cycles``."""
        if not self._bytes.empty():
            return self._bytes.get_nowait()
        return await with_timeout(self._bytes.get(), cycles * PERIOD_NS, "ns")
