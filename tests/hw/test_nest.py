import itertools
import random

import pytest

from xnorgrid.hw.nest import LoopNest
from xnorgrid.hw.protocol import LEVELS
from xnorgrid.sim.streams import new_seed, simulate


@pytest.mark.parametrize("window_presets", [False, True])
@pytest.mark.parametrize(
    "counts",
    [
        (2, 1, 3, 2, 2, 3, 2, 2),  # planes, windows and tiles
        (1, 1, 1, 2, 2, 3, 1, 2),  # a beat a sum
        (1, 2, 2, 1, 3, 1, 2, 1),  # windows in one direction, one tile
        (3, 1, 2, 1, 1, 2, 2, 1),  # no windows: both ways are the same
    ],
)
def test_addresses_of_weights_and_presets(counts, window_presets):
    """Every level's part in both addresses, over planes x windows x tiles x positions."""
    rng = random.Random(new_seed())
    count = dict(zip(LEVELS, counts, strict=True))
    weight_base, preset_base = rng.randrange(1 << 16), rng.randrange(1 << 16)
    windows = count["window_x"] * count["window_y"]
    expected = []
    for outer in itertools.product(*(range(n) for n in reversed(counts))):
        at = dict(zip(reversed(LEVELS), outer, strict=True))
        window = at["window_y"] * count["window_x"] + at["window_x"]
        sums = at["tile"] * windows + window if window_presets else at["tile"]
        row = at["tile"] * count["row"] + at["row"]
        expected.append(
            (
                (weight_base + row * count["word"] + at["word"]) % (1 << 16),
                (preset_base + sums * count["plane"] + at["plane"]) % (1 << 16),
            )
        )
    dut = LoopNest()

    async def bench(ctx):
        fields = {"weight_base": weight_base, "preset_base": preset_base}
        fields |= {"count": [n - 1 for n in counts], "window_presets": window_presets}
        ctx.set(dut.instruction, fields)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        ctx.set(dut.step, 1)
        for repeat in range(2):  # after the last beat it is at the first again
            got = []
            for last in [False] * (len(expected) - 1) + [True]:
                assert ctx.get(dut.position.layer_end) == last
                got.append((ctx.get(dut.weight), ctx.get(dut.preset)))
                await ctx.tick()
            assert got == expected, repeat

    simulate(dut, bench)
