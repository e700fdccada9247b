"""Programs against what they must compute, carried out word by word from the protocol's definitions."""

import dataclasses
import itertools
import random
import re

import networks
import numpy as np
import pytest
from machine import carry_out

from xnorgrid.compile import ModelDoesNotFit, UnsupportedLayers, compile
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.images import input_values
from xnorgrid.instructions import steps
from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed

WIDE = ArrayConfig(
    rows=3, cols=2, lanes=5,
    weight_depth=1024, activation_depth=256, preset_depth=64, accumulator_bits=10,
)  # fmt: skip


def network(sizes, seed=0, name="net"):
    """Random dense layers with thresholds at and between both ends, and inverted channels."""
    rng = np.random.default_rng(seed)
    shapes = [(out, fan_in) for fan_in, out in itertools.pairwise(sizes)]
    weights = [rng.integers(0, 2, shape) for shape in shapes]
    thresholds = [rng.integers(0, fan_in + 2, out) for out, fan_in in shapes[:-1]]
    inverted = [rng.random(out) < 0.4 for out, _ in shapes[:-1]]
    return from_arrays(weights, thresholds, inverted=inverted, name=name)


def bits(rng, *shape):
    return rng.integers(0, 2, shape, dtype=np.uint8)


def convolutions(
    rng, *, size=(5, 7), padding=(1, 1), fill=-1, pool=1, stride=1, outs=(11, 6), name="net"
):
    """Two padded convolutions on 2-bit pixels, then scores."""
    source = Input((*size, 3), "pixels", 3)
    shape, layers = source.shape, []
    for index, out in enumerate(outs):
        weights = bits(rng, out, 3, 3, shape[2])
        layer = Conv(
            f"conv{index}", weights, np.zeros(out, np.int32), bits(rng, out).astype(bool),
            stride, padding, fill, pool,
        )  # fmt: skip
        middle = layer.threshold_limit(1 if index else source.amplitude) // 2
        thresholds = (middle + rng.integers(-4, 5, out)).astype(np.int32)
        layers.append(dataclasses.replace(layer, thresholds=thresholds))
        shape = layers[-1].output_shape(shape)
    layers.append(Dense("scores", bits(rng, 4, int(np.prod(shape)))))
    return Model(name, source, tuple(layers))


