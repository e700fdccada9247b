import itertools

import numpy as np
import pytest

from xnorgrid.compile import compile
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.core import Core, timing
from xnorgrid.hw.protocol import Region
from xnorgrid.model import Dense, Input, Model
from xnorgrid.packing import word_bytes
from xnorgrid.sim import reference
from xnorgrid.sim.bus import read_words, write_words
from xnorgrid.sim.streams import new_seed, simulate


def configuration(rows, cols, lanes, tile_rows=1, tile_cols=1):
    return ArrayConfig(
        rows=rows, cols=cols, lanes=lanes, tile_rows=tile_rows, tile_cols=tile_cols,
        weight_depth=2048, activation_depth=1024, preset_depth=128, accumulator_bits=8,
    )  # fmt: skip


SHAPES = {
    "1x1x1": configuration(1, 1, 1),
    "3x2x5": configuration(3, 2, 5),
    "8x2x3, more rows than lanes": configuration(8, 2, 3),
    "2x3x32, one tile": configuration(2, 3, 32, 2, 3),
    "6x4x4, tiles 3x2": configuration(6, 4, 4, 3, 2),
    "4x1x64, tiles 2x1": configuration(4, 1, 64, 2, 1),
    "5x5x7, tiles 5x1": configuration(5, 5, 7, 5, 1),
}


def random_network(rng, sizes=None):
    """Three dense layers of random odd sizes."""
    sizes = sizes or [int(n) for n in rng.integers(1, 24, 4)]
    layers = []
    for k, (fan_in, outputs) in enumerate(itertools.pairwise(sizes)):
        hidden = k < len(sizes) - 2
        layers.append(
            Dense(
                name=f"layer{k}",
                weights=rng.integers(0, 2, (outputs, fan_in), dtype=np.uint8),
                thresholds=rng.integers(0, fan_in + 2, outputs, dtype=np.int32) if hidden else None,
                inverted=rng.integers(0, 2, outputs).astype(bool) if hidden else None,
            )
        )
    return Model("random", Input((sizes[0],)), tuple(layers))


async def load(ctx, core, weights, presets, instructions):
    bus = core.memory
    for row in range(core.config.rows):
        await write_words(ctx, bus, Region.WEIGHTS, row, 0, weights[row])
        await write_words(ctx, bus, Region.PRESETS, row, 0, presets[row])
    words = [instructions[k : k + 4] for k in range(0, len(instructions), 4)]
    await write_words(ctx, bus, Region.PROGRAM, 0, 0, words)


async def run(ctx, core, **fields):
    """Run the program and return its cycles."""
    ctx.set(core.control.run, fields)
    ctx.set(core.control.start, 1)
    await ctx.tick()
    ctx.set(core.control.start, 0)
    cycles, running = 0, 1
    while running:
        *_, running = await ctx.tick().sample(core.control.running)
        cycles += 1
    return cycles - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_random_networks_layer_by_layer(shape):
    config = SHAPES[shape]
    rng = np.random.default_rng(new_seed())
    model = random_network(rng)
    program = compile(model, config, keep_layers=True)
    passes = 3
    images = rng.integers(0, 2, (passes * config.cols, *model.input.shape), dtype=np.uint8)
    expected = reference.layers(model, images)
    size = word_bytes(config.lanes)
    core = Core(config)

    async def bench(ctx):
        bus = core.memory
        await load(ctx, core, program.weights, program.presets, program.instructions)
        for row in range(config.rows):
            for region, written in (
                (Region.WEIGHTS, program.weights[row]),
                (Region.PRESETS, program.presets[row]),
            ):
                read = await read_words(ctx, bus, region, row, 0, *written.shape)
                assert (read == written).all()
        for k, words in enumerate(program.pack_images(images)):
            address = program.input_base + k // config.cols * program.input_words
            await write_words(ctx, bus, Region.ACTIVATIONS, k % config.cols, address, words)
        cycles = await run(
            ctx, core, passes=passes - 1, columns=config.cols - 1,
            input_stride=program.input_words, output_stride=program.output_words,
        )  # fmt: skip
        assert ctx.get(core.control.busy_cycles) == cycles
        assert cycles == program.cycles(passes, timing(config).turnaround) + timing(config).overhead
        assert ctx.get(core.control.useful_lanes) == program.operations * len(images)

        for k in range(len(images)):
            address = program.output_base + k // config.cols * program.output_words
            words = await read_words(
                ctx, bus, Region.ACTIVATIONS, k % config.cols, address, program.output_words, size
            )
            assert (program.decode_scores(words[None])[0] == expected[-1].scores[k]).all()
        for k in range(len(images) - config.cols, len(images)):  # the last pass is still there
            for index, place in enumerate(program.places[:-1]):
                words = await read_words(
                    ctx, bus, Region.ACTIVATIONS, k % config.cols, place.output_base,
                    place.output_words, size,
                )  # fmt: skip
                bits = program.decode_layer(index, words[None])[0]
                assert (bits == expected[index].bits[k]).all(), (place.layer.name, k)

    simulate(core, bench, cycles=200_000)


def test_a_layer_of_one_word_waits_for_the_layer_before():
    """Results that take longer than the fetch of an instruction are read as soon as they are there."""
    config = configuration(14, 2, 14)
    rng = np.random.default_rng(new_seed())
    model = random_network(rng, [14] * 8)
    program = compile(model, config)
    images = rng.integers(0, 2, (config.cols, 14), dtype=np.uint8)
    core = Core(config)

    async def bench(ctx):
        await load(ctx, core, program.weights, program.presets, program.instructions)
        for k, words in enumerate(program.pack_images(images)):
            await write_words(ctx, core.memory, Region.ACTIVATIONS, k, program.input_base, words)
        await run(ctx, core, columns=config.cols - 1)
        for k, scores in enumerate(reference.scores(model, images)):
            words = await read_words(
                ctx, core.memory, Region.ACTIVATIONS, k, program.output_base, program.output_words,
                word_bytes(config.lanes),
            )  # fmt: skip
            assert (program.decode_scores(words[None])[0] == scores).all()

    simulate(core, bench)
