"""Programs against what they must compute, carried out word by word from the protocol's definitions."""

import dataclasses
import itertools
import random
import re

import numpy as np
import pytest

from xnorgrid.compile import ModelDoesNotFit, compile, steps
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import LEVELS, Instruction
from xnorgrid.packing import pack, unpack, unpack_signed
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


def instructions(program):
    size = Instruction.size // 8
    raw = [program.instructions[k : k + size] for k in range(0, len(program.instructions), size)]
    return [Instruction.from_bits(int.from_bytes(word, "little")) for word in raw]


class Machine:
    """What the protocol says an array does: memories of bits and layer programs, without any timing."""

    def __init__(self, program):
        config = program.config
        self.config = config
        self.instructions = instructions(program)
        words = program.weights.shape[1]
        self.weights = unpack(program.weights, config.lanes, words * config.lanes)
        self.weights = self.weights.reshape(config.rows, words, config.lanes)
        self.presets = unpack_signed(program.presets, config.accumulator_bits)
        self.activations = np.zeros((config.cols, config.activation_depth, config.lanes), np.uint8)
        self.written = set()

    def run(self, passes, input_stride, output_stride):
        for k in range(passes):
            for instruction in self.instructions:
                self.layer(instruction, k * input_stride, k * output_stride)

    def layer(self, instruction, input_offset, output_offset):
        counts = [instruction.count[k] + 1 for k in range(len(LEVELS))]
        assert counts[1:5] == [1, 1, 1, 1] and counts[6:] == [1, 1]
        address = instruction.activation_base + instruction.pass_input * input_offset
        weight = instruction.weight_base
        stream = [[] for _ in range(self.config.cols)]
        for tile in range(counts[5]):
            preset = self.presets[:, instruction.preset_base + tile]
            score = instruction.score_bits
            sums = np.zeros((self.config.cols, self.config.rows), int)
            sums += 0 if score else preset
            for word in range(counts[0]):
                differ = self.weights[None, :, weight] != self.activations[:, None, address]
                sums += differ.sum(2)
                weight += 1
                last = word == counts[0] - 1
                step = 0 if last else instruction.step[0]
                address = (address + step) % (1 << 16)
            if tile < counts[5] - 1:
                address = (address + instruction.step[5]) % (1 << 16)
            half = 1 << (self.config.accumulator_bits - 1)
            assert (sums >= -half).all() and (sums < half).all()
            for col, of_column in enumerate(sums):
                for bit in range(score + 1):
                    shift = self.config.accumulator_bits - 1 - bit
                    stream[col] += [int(value) >> shift & 1 for value in of_column]
        base = instruction.output_base + instruction.pass_output * output_offset
        place = range(base, base + instruction.output_words)
        for col, bits in enumerate(stream):
            padded = np.zeros(len(place) * self.config.lanes, np.uint8)
            kept = bits[: len(padded)]
            padded[: len(kept)] = kept
            self.activations[col, place.start : place.stop] = padded.reshape(len(place), -1)
        self.written |= set(place)

    def words(self, base, count):
        """Packed words (cols, count, bytes) from ``base`` on."""
        bits = self.activations[:, base : base + count]
        return pack(bits, self.config.lanes)[:, :, 0]


def carry_out(program, images):
    """Run whole passes of ``images`` and return the machine."""
    cols = program.config.cols
    machine = Machine(program)
    passes = len(images) // cols
    for index, image in enumerate(images):
        words = program.pack_images(image[None])[0]
        bits = unpack(words, program.config.lanes, program.input_words * program.config.lanes)
        start = program.input_base + index // cols * program.input_words
        place = machine.activations[index % cols, start : start + program.input_words]
        place[:] = bits.reshape(place.shape)
    machine.run(passes, program.input_words, program.output_words)
    return machine


@pytest.mark.parametrize("keep_layers", [False, True])
@pytest.mark.parametrize("case", range(6))
def test_programs_compute_the_reference(case, keep_layers):
    rng = random.Random(new_seed() + case)
    rows, lanes = rng.randint(1, 9), rng.randint(1, 9)
    config = dataclasses.replace(WIDE, rows=rows, lanes=lanes, activation_depth=4096)
    config = dataclasses.replace(config, weight_depth=4096, preset_depth=1024)
    model = network([rng.randint(1, 30) for _ in range(rng.randint(2, 5))], rng.randrange(1 << 32))
    program = compile(model, config, keep_layers=keep_layers)
    passes = min(3, program.max_passes)
    generator = np.random.default_rng(rng.randrange(1 << 32))
    images = generator.integers(0, 2, (passes * config.cols, model.input.size), dtype=np.uint8)
    machine = carry_out(program, images)
    expected = reference.layers(model, images)
    for k in range(passes):
        words = machine.words(program.output_base + k * program.output_words, program.output_words)
        of_pass = slice(k * config.cols, (k + 1) * config.cols)
        assert np.array_equal(program.decode_scores(words), expected[-1].scores[of_pass])
    if keep_layers:
        last = slice(-config.cols, None)
        for index, place in enumerate(program.places[:-1]):
            words = machine.words(place.output_base, place.output_words)
            assert np.array_equal(program.decode_layer(index, words), expected[index].bits[last])


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
    place = program.places[0]
    words = carry_out(program, images).words(place.output_base, place.output_words)
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
            ModelDoesNotFit, match=rf"accumulator_bits is {bits - 1} but {bits} are"
        ):
            compile(from_arrays(hidden, [[0, fan_in + 1]]), narrow)


