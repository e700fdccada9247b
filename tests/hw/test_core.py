import itertools

import networks
import numpy as np
import pytest
from machine import carry_out

from xnorgrid.compile import compile
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.core import Core, timing
from xnorgrid.hw.protocol import Region
from xnorgrid.images import input_values
from xnorgrid.model import Dense, Input, Model
from xnorgrid.packing import unpack, word_bytes
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


def dense_network(rng, sizes):
    """Dense layers of random bits and thresholds."""
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


async def fill(ctx, core, segment):
    bus = core.memory
    for row in range(core.config.rows):
        for region, base, words in (
            (Region.WEIGHTS, segment.weight_base, segment.weights[row]),
            (Region.PRESETS, segment.preset_base, segment.presets[row]),
        ):
            await write_words(ctx, bus, region, row, base, words)


async def run(ctx, core, program, images):
    """Run ``images``, whole passes of them; each segment's weights are written while the one before runs."""
    bus, control = core.memory, core.control
    cols, stride = core.config.cols, program.input_stride
    for k, words in enumerate(program.pack_images(input_values(program.model, images))):
        address = program.input_base + k // cols * stride
        await write_words(ctx, bus, Region.ACTIVATIONS, k % cols, address, words)
    await fill(ctx, core, program.segments[0])
    for index, segment in enumerate(program.segments):
        raw = np.frombuffer(segment.instructions, np.uint8).reshape(-1, 4)
        await write_words(ctx, bus, Region.PROGRAM, 0, 0, raw)
        fields = {"passes": len(images) // cols - 1, "lanes": segment.lanes * cols}
        fields |= {"input_stride": stride, "output_stride": program.output_stride}
        ctx.set(control.run, fields)
        ctx.set(control.start, 1)
        await ctx.tick()
        ctx.set(control.start, 0)
        for following in program.segments[index + 1 : index + 2]:
            await fill(ctx, core, following)
        running = 1
        while running:
            *_, running = await ctx.tick().sample(control.running)


async def read_activations(ctx, core, count):
    """Words (cols, count, bytes) from word 0 on."""
    size = word_bytes(core.config.lanes)
    banks = [
        await read_words(ctx, core.memory, Region.ACTIVATIONS, col, 0, count, size)
        for col in range(core.config.cols)
    ]
    return np.stack(banks)


def assert_computes(program, images):
    """Every word of activations is as the protocol says, and what they mean is the reference's."""
    model, config = program.model, program.config
    machine = carry_out(program, input_values(model, images))
    expected = reference.layers(model, images)
    passes = len(images) // config.cols
    core = Core(config)

    async def bench(ctx):
        await run(ctx, core, program, images)
        timed = timing(config)
        cycles = program.cycles(passes, timed.turnaround, timed.overhead)
        assert ctx.get(core.control.busy_cycles) == cycles
        assert ctx.get(core.control.useful_lanes) == reference.operations(model, len(images))
        memory = await read_activations(ctx, core, 1 + max(machine.written))
        bits = unpack(memory[:, :, None], config.lanes, config.lanes)
        assert (bits == machine.activations[:, : bits.shape[1]]).all()
        for k in range(passes):
            start = program.output_base + k * program.output_stride
            got = program.decode_scores(memory[:, start : start + program.output_words])
            assert (got == expected[-1].scores[k * config.cols : (k + 1) * config.cols]).all()
        if len(program.segments) > 1:
            return
        for index, at in enumerate(program.places[:-1]):  # the last pass is still there
            words = memory[:, at.result_base : at.result_base + at.result.size]
            got = program.decode_layer(index, words)
            assert (got == expected[index].bits[-config.cols :]).all(), at.layer.name

    simulate(core, bench, cycles=400_000)


@pytest.mark.parametrize("shape", SHAPES)
def test_dense_networks_layer_by_layer(shape):
    rng = np.random.default_rng(new_seed())
    config = SHAPES[shape]
    model = dense_network(rng, [int(n) for n in rng.integers(1, 24, 4)])
    images = rng.integers(0, 2, (3 * config.cols, *model.input.shape), dtype=np.uint8)
    assert_computes(compile(model, config, keep_layers=True), images)


@pytest.mark.parametrize("case", range(12))
def test_random_networks_on_random_arrays(case):
    """Convolutions of all kinds; some have weights that are streamed."""
    rng = np.random.default_rng(new_seed() + case)
    model = networks.random_network(rng, operations=3_000)
    config = networks.random_config(rng, model)
    program = compile(model, config, keep_layers=True)
    passes = min(2, program.max_passes)
    assert_computes(program, networks.random_images(rng, model, passes * config.cols))


def test_a_layer_of_one_word_waits_for_the_layer_before():
    """Results that take longer than the fetch of an instruction are read as soon as they are there."""
    rng = np.random.default_rng(new_seed())
    config = configuration(14, 2, 14)
    model = dense_network(rng, [14] * 8)
    images = rng.integers(0, 2, (config.cols, 14), dtype=np.uint8)
    assert_computes(compile(model, config, keep_layers=True), images)


def test_memories_read_back():
    """Weights and presets, after a run."""
    rng = np.random.default_rng(new_seed())
    config = SHAPES["6x4x4, tiles 3x2"]
    model = dense_network(rng, [20, 13, 9])
    program = compile(model, config)
    images = rng.integers(0, 2, (config.cols, 20), dtype=np.uint8)
    (segment,) = program.segments
    core = Core(config)

    async def bench(ctx):
        await run(ctx, core, program, images)
        for row in range(config.rows):
            for region, base, written in (
                (Region.WEIGHTS, segment.weight_base, segment.weights[row]),
                (Region.PRESETS, segment.preset_base, segment.presets[row]),
            ):
                read = await read_words(ctx, core.memory, region, row, base, *written.shape)
                assert (read == written).all()

    simulate(core, bench)
