# amaranth: UnusedElaboratable=no
import random

import pytest

from xnorgrid.hw.popcount import Popcount
from xnorgrid.sim.streams import new_seed, simulate


def counts_of(dut, words):
    """Counts of the differences ``words``, given one a cycle between random words."""
    counts = []
    rng = random.Random(new_seed())

    async def bench(ctx):
        for cycle in range(len(words) + dut.latency):
            if cycle < len(words):
                a = rng.getrandbits(dut.width)
                ctx.set(dut.a, a)
                ctx.set(dut.b, a ^ words[cycle])
            if cycle >= dut.latency:
                counts.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, bench)
    return counts


@pytest.mark.parametrize("width", range(1, 11))
def test_every_word_of_narrow_counters(width):
    words = list(range(1 << width))
    assert counts_of(Popcount(width), words) == [word.bit_count() for word in words]


@pytest.mark.parametrize("width", [16, 17, 31, 32, 33, 63, 64, 96, 127, 128, 255, 256])
def test_random_words_of_wide_counters(width):
    rng = random.Random(new_seed())
    full = (1 << width) - 1
    words = [0, full, *(1 << k for k in range(width)), *(full ^ 1 << k for k in range(width))]
    words += [rng.getrandbits(width) & rng.getrandbits(width) for _ in range(100)]
    words += [rng.getrandbits(width) | rng.getrandbits(width) for _ in range(100)]
    assert counts_of(Popcount(width), words) == [word.bit_count() for word in words]


@pytest.mark.parametrize("width", [0, -3])
def test_width_must_be_positive(width):
    with pytest.raises(ValueError, match=rf"^Popcount width must be positive, not {width}$"):
        Popcount(width)
