"""Memories of cells against the generic memory, cycle by cycle, through models of the cells."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from xnorgrid.hw.export import to_verilog
from xnorgrid.hw.memory import BlockMemory, place_memory
from xnorgrid.sim import cosim
from xnorgrid.sim.cells import cell_models

CYCLES = 600
#: Width, depth, parts, single port: every shape of the family's cells, banks, and parts of odd widths.
MEMORIES = {
    "ecp5": (
        (72, 512, 2, False),
        (20, 1100, 4, False),
        (18, 1024, 2, False),
        (9, 2048, 1, False),
        (4, 4096, 1, False),
        (2, 8192, 1, False),
        (1, 16384, 1, False),
        (8, 24, 1, True),
        (3, 1, 1, False),
    ),
    "ice40": (
        (24, 300, 3, False),
        (16, 256, 16, False),
        (8, 512, 1, False),
        (4, 1024, 1, False),
        (2, 2048, 1, False),
        (5, 1100, 5, False),
        (7, 3, 1, False),
        (16, 1000, 1, True),
        (24, 16384, 3, True),
        (16, 20000, 2, True),
    ),
    "gowin": (
        (72, 512, 2, False),
        (20, 1100, 4, False),
        (18, 1024, 2, False),
        (9, 2048, 1, False),
        (8, 3000, 1, True),
        (3, 1, 1, False),
    ),
}


class Memories(wiring.Component):
    """The memories side by side, each with ports of its own."""

    def __init__(self, memories):
        self.memories = memories
        members = {}
        for i, (width, depth, parts, _) in enumerate(memories):
            members |= {
                f"read_address_{i}": In(range(depth)),
                f"read_data_{i}": Out(width),
                f"write_{i}": In(parts),
                f"write_address_{i}": In(range(depth)),
                f"write_data_{i}": In(width),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for i, (width, depth, parts, single_port) in enumerate(self.memories):
            ports = place_memory(
                m, platform, f"memory_{i}", width, depth, parts, single_port=single_port
            )
            for name in ("read_address", "write", "write_address", "write_data"):
                m.d.comb += getattr(ports, name).eq(getattr(self, f"{name}_{i}"))
            m.d.comb += getattr(self, f"read_data_{i}").eq(ports.read_data)
        return m


def stimuli(memories, seed):
    """Random reads and writes, all at few addresses, among them the first, the last and banks' ends."""
    random = np.random.default_rng(seed)
    given = {}
    for i, (width, depth, parts, single_port) in enumerate(memories):
        edges = [0, depth - 1, *(edge + by for edge in (512, 1024, 2048, 4096) for by in (-1, 0))]
        pool = np.unique([at for at in (*edges, *random.integers(depth, size=6)) if at < depth])
        read, written = random.choice(pool, CYCLES), random.choice(pool, CYCLES)
        write = random.integers(1 << parts, size=CYCLES) * random.integers(2, size=CYCLES)
        # Single-port memories hold anything before their first write.
        if single_port:
            written[: len(pool)], write[: len(pool)] = pool, (1 << parts) - 1
        useful = write == 0 if single_port else (write == 0) | (read != written)
        data = random.integers(256, size=(CYCLES, 16), dtype=np.uint8)
        given |= {
            f"read_address_{i}": read,
            f"write_address_{i}": written,
            f"write_{i}": write,
            f"write_data_{i}": masked(data, width),
            f"useful_{i}": useful & (not single_port or np.arange(CYCLES) >= len(pool)),
        }
    return given


def masked(data, width):
    mask = np.frombuffer(((1 << width) - 1).to_bytes(16, "little"), np.uint8)
    return data & mask


def of_generic(memories, given):
    """What the generic memories give in each cycle."""
    component = Memories(memories)
    expected = {f"expected_{i}": np.zeros((CYCLES, 16), np.uint8) for i in range(len(memories))}

    async def bench(ctx):
        for now in range(CYCLES):
            for name, values in given.items():
                if not name.startswith("useful"):
                    value = values[now]
                    value = int(value) if value.ndim == 0 else int.from_bytes(value, "little")
                    ctx.set(getattr(component, name), value)
            for i in range(len(memories)):
                word = ctx.get(getattr(component, f"read_data_{i}"))
                expected[f"expected_{i}"][now] = np.frombuffer(
                    word.to_bytes(16, "little"), np.uint8
                )
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return expected


@pytest.mark.parametrize("technology", MEMORIES)
def test_cells_hold_what_the_generic_memory_holds(technology, tmp_path, seed):
    memories = MEMORIES[technology]
    given = stimuli(memories, seed)
    verilog = to_verilog(Memories(memories), "memories", technology)
    cosim.run(
        f"{verilog}\n{cell_models(technology)}",
        "memories",
        "xnorgrid.sim.tb_memory",
        tmp_path,
        seed=seed,
        parameters={"count": len(memories), "latency": BlockMemory.latency},
        arrays=given | of_generic(memories, given),
    )
