import random

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from xnorgrid.hw.activations import ActivationMemory
from xnorgrid.hw.bus import MemoryBus
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.host_access import HostAccess
from xnorgrid.hw.packer import pack_step_layout
from xnorgrid.hw.protocol import Region
from xnorgrid.sim.bus import read_words, write_words
from xnorgrid.sim.streams import new_seed, simulate


class Columns(wiring.Component):
    """The activation memories with their host access; a register a column is what there is of an array."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "memory": In(MemoryBus(config)),
                "step": In(pack_step_layout(config)),
                "bits": In(config.rows).array(config.cols),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = ActivationMemory(self.config)
        m.submodules.host = host = HostAccess(self.config, memory.read_cycles)
        connect(m, flipped(self.memory), host.memory)
        m.d.comb += [
            host.packing.eq(self.step.write),
            host.read_data.eq(memory.read_data),
            memory.access.eq(host.columns),
            # As in the datapath, others read while the host does not.
            memory.address.eq(Mux(host.reading, self.memory.address, ~self.memory.address)),
            memory.write_address.eq(self.memory.address),
            memory.step.eq(self.step),
        ]
        for col in range(self.config.cols):
            held = Signal(self.config.lanes)
            m.d.sync += held.eq(Mux(memory.activations_enable[col], memory.activations[col], 0))
            m.d.comb += [
                memory.held_activations[col].eq(held),
                memory.bits[col].eq(self.bits[col]),
            ]
        return m


@pytest.mark.parametrize("tile_cols", [1, 2, 4])
def test_host_and_packers_write_at_once(tile_cols):
    """No write is lost: packers never wait, so a host's write does."""
    rng = random.Random(new_seed())
    config = ArrayConfig(
        rows=8, cols=4, lanes=8, tile_cols=tile_cols,
        weight_depth=2, activation_depth=256, preset_depth=1,
    )  # fmt: skip
    dut = Columns(config)
    expected = [{} for _ in range(config.cols)]

    async def packers(ctx):
        """A whole word in most cycles, to the even addresses."""
        words = [0] * (config.grid_cols + ActivationMemory.step_latency)
        for cycle in range(240):
            busy = cycle < 200 and rng.random() < 0.8
            step = {"join": busy, "window_first": 1, "capture": busy}
            # The word captured last cycle is stored in this one and written in the next.
            step |= {"fill": history[0], "write": history[1], "address": addresses[1]}
            ctx.set(dut.step, step)
            word = rng.getrandbits(8)
            words = [word, *words[:-1]]
            for col in range(config.cols):
                ctx.set(dut.bits[col], words[col // tile_cols + ActivationMemory.step_latency])
            history[:] = [busy, history[0]]
            addresses[:] = [(2 * cycle) % 128, addresses[0]]
            if busy:
                for col in range(config.cols):
                    expected[col][(2 * cycle) % 128] = word
            await ctx.tick()

    async def host(ctx):
        """One write after another, to the odd addresses."""
        for _ in range(100):
            col, address, word = (
                rng.randrange(config.cols),
                rng.randrange(64) * 2 + 1,
                rng.randbytes(1),
            )
            expected[col][address] = word[0]
            await write_words(ctx, dut.memory, Region.ACTIVATIONS, col, address, [word])

    async def bench(ctx):
        await packers(ctx)
        finished.append(1)

    async def bench_host(ctx):
        await host(ctx)
        while not finished:
            await ctx.tick()
        for col, words in enumerate(expected):
            got = await read_words(ctx, dut.memory, Region.ACTIVATIONS, col, 0, 128, 1)
            assert got[:, 0].tolist() == [words.get(address, 0) for address in range(128)]

    history, addresses, finished = [False, False], [0, 0], []
    simulate(dut, bench, bench_host)
