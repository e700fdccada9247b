# amaranth: UnusedElaboratable=no
"""What memories are arranged of, and the generic one's parts."""

import pytest
from amaranth.sim import Simulator

from xnorgrid.hw.library import TECHNOLOGIES, ModuleLibrary
from xnorgrid.hw.memory import BlockMemory, arrangement, memory_cells


@pytest.mark.parametrize(
    ("technology", "memory", "cells"),
    [
        ("generic", (72, 512), {}),
        ("ecp5", (36, 512), {"DP16KD": 1}),
        ("ecp5", (37, 512), {"DP16KD": 2}),
        ("ecp5", (36, 513), {"DP16KD": 2}),
        ("ecp5", (64, 4096), {"DP16KD": 16}),
        ("ecp5", (32, 512, 2), {"DP16KD": 1}),
        ("ecp5", (36, 512, 3), {"DP16KD": 2}),
        ("ice40", (16, 256), {"SB_RAM40_4K": 1}),
        ("ice40", (16, 256, 16), {"SB_RAM40_4K": 1}),
        ("ice40", (8, 512), {"SB_RAM40_4K": 1}),
        ("ice40", (8, 512, 2), {"SB_RAM40_4K": 2}),
        ("ice40", (17, 257), {"SB_RAM40_4K": 3}),
        ("gowin", (36, 512, 4), {"SDPX9B": 1}),
        ("gowin", (36, 1025), {"SDPX9B": 3}),
    ],
)
def test_cells_of_memories(technology, memory, cells):
    assert memory_cells(technology, *memory) == cells


@pytest.mark.parametrize("technology", TECHNOLOGIES[1:])
def test_single_port_memory(technology):
    cells = memory_cells(technology, 24, 16385, single_port=True)
    if technology == "ice40":
        assert cells == {"SB_SPRAM256KA": 4}
    else:
        assert cells == memory_cells(technology, 24, 16385)


@pytest.mark.parametrize(("depth", "banks"), [(1024, 1), (2048, 1), (2049, 5), (4096, 2)])
def test_banks_only_where_they_save_cells(depth, banks):
    assert arrangement("ecp5", 72, depth).banks == banks


def test_parts_are_written_alone():
    memory = BlockMemory(12, 4, parts=3)
    seen = []

    async def bench(ctx):
        for write, data in ((0b111, 0xABC), (0b010, 0x123), (0b101, 0x456)):
            ctx.set(memory.write, write)
            ctx.set(memory.write_data, data)
            await ctx.tick()
            ctx.set(memory.write, 0)
            await ctx.tick().repeat(BlockMemory.latency)
            seen.append(ctx.get(memory.read_data))

    run(memory, bench)
    assert seen == [0xABC, 0xA2C, 0x426]


def test_single_port_shows_a_read_in_the_cycle_of_a_write():
    memory = BlockMemory(4, 4, single_port=True)
    seen = []

    async def bench(ctx):
        for address, word in ((1, 5), (2, 6)):
            ctx.set(memory.write, 1)
            ctx.set(memory.write_address, address)
            ctx.set(memory.write_data, word)
            ctx.set(memory.read_address, 1)
            await ctx.tick()
        ctx.set(memory.write, 0)
        for _ in range(3):
            await ctx.tick()
            seen.append(ctx.get(memory.read_data))

    run(memory, bench)
    # The read of word 1 with the second write gets the old word 2.
    assert seen == [0, 5, 5]


def run(memory, bench):
    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_mistakes():
    with pytest.raises(ValueError, match="a word of 8 bits has no 3 equal parts"):
        BlockMemory(8, 4, parts=3)
    with pytest.raises(ValueError, match="must be one of generic, ecp5, ice40, gowin, not 'xc7'"):
        ModuleLibrary("xc7")
