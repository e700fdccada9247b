import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.packer import Packer, PackerControl, Result, pack_step_layout
from xnorgrid.sim.streams import new_seed, simulate


class OneColumn(wiring.Component):
    """The control and the packer of one column."""

    def __init__(self, config):
        self.control = PackerControl(config)
        self.packer = Packer(config)
        super().__init__(
            {
                "bits": In(config.rows),
                "result": In(Result),
                "step": Out(pack_step_layout(config)),
                "word": Out(config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.control, self.packer]
        m.d.comb += [
            self.control.result.eq(self.result),
            self.step.eq(self.control.step),
            self.packer.bits.eq(self.bits),
            self.packer.step.eq(self.control.step),
            self.word.eq(self.packer.word),
        ]
        return m


@pytest.mark.parametrize(
    ("rows", "lanes"), [(1, 1), (8, 32), (32, 8), (3, 5), (5, 3), (6, 4), (4, 6), (14, 64)]
)
@pytest.mark.parametrize(("windows", "tiles", "dropped"), [(1, 1, 0), (4, 3, 0), (1, 4, 1)])
@pytest.mark.parametrize(("position_step", "row_step"), [(0, 5), (7, 0), (3, 4), (1, -1)])
def test_pools_packs_and_addresses(rows, lanes, windows, tiles, dropped, position_step, row_step):
    rng = random.Random(new_seed())
    config = ArrayConfig(
        rows=rows, cols=1, lanes=lanes, activation_depth=512, weight_depth=2, preset_depth=1
    )
    width, height = 3, 2
    words = max(1, -(-tiles * rows // lanes) - dropped)  # a position; the rest is dropped
    base = rng.randrange(100)

    results, expected = [], {}
    for y in range(height):
        for x in range(width):
            stream = []
            for tile in range(tiles):
                bits = [rng.getrandbits(rows) & rng.getrandbits(rows) for _ in range(windows)]
                pooled = 0
                for k, value in enumerate(bits):
                    pooled |= value
                    last = k == windows - 1
                    results.append(
                        (
                            value,
                            {
                                "valid": 1,
                                "window_first": k == 0,
                                "window_last": last,
                                "position_end": last and tile == tiles - 1,
                                "row_end": last and x == width - 1,
                            },
                        )
                    )
                stream += [pooled >> r & 1 for r in range(rows)]
            for word in range(words):
                bits = stream[word * lanes : (word + 1) * lanes]
                position = y * width + x
                address = base + position * (words + position_step) + y * row_step + word
                expected[address] = sum(bit << k for k, bit in enumerate(bits))

    dut = OneColumn(config)
    written = {}

    async def feed(ctx):
        control = dut.control
        ctx.set(control.base, base)
        ctx.set(control.words, words)
        ctx.set(control.position_step, position_step)
        ctx.set(control.row_step, row_step % (1 << 16))
        ctx.set(control.begin, 1)
        await ctx.tick()
        ctx.set(control.begin, 0)
        since = config.pack_cycles
        for bits, result in results:
            while rng.random() < 0.3 or (result["window_last"] and since < config.pack_cycles):
                ctx.set(dut.result.valid, 0)
                await ctx.tick()
                since += 1
            ctx.set(dut.bits, bits)
            ctx.set(dut.result, result)
            await ctx.tick()
            since = 1 if result["window_last"] else since + 1
        ctx.set(dut.result.valid, 0)
        await ctx.tick().repeat(control.latency + 1)

    async def watch(ctx):
        while True:
            *_, step, word = await ctx.tick().sample(dut.step, dut.word)
            if step.write:
                assert step.address not in written
                written[step.address] = word

    simulate(dut, feed, monitors=[watch])
    assert written == expected