@pytest.mark.parametrize("keep_layers", [False, True])
def test_nothing_overlaps(keep_layers):
    model = network([40, 17, 30, 8, 21, 9, 4])
    program = compile(model, WIDE, keep_layers=keep_layers)
    inputs = range(
        program.input_base, program.input_base + program.max_passes * program.input_words
    )
    end = program.output_base + program.max_passes * program.output_words
    outputs = range(program.output_base, end)
    hidden = [
        range(place.output_base, place.output_base + place.output_words)
        for place in program.places[:-1]
    ]
    together = [inputs, outputs, *(hidden if keep_layers else ())]
    if not keep_layers:
        for index, place in enumerate(program.places[1:-1]):
            assert not set(hidden[index]) & set(hidden[index + 1]), place.layer.name
        for words in hidden:
            assert not set(words) & (set(inputs) | set(outputs))
    for a, b in itertools.combinations(together, 2):
        assert not set(a) & set(b)
    used = set().union(*map(set, together), *map(set, hidden))
    assert min(used) == 1 and max(used) < WIDE.activation_depth
    # One more pass would not have fitted.
    assert end + program.input_words + program.output_words > WIDE.activation_depth
    weights = [
        range(place.weight_base, place.weight_base + place.tiles * place.input_words)
        for place in program.places
    ]
    assert list(itertools.chain(*weights)) == list(range(1, program.weights.shape[1]))
    tiles = [range(place.preset_base, place.preset_base + place.tiles) for place in program.places]
    assert list(itertools.chain(*tiles)) == list(range(program.presets.shape[1]))
    assert not program.weights[:, 0].any()
    assert program.keeps_layers is keep_layers


def test_layers_that_are_kept_need_more_memory():
    model = network([5, 40, 40, 40, 40, 5])
    lean = compile(model, WIDE)
    kept = compile(model, WIDE, keep_layers=True)
    assert kept.max_passes < lean.max_passes


def exact(model):
    """The smallest configuration that holds ``model`` in one pass, by what it uses."""
    narrow = dataclasses.replace(WIDE, accumulator_bits=6)
    program = compile(model, narrow)
    per_pass = program.input_words + program.output_words
    return dataclasses.replace(
        narrow,
        weight_depth=program.weights.shape[1],
        preset_depth=program.presets.shape[1],
        activation_depth=program.input_base + per_pass,
        program_depth=len(program.places),
    )


def test_exactly_fits_and_still_computes():
    model = network([31, 20, 13, 7], 3)
    program = compile(model, exact(model))
    assert program.max_passes == 1
    images = np.random.default_rng(0).integers(0, 2, (2, 31), dtype=np.uint8)
    words = carry_out(program, images).words(program.output_base, program.output_words)
    assert np.array_equal(program.decode_scores(words), reference.scores(model, images))


@pytest.mark.parametrize(
    "field",
    ["weight_depth", "preset_depth", "activation_depth", "program_depth", "accumulator_bits"],
)
def test_one_short(field):
    model = network([31, 20, 13, 7], 3, name="thirteen")
    fits = exact(model)
    have = getattr(fits, field)
    with pytest.raises(ModelDoesNotFit) as caught:
        compile(model, dataclasses.replace(fits, **{field: have - 1}))
    # A narrower accumulator also makes the scores' words fewer, so only this field is short.
    assert str(caught.value) == (
        f"model 'thirteen' does not fit 3 x 2 x 5 lanes: "
        f"{field} is {have - 1} but {have} are needed (1 short); "
        f"preset 'tiny' or 'small' or 'sim' would do"
    )


def test_all_that_is_short_is_listed():
    model = network([31, 20, 13, 7], 3)
    starved = ArrayConfig(
        rows=3, cols=2, lanes=5, weight_depth=2, activation_depth=2, preset_depth=1,
        program_depth=1, accumulator_bits=3,
    )  # fmt: skip
    message = (
        r"weight_depth is 2 but \d+ are needed \(\d+ short\); preset_depth is 1 .*; "
        r"activation_depth is 2 .*; program_depth is 1 but 3 .*; accumulator_bits is 3 but 6 "
    )
    with pytest.raises(ModelDoesNotFit, match=message):
        compile(model, starved)


def test_no_preset_is_large_enough():
    model = network([40_000, 1])
    with pytest.raises(ModelDoesNotFit, match=re.escape("(1 short); no preset is large enough")):
        compile(model, dataclasses.replace(WIDE, accumulator_bits=16, weight_depth=1 << 16,
                                           activation_depth=1 << 16))  # fmt: skip


def test_only_the_sim_preset_is_large_enough():
    with pytest.raises(ModelDoesNotFit, match=r"; preset 'sim' would do$"):
        compile(network([3000, 40, 4]), WIDE)


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
    lanes = sum(
        instruction.count[5] * instruction.tile_lanes + instruction.last_tile_lanes
        for instruction in instructions(program)
    )
    assert lanes == program.operations