def assert_computes(program, images):
    """Scores of all passes, and all layers of a single one if they are kept, are the reference's."""
    model, cols = program.model, program.config.cols
    machine = carry_out(program, input_values(model, images))
    expected = reference.layers(model, images)
    for k in range(len(images) // cols):
        base = program.output_base + k * program.output_stride
        of_pass = slice(k * cols, (k + 1) * cols)
        scores = program.decode_scores(machine.words(base, program.output_words))
        assert np.array_equal(scores, expected[-1].values[of_pass])
    if program.keeps_layers:
        for index, at in enumerate(program.places):
            got = program.decode_layer(index, machine.words(at.result_base, at.result.size))
            assert np.array_equal(got, expected[index].values), at.layer.name
    assert machine.useful_lanes == program.operations * len(images)
    return machine


def drawn(rng):
    """A random network and a configuration that it fits."""
    model = networks.random_network(rng, operations=20_000)
    return model, networks.random_config(rng, model)


@pytest.mark.parametrize("case", range(60))
def test_random_networks_on_random_configurations(case):
    rng = np.random.default_rng(new_seed() + case)
    model, config = drawn(rng)
    program = compile(model, config, keep_layers=bool(rng.integers(0, 2)))
    passes = 1 if program.keeps_layers else min(3, program.max_passes)
    images = networks.random_images(rng, model, config.cols * passes)
    assert_computes(program, images)


@pytest.mark.parametrize("fill", [-1, 0, 1])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding(fill, pool, stride):
    """Rows and columns of padding on every side, with inverted channels before it."""
    rng = np.random.default_rng(new_seed())
    padding = (2, 1) if stride * pool > 1 else (1, 2)
    model = convolutions(rng, size=(11, 13), padding=padding, fill=fill, pool=pool, stride=stride)
    config = dataclasses.replace(WIDE, weight_depth=4096, activation_depth=4096)
    config = dataclasses.replace(config, preset_depth=4096, program_depth=256, accumulator_bits=12)
    program = compile(model, config, keep_layers=True)
    assert_computes(program, networks.random_images(rng, model, config.cols))
    # Instructions for windows that reach over an edge are only needed where padding is neither value.
    [segment] = program.segments
    assert (len(segment.steps) > 6) == (fill == 0)


@pytest.mark.parametrize("bit", [0, 1])
def test_zero_padding_at_the_ends_of_the_accumulator(bit):
    """Thresholds that no window, or every window, reaches; the machine asserts the accumulator's range."""
    limits = np.array([0, 1, 30, 31], np.int32)
    weights = np.full((4, 3, 5, 1), bit, np.uint8)
    hidden = Conv("conv0", weights, limits, padding=(2, 4), fill=0, pool=3)
    model = Model("ends", Input((1, 1, 1)), (hidden, Dense("scores", np.ones((1, 4), np.uint8))))
    config = dataclasses.replace(WIDE, preset_depth=512, accumulator_bits=5)
    program = compile(model, config, keep_layers=True)
    for value in (0, 1):
        assert_computes(program, np.full((2, 1, 1, 1), value))


def test_filling_a_border_takes_accumulator_bits():
    rng = np.random.default_rng(new_seed())
    limits = np.ones(2, np.int32)
    first = Conv("conv0", bits(rng, 2, 1, 1, 1), limits)
    second = Conv("conv1", bits(rng, 2, 3, 3, 2), limits, padding=(1, 1), pool=2)
    scores = Dense("scores", bits(rng, 3, 8))
    model = Model("wide", Input((4, 4, 1)), (first, second, scores))
    with pytest.raises(UnsupportedLayers) as caught:
        compile(model, dataclasses.replace(WIDE, lanes=40, accumulator_bits=6))
    problem = (
        "filling the border around its results counts 40 lanes, which takes 7 accumulator bits, but "
        "there are 6: raise accumulator_bits to 7"
    )
    assert caught.value.problems == (("conv0", problem),)
    program = compile(model, dataclasses.replace(WIDE, lanes=40, accumulator_bits=7))
    assert_computes(program, networks.random_images(rng, model, WIDE.cols))


def test_scores_of_pixels():
    """A score layer that is the first counts as far as its pixels do."""
    rng = np.random.default_rng(new_seed())
    model = Model("pixels", Input((5, 3), "pixels", 15), (Dense("scores", bits(rng, 4, 15)),))
    program = compile(model, WIDE)
    assert_computes(program, networks.random_images(rng, model, 2 * WIDE.cols))


def test_windows_are_laid_out_where_that_saves_words():
    """27 inputs of a window are one word of 32 lanes, but nine words of three where they lie."""
    rng = np.random.default_rng(new_seed())
    model = convolutions(rng)
    few = compile(model, dataclasses.replace(WIDE, lanes=32, activation_depth=4096))
    assert few.places[0].windows_apart and few.places[0].sum_beats == 2
    assert few.input_words == 2 * 5 * 7
    narrow = compile(model, dataclasses.replace(WIDE, lanes=3, activation_depth=4096))
    assert not narrow.places[0].windows_apart and narrow.places[0].sum_beats == 18
    assert narrow.input_words == 2 * 7 * 9


@pytest.mark.parametrize("share", [2, 4, 6])
def test_weights_that_exceed_the_memory_come_in_segments(share):
    rng = np.random.default_rng(new_seed())
    model = convolutions(rng, pool=2, outs=(22, 24))
    whole = dataclasses.replace(
        WIDE, rows=2, lanes=2, weight_depth=2048, activation_depth=4096, preset_depth=512
    )
    resident = compile(model, whole)
    assert len(resident.segments) == 1
    depth = 1 + resident.segments[0].weights.shape[1]
    program = compile(model, dataclasses.replace(whole, weight_depth=depth // share))
    assert len(program.segments) > share
    half = (depth // share - 1) // 2
    for number, segment in enumerate(program.segments):
        assert segment.weight_base == 1 + number % 2 * half
        assert segment.weights.shape[1] <= half
        assert segment.preset_base == number % 2 * 256
    loaded = sum(segment.weights.shape[1] for segment in program.segments)
    assert loaded == resident.segments[0].weights.shape[1]
    assert_computes(program, networks.random_images(rng, model, 2 * whole.cols))


@pytest.mark.parametrize("fan_in", [1, 2, 6])
def test_every_threshold_at_every_sum(fan_in):
    """One channel for each T from 0 to n + 1, plain and inverted, at every p from 0 to n."""
    limits = np.tile(np.arange(fan_in + 2), 2)
    inverted = np.arange(len(limits)) > fan_in + 1
    hidden = [np.ones((len(limits), fan_in), int), np.ones((1, len(limits)), int)]
    # `inverted` of from_arrays is p <= t, so t = T - 1 there.
    model = from_arrays(hidden, [limits - inverted], inverted=[inverted])
    config = dataclasses.replace(WIDE, rows=4, cols=fan_in + 1, activation_depth=64)
    program = compile(model, config, keep_layers=True)
    images = (np.arange(fan_in)[None] < np.arange(fan_in + 1)[:, None]).astype(np.uint8)
    at = program.places[0]
    words = carry_out(program, images).words(at.result_base, at.result.size)
    agreeing = np.arange(fan_in + 1)[:, None]
    assert np.array_equal(program.decode_layer(0, words), (agreeing >= limits) ^ inverted)


@pytest.mark.parametrize("fan_in", [1, 2, 3, 4, 7, 8, 9])
def test_accumulator_exactly_wide_enough(fan_in):
    """Sums of all thresholds lie in -(n + 1) … n; the machine above asserts that none leaves its range."""
    bits = max(3, len(f"{fan_in:b}") + 1)
    config = dataclasses.replace(WIDE, accumulator_bits=bits)
    assert fan_in <= config.max_fan_in
    hidden = [np.ones((2, fan_in), int), np.ones((1, 2), int)]
    program = compile(from_arrays(hidden, [[0, fan_in + 1]]), config)
    for bit in (0, 1):
        images = np.full((2, fan_in), bit, np.uint8)
        words = carry_out(program, images).words(program.output_base, program.output_words)
        # One channel always fires and one never, so they cancel.
        assert program.decode_scores(words).tolist() == [[0], [0]]
    if bits > 3:
        narrow = dataclasses.replace(config, accumulator_bits=bits - 1)
        with pytest.raises(
            UnsupportedLayers, match=rf"takes {bits} accumulator bits, but there are {bits - 1}"
        ):
            compile(from_arrays(hidden, [[0, fan_in + 1]]), narrow)


@pytest.mark.parametrize("keep_layers", [False, True])
def test_nothing_overlaps(keep_layers):
    model = network([40, 17, 30, 8, 21, 9, 4])
    program = compile(model, WIDE, keep_layers=keep_layers)
    end = program.output_base + program.max_passes * program.output_words
    inputs = range(
        program.input_base, program.input_base + program.max_passes * program.input_words
    )
    outputs = range(program.output_base, end)
    hidden = [range(at.result_base, at.result_base + at.result.size) for at in program.places[:-1]]
    together = [inputs, outputs, *(hidden if keep_layers else ())]
    if not keep_layers:
        for before, after in itertools.pairwise(hidden):
            assert not set(before) & set(after)
        for words in hidden:
            assert not set(words) & (set(inputs) | set(outputs))
    for a, b in itertools.combinations(together, 2):
        assert not set(a) & set(b)
    used = set().union(*map(set, together), *map(set, hidden))
    assert min(used) == 1 and max(used) < WIDE.activation_depth
    # One more pass would not have fitted.
    assert end + program.input_words + program.output_words > WIDE.activation_depth
    [segment] = program.segments
    weights = [
        range(step.weight_base, step.weight_base + at.tiles * at.weight_words)
        for step, at in zip(segment.steps, program.places, strict=True)
    ]
    used = range(segment.weight_base, segment.weight_base + segment.weights.shape[1])
    assert list(itertools.chain(*weights)) == list(used)
    tiles = [
        range(step.preset_base, step.preset_base + at.tiles)
        for step, at in zip(segment.steps, program.places, strict=True)
    ]
    assert list(itertools.chain(*tiles)) == list(range(segment.presets.shape[1]))
    assert program.keeps_layers is keep_layers


def test_layers_that_are_kept_need_more_memory():
    model = network([5, 40, 40, 40, 40, 5])
    lean = compile(model, WIDE)
    kept = compile(model, WIDE, keep_layers=True)
    assert kept.max_passes < lean.max_passes


def exact(model):
    """The smallest configuration that holds ``model`` at once and in one pass, by what it uses."""
    narrow = dataclasses.replace(WIDE, accumulator_bits=6)
    program = compile(model, narrow)
    [segment] = program.segments
    return dataclasses.replace(
        narrow,
        weight_depth=1 + segment.weights.shape[1],
        preset_depth=segment.presets.shape[1],
        activation_depth=program.input_base + program.input_words + program.output_words,
        program_depth=len(segment.steps),
    )


def test_exactly_fits_and_still_computes():
    rng = np.random.default_rng(new_seed())
    model = network([31, 20, 13, 7], 3)
    program = compile(model, exact(model))
    assert program.max_passes == 1 and len(program.segments) == 1
    assert_computes(program, networks.random_images(rng, model, 2))


@pytest.mark.parametrize("field", ["weight_depth", "preset_depth", "program_depth"])
def test_one_word_short_of_resident(field):
    """What does not fit at once is run in segments, to the same scores."""
    rng = np.random.default_rng(new_seed())
    model = network([31, 20, 13, 7], 3)
    fits = exact(model)
    short = {field: getattr(fits, field) - 1, "activation_depth": 256}
    program = compile(model, dataclasses.replace(fits, **short))
    assert len(program.segments) > 1
    assert_computes(program, networks.random_images(rng, model, 2))


def test_activations_that_do_not_fit():
    model = network([31, 20, 13, 7], 3, name="thirteen")
    fits = exact(model)
    have = fits.activation_depth
    with pytest.raises(ModelDoesNotFit) as caught:
        compile(model, dataclasses.replace(fits, activation_depth=have - 1))
    assert str(caught.value) == (
        f"model 'thirteen' does not fit 3 x 2 x 5 lanes: activation_depth is {have - 1} but {have} "
        f"are needed (1 short), most of it by layer 'layer2', which takes 3 words and makes 11; "
        f"preset 'tiny' or 'small' or 'sim' would do"
    )
    with pytest.raises(ModelDoesNotFit, match="without the results of all layers it may do; "):
        compile(model, dataclasses.replace(fits, activation_depth=have - 1), keep_layers=True)


def test_a_part_of_a_layer_that_exceeds_half_of_the_memory():
    model = network([31, 20, 13, 7], 3, name="thirteen")
    with pytest.raises(ModelDoesNotFit) as caught:
        compile(model, dataclasses.replace(WIDE, weight_depth=15))
    assert str(caught.value) == (
        "model 'thirteen': the smallest part of layer 'layer0' takes 35 words of weights, 5 of presets "
        "and 1 instructions, but a segment has 7 (half of weight_depth), 32 (half of preset_depth) and "
        "64 (program_depth); preset 'tiny' or 'small' or 'sim' would do"
    )


def test_every_unsupported_layer_is_listed():
    rng = np.random.default_rng(new_seed())
    model = convolutions(rng, name="deep")
    with pytest.raises(UnsupportedLayers) as caught:
        compile(model, dataclasses.replace(WIDE, accumulator_bits=5))
    first = (
        "its sums reach 81, which takes 8 accumulator bits, but there are 5: raise accumulator_bits to "
        "8, or feed it fewer bits a pixel"
    )
    second = "its sums reach 99, which takes 8 accumulator bits, but there are 5: raise accumulator_bits to 8"
    third = "its sums reach 210, which takes 9 accumulator bits, but there are 5: raise accumulator_bits to 9"
    assert caught.value.problems == (("conv0", first), ("conv1", second), ("scores", third))
    assert str(caught.value) == (
        f"model 'deep': 3 x 2 x 5 lanes cannot run it: layer 'conv0': {first}; layer 'conv1': {second}; "
        f"layer 'scores': {third}"
    )


def test_no_preset_is_large_enough():
    model = network([480_000, 1])
    with pytest.raises(ModelDoesNotFit, match=re.escape("no preset is large enough; raise these")):
        compile(model, dataclasses.replace(WIDE, lanes=16, accumulator_bits=24))


def test_a_loop_that_counts_too_far():
    model = network([600_000, 1])
    with pytest.raises(UnsupportedLayers, match=re.escape(
        "layer 'layer0': it has 120000 words in a row of its kernel, but a loop counts to 32768: "
        "make the layer smaller"
    )):  # fmt: skip
        compile(model, dataclasses.replace(WIDE, accumulator_bits=24))


def test_only_the_sim_preset_is_large_enough():
    with pytest.raises(ModelDoesNotFit, match=r"; preset 'sim' would do$"):
        compile(network([3000, 40, 4]), dataclasses.replace(WIDE, accumulator_bits=16))


def test_steps_of_random_nests():
    """The address after each advance, against the sum over levels of index times stride."""
    rng = random.Random(new_seed())
    for _ in range(50):
        counts = [rng.randint(1, 4) for _ in range(rng.randint(1, 5))]
        strides = [rng.randrange(-40, 300) for _ in counts]
        advance = steps(counts, strides)
        assert all(0 <= step < 1 << 16 for step in advance)
        address, before = 0, None
        for index in itertools.product(*(range(count) for count in reversed(counts))):
            index = index[::-1]
            if before is not None:
                changed = [a != b for a, b in zip(before, index, strict=True)]
                # The outermost level that moved is the one that advanced.
                level = max(k for k, moved in enumerate(changed) if moved)
                address = (address + advance[level]) % (1 << 16)
            expected = sum(k * stride for k, stride in zip(index, strides, strict=True))
            assert address == expected % (1 << 16)
            before = index


def test_operations_and_useful_lanes_count_real_weights():
    model = network([31, 20, 13, 7], 3)
    program = compile(model, WIDE)
    assert program.operations == 31 * 20 + 20 * 13 + 13 * 7
    assert program.segments[0].lanes == program.operations
