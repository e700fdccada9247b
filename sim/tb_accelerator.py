"""cocotb bench of the whole accelerator: the real host driver on the other end of its UART pins.

Parameters: ``config`` (fields of the configuration), ``model`` (a bundled model's name or a file).
Arrays: ``images``, and for layer k what the integer reference and PyTorch give, ``reference_k`` and
``torch_k``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any
from unittest.mock import patch

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import SimTimeoutError
from cocotb.utils import get_sim_time

from xnorgrid import link, session
from xnorgrid.driver import Board
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.modelfile import load
from xnorgrid.transport import Transport

from .bfm import PERIOD_NS, UartDriver, UartMonitor, arrays, parameters, rng, start

#: Silence of this many byte times means that nothing will come: longer than any command takes here.
_SILENCE = 1000


class SimulatedTime:
    """Stands in for the module ``time`` in the host's code, so that runs repeat exactly."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds of simulated time."""
        return self.now


class BenchTransport(Transport):
    """The byte pipe between a driver in a thread and the bench that moves its bytes.

    Each byte to or from the board has a bit flipped with probability ``damage``.
    """

    description = "cocotb bench"

    def __init__(self, dut: Any, time: SimulatedTime, stalls: float, damage: float) -> None:
        self._random = rng()
        self._time = time
        self._damage = damage
        self._config = ArrayConfig(**parameters()["config"])
        self._byte_cycles = 10 * self._config.clocks_per_bit
        self._driver = UartDriver(dut.rx, self._config.clocks_per_bit, self._random, stalls)
        self._monitor = UartMonitor(dut.tx, self._config.clocks_per_bit)

    def _worn(self, data: bytes) -> bytes:
        return bytes(
            byte ^ (1 << self._random.randrange(8))
            if self._random.random() < self._damage
            else byte
            for byte in data
        )

    async def _timed(self, action: Awaitable[bytes | None]) -> bytes | None:
        started = get_sim_time("ns")
        result = await action
        cycles = (get_sim_time("ns") - started) / PERIOD_NS
        self._time.now += cycles / self._config.clock_hz
        return result

    def write(self, data: bytes, timeout: float) -> None:
        resume(self._timed)(self._driver.send(self._worn(data)))

    def read(self, size: int, timeout: float) -> bytes:
        until = self._time.now + timeout
        data = resume(self._timed)(self._read(size, timeout))
        if not data:
            # Nothing more will come, so there is no need to simulate the rest of the wait.
            self._time.now = max(self._time.now, until)
        return self._worn(data)

    async def _read(self, size: int, timeout: float) -> bytes:
        wait = int(timeout * self._config.clock_hz)
        wait = min(max(wait, self._byte_cycles), _SILENCE * self._byte_cycles)
        data = bytearray()
        with contextlib.suppress(SimTimeoutError):
            while len(data) < size:
                data.append(await self._monitor.read(2 * self._byte_cycles if data else wait))
        return bytes(data)

    def close(self) -> None:
        """There is nothing to release."""


def _compare_layers(transport: Transport) -> None:
    data, random = arrays(), rng()
    images = data["images"]
    batches: list[dict[str, np.ndarray]] = []
    with Board(transport, config=ArrayConfig(**parameters()["config"])) as board:
        board.load(load(parameters()["model"]), keep_layers=True)
        start = 0
        while start < len(images):
            # Batches that do not fill the columns, too.
            size = random.randint(1, 5)
            batches.append(board.layers(images[start : start + size]))
            start += size
    for index, name in enumerate(batches[0]):
        got = np.concatenate([batch[name] for batch in batches])
        for source in ("reference", "torch"):
            expected = data[f"{source}_{index}"]
            assert got.shape == expected.shape
            wrong = np.argwhere(got != expected)
            assert not len(wrong), (
                f"layer {name}: first of {len(wrong)} not as {source}: {wrong[0]}"
            )


async def _run(dut: Any, stalls: float, damage: float) -> None:
    dut.rx.value = 1
    await start(dut)
    time = SimulatedTime()
    transport = BenchTransport(dut, time, stalls, damage)
    with contextlib.ExitStack() as patches:
        for module in (link, session):
            patches.enter_context(patch.object(module, "time", time))
        await bridge(_compare_layers)(transport)


@cocotb.test()
async def every_layer_equals_reference_and_torch(dut: Any) -> None:
    """Load with checksums, run, read each layer back; bytes come with random pauses."""
    await _run(dut, stalls=0.05, damage=0.0)


@cocotb.test()
async def damaged_bytes_cost_time_but_no_answer(dut: Any) -> None:
    """The same over a line that flips a bit in one byte of a thousand."""
    await _run(dut, stalls=0.0, damage=0.001)
