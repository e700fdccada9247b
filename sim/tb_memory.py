"""cocotb bench of memories side by side: random reads and writes against expected words.

Arrays, for each memory ``i`` of ``count``: ``read_address_i``, ``write_address_i`` and ``write_i`` (cycles,);
``write_data_i`` and ``expected_i``, what ``read_data_i`` shall show in this cycle, (cycles, bytes) uint8,
little-endian; and ``useful_i`` (cycles,): whether the memory promises anything of this cycle's read.
Parameters: ``count``, ``latency``.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from .bfm import arrays, cycle, parameters, start

_INPUTS = ("read_address", "write_address", "write", "write_data")


def _value(data: Any, at: int) -> int:
    entry = data[at]
    return int(entry) if entry.ndim == 0 else int.from_bytes(entry.tobytes(), "little")


@cocotb.test()
async def every_word_is_as_expected(dut: Any) -> None:
    """In each cycle whose address was read at a good time."""
    data, latency = arrays(), parameters()["latency"]
    memories = range(parameters()["count"])
    for i in memories:
        getattr(dut, f"write_{i}").value = 0
    await start(dut)
    checked = [0 for _ in memories]
    for now in range(len(data["write_0"])):
        for i in memories:
            for name in _INPUTS:
                getattr(dut, f"{name}_{i}").value = _value(data[f"{name}_{i}"], now)
        await cycle(dut)
        for i in memories:
            if now >= latency and data[f"useful_{i}"][now - latency]:
                seen = int(getattr(dut, f"read_data_{i}").value)
                expected = _value(data[f"expected_{i}"], now)
                assert seen == expected, (
                    f"memory {i} cycle {now}: {seen:#x}, expected {expected:#x}"
                )
                checked[i] += 1
        await RisingEdge(dut.clk)
    assert all(checked), "nothing was checked"
