import random

import pytest

from xnorgrid.hw.activations import ActivationMemory
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import Region
from xnorgrid.sim.bus import read_words, write_words
from xnorgrid.sim.streams import new_seed, simulate


@pytest.mark.parametrize("tile_cols", [1, 2, 4])
def test_host_and_packers_write_at_once(tile_cols):
    """No write is lost: packers never wait, so a host's write to the same bank does."""
    rng = random.Random(new_seed())
    config = ArrayConfig(
        rows=8, cols=4, lanes=8, tile_cols=tile_cols,
        weight_depth=2, activation_depth=256, preset_depth=1,
    )  # fmt: skip
    dut = ActivationMemory(config)
    expected = [{} for _ in range(config.cols)]

    async def packers(ctx):
        """A whole word in most cycles, to the even addresses."""
        bits = [0] * (config.cols // tile_cols)
        for cycle in range(240):
            busy = cycle < 200 and rng.random() < 0.8
            step = {"join": busy, "window_first": 1, "capture": busy, "slot": 0}
            # The word captured last cycle is stored in this one and written in the next.
            step |= {"put": history[0], "write": history[1], "address": addresses[1]}
            ctx.set(dut.step, step)
            word = rng.getrandbits(8)
            bits = [word, *bits[:-1]]
            for col in range(config.cols):
                ctx.set(dut.bits[col], bits[col // tile_cols])
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
