import itertools
import random

import pytest

from xnorgrid.hw.nest import FIRST_SLOT, SLOTS, LoopNest
from xnorgrid.hw.protocol import LEVELS, Instruction
from xnorgrid.instructions import loops
from xnorgrid.sim.streams import new_seed, simulate


def nested(counts, strides, bases, window_presets):
    """Per beat: position, addresses of activation, weight and preset; written as plain loops."""
    count = dict(zip(LEVELS, counts, strict=True))
    windows = count["window_x"] * count["window_y"]
    for outer in itertools.product(*(range(n) for n in reversed(counts))):
        index = outer[::-1]
        at = dict(zip(LEVELS, index, strict=True))
        first = [k == 0 for k in index]
        end = [k == n - 1 for k, n in zip(index, counts, strict=True)]
        window = at["window_y"] * count["window_x"] + at["window_x"]
        sums = at["tile"] * windows + window if window_presets else at["tile"]
        row = at["tile"] * count["row"] + at["row"]
        addresses = (
            bases[0] + sum(k * stride for k, stride in zip(index, strides, strict=True)),
            bases[1] + row * count["word"] + at["word"],
            bases[2] + sums * count["plane"] + at["plane"],
        )
        position = {
            "sum_first": all(first[:3]),
            "plane_first": all(first[:2]) and not first[2],
            "sum_end": all(end[:3]),
            "window_first": all(first[3:5]),
            "layer_end": all(end),
        }
        # The others only mean something together with those before them.
        for name, level in (("window_end", 5), ("tile_end", 6), ("row_end", 7)):
            if all(end[: level - 1]) or name == "window_end":
                position[name] = all(end[3:5]) if name == "window_end" else end[level - 1]
        if not position["sum_end"]:
            del position["window_end"]
        yield position, tuple(address % (1 << 16) for address in addresses)


async def load(ctx, dut, fields):
    raw = Instruction.const(fields).as_bits()
    ctx.set(dut.start, 1)
    ctx.set(dut.step, 0)
    ctx.set(dut.write, 1)
    for slot in range(FIRST_SLOT, SLOTS):
        ctx.set(dut.slot, slot)
        ctx.set(dut.word, raw >> 32 * (slot - FIRST_SLOT) & 0xFFFF_FFFF)
        await ctx.tick()
    ctx.set(dut.write, 0)
    await ctx.tick().repeat(3)
    ctx.set(dut.start, 0)


async def walk(ctx, dut, beats, rng):
    """Step through all beats, in some cycles not, and return them as the nest says."""
    got = []
    while len(got) < beats:
        step = rng.random() < 0.8
        ctx.set(dut.step, step)
        position = ctx.get(dut.position)
        await ctx.tick()
        if step:
            got.append(
                (position, tuple(ctx.get(a) for a in (dut.activation, dut.weight, dut.preset)))
            )
    return got


@pytest.mark.parametrize("window_presets", [False, True])
@pytest.mark.parametrize("seldom", [False, True])
def test_random_nests(window_presets, seldom):
    """Positions and addresses of every beat, with pauses; levels of one iteration in all places."""
    rng = random.Random(new_seed())
    dut = LoopNest()

    async def bench(ctx):
        for _ in range(12):
            counts = [
                1 if rng.random() < (0.7 if seldom else 0.2) else rng.randint(2, 4) for _ in LEVELS
            ]
            if seldom:
                counts[rng.randrange(8)] = rng.randint(2, 40)
            strides = [rng.randrange(-3000, 3000) for _ in LEVELS]
            bases = [rng.randrange(1 << 16) for _ in range(3)]
            fields = {
                "activation_base": bases[0],
                "base": {"weight": bases[1], "preset": bases[2]},
                **loops(counts, strides, window_presets=window_presets),
            }
            await load(ctx, dut, fields)
            expected = list(nested(counts, strides, bases, window_presets))[:3000]
            got = await walk(ctx, dut, len(expected), rng)
            for (position, addresses), (seen, where) in zip(expected, got, strict=True):
                assert {name: seen[name] for name in position} == position, counts
                assert where == addresses, counts

    simulate(dut, bench, cycles=100_000)


def test_the_largest_count():
    dut = LoopNest()

    async def bench(ctx):
        counts = [1, 1 << 16, 1, 1, 1, 1, 1, 1]
        await load(ctx, dut, loops(counts, [0, 1] + [0] * 6))
        ctx.set(dut.step, 1)
        await ctx.tick().repeat((1 << 16) - 1)
        assert ctx.get(dut.position.layer_end)

    simulate(dut, bench, cycles=100_000)
