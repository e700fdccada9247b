import itertools

import numpy as np
import pytest

from xnorgrid.compile import compile, steps
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.core import Core, timing
from xnorgrid.hw.protocol import LEVELS, Instruction, Region
from xnorgrid.model import Dense, Input, Model
from xnorgrid.packing import pack, pack_signed, unpack, word_bytes
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


def test_convolution_of_pixel_planes_with_pooling():
    """A 3x3 convolution on 3-bit pixels, 2x2 pooling, thresholds: one instruction on the same array."""
    rng = np.random.default_rng(new_seed())
    planes, height, width, channels, outputs, kernel = 3, 6, 8, 2, 5, 3
    config = configuration(2, 2, 4)
    pixels = rng.integers(0, 1 << planes, (config.cols, height, width, channels))
    weights = rng.integers(0, 2, (outputs, kernel, kernel, channels), dtype=np.uint8)
    fan_in = kernel * kernel * channels
    full = fan_in * ((1 << planes) - 1)
    limits = rng.integers(full // 3, 2 * full // 3, outputs)  # neuron fires below this disagreement

    # What it must give: per position the weighted disagreements, then OR over 2 x 2 positions.
    bits_of = (pixels[..., None] >> np.arange(planes)) & 1  # (cols, y, x, channel, plane)
    places = 1 << np.arange(planes)
    positions_y, positions_x = height - kernel + 1, width - kernel + 1
    fires = np.zeros((config.cols, positions_y, positions_x, outputs), np.uint8)
    for y in range(positions_y):
        for x in range(positions_x):
            window = bits_of[:, None, y : y + kernel, x : x + kernel]
            differ = (window != weights[None, ..., None]) * places
            fires[:, y, x] = differ.sum((2, 3, 4, 5)) < limits
    pooled = fires.reshape(config.cols, positions_y // 2, 2, positions_x // 2, 2, outputs).max(
        (2, 4)
    )

    tiles = -(-outputs // config.rows)
    base, out_base, plane_words = 1, 700, height * width
    words_per_position = -(-outputs // config.lanes)
    counts = [kernel, kernel, planes, 2, 2, tiles, positions_x // 2, positions_y // 2]
    strides = [1, width, plane_words, 1, width, 0, 2, 2 * width]
    instruction = Instruction.const(
        {
            "last": 1,
            "activation_base": base,
            "weight_base": 1,
            "output_base": out_base,
            "output_words": words_per_position,
            "count": [count - 1 for count in counts],
            "step": steps(counts, strides),
            "tile_lanes": fan_in * planes * config.rows,
            "last_tile_lanes": fan_in * planes * (outputs - (tiles - 1) * config.rows),
        }
    )
    by_row = np.zeros((tiles * config.rows, kernel * kernel, config.lanes), np.uint8)
    by_row[:outputs, :, :channels] = weights.reshape(outputs, -1, channels)
    by_row = by_row.reshape(tiles, config.rows, -1).transpose(1, 0, 2).reshape(config.rows, -1)
    reserved = np.zeros((config.rows, config.lanes), np.uint8)
    weight_words = pack(np.concatenate([reserved, by_row], axis=1), config.lanes)
    presets = np.zeros(tiles * config.rows, np.int64)
    presets[:outputs] = -limits
    # The highest bits first, then one more bit with each plane.
    presets = np.stack(
        [presets >> (planes - 1), *((presets >> k) & 1 for k in reversed(range(planes - 1)))], 1
    )
    by_row_presets = presets.reshape(tiles, config.rows, planes).transpose(1, 0, 2)
    preset_words = pack_signed(by_row_presets.reshape(config.rows, -1), config.accumulator_bits)
    core = Core(config)
    assert LEVELS[:3] == ("word", "row", "plane")

    async def bench(ctx):
        raw = instruction.as_bits().to_bytes(Instruction.size // 8, "little")
        await load(ctx, core, weight_words, preset_words, raw)
        for col in range(config.cols):
            # Most significant plane first: the accumulator doubles from plane to plane.
            for k, plane in enumerate(reversed(range(planes))):
                words = pack(bits_of[col, ..., plane].reshape(plane_words, channels), config.lanes)
                address = base + k * plane_words
                await write_words(ctx, core.memory, Region.ACTIVATIONS, col, address, words[:, 0])
        await run(ctx, core, passes=0, columns=config.cols - 1)
        assert ctx.get(core.control.useful_lanes) == (
            config.cols * positions_y * positions_x * outputs * fan_in * planes
        )
        count = pooled.shape[1] * pooled.shape[2] * words_per_position
        for col in range(config.cols):
            words = await read_words(
                ctx, core.memory, Region.ACTIVATIONS, col, out_base, count, word_bytes(config.lanes)
            )
            got = unpack(
                words.reshape(-1, words_per_position, words.shape[-1]), config.lanes, outputs
            )
            assert (got.reshape(pooled.shape[1:]) == pooled[col]).all()

    simulate(core, bench, cycles=200_000)
