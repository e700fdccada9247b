import random

import pytest

from xnorgrid.hw.array import SystolicArray
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.sim.streams import new_seed, simulate


def configuration(rows, cols, lanes, tile_rows=1, tile_cols=1):
    return ArrayConfig(
        rows=rows, cols=cols, lanes=lanes, tile_rows=tile_rows, tile_cols=tile_cols,
        accumulator_bits=9, weight_depth=2, activation_depth=2, preset_depth=1,
    )  # fmt: skip


SHAPES = {
    "one element": configuration(1, 1, 1),
    "one row": configuration(1, 4, 3),
    "one column": configuration(4, 1, 3),
    "odd": configuration(3, 2, 5),
    "tiles of rows": configuration(4, 3, 8, tile_rows=2),
    "tiles of columns": configuration(2, 6, 4, tile_cols=3),
    "square tiles": configuration(4, 4, 8, 2, 2),
    "one tile": configuration(3, 3, 4, 3, 3),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_back_to_back_sums_of_random_length(shape):
    """Every element compares its row's weights with its column's activations, one sum after another."""
    config = SHAPES[shape]
    rng = random.Random(new_seed())
    dut = SystolicArray(config)
    rows, cols = range(config.rows), range(config.cols)

    beats, ends = [], {}  # what each beat carries; last beat of each sum -> expected bits by column
    for _ in range(12):
        presets = [rng.randrange(-10, 1) for _ in rows]
        sums = [[presets[r] for _ in cols] for r in rows]
        for k in range(rng.randint(1, 4)):
            weights = [rng.getrandbits(config.lanes) for _ in rows]
            activations = [rng.getrandbits(config.lanes) for _ in cols]
            for r in rows:
                for c in cols:
                    sums[r][c] += (weights[r] ^ activations[c]).bit_count()
            beats.append((k == 0, weights, activations, presets))
        ends[len(beats) - 1] = [sum((sums[r][c] < 0) << r for r in rows) for c in cols]

    skew = config.grid_rows + config.grid_cols
    checked = []

    async def bench(ctx):
        for cycle in range(len(beats) + dut.latency + skew):
            for r in rows:
                tile = r // config.tile_rows
                beat = cycle - tile
                if 0 <= beat < len(beats):
                    ctx.set(dut.weights[r], beats[beat][1][r])
                beat = cycle - tile - dut.count_latency
                valid = 0 <= beat < len(beats)
                ctx.set(dut.accumulate[tile].valid, valid)
                if valid:
                    ctx.set(dut.accumulate[tile].first, beats[beat][0])
                    ctx.set(dut.accumulate[tile].double, 0)
                    ctx.set(dut.presets[r], beats[beat][3][r])
            for c in cols:
                beat = cycle - c // config.tile_cols
                if 0 <= beat < len(beats):
                    ctx.set(dut.activations[c], beats[beat][2][c])
                end = beat - dut.latency
                if end in ends:
                    assert ctx.get(dut.bits[c]) == ends[end][c], (end, c)
                    checked.append((end, c))
            await ctx.tick()

    simulate(dut, bench)
    assert len(checked) == len(ends) * config.cols
