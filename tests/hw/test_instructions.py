"""Single instructions on the core, without a compiler: what they compute and how many cycles they take."""

import math

import numpy as np
import pytest

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.core import Core, timing
from xnorgrid.hw.protocol import Instruction, Region
from xnorgrid.instructions import loops
from xnorgrid.packing import pack, pack_signed, unpack, word_bytes
from xnorgrid.sim.bus import read_words, write_words
from xnorgrid.sim.streams import new_seed, simulate


def configuration(rows, cols, lanes):
    return ArrayConfig(
        rows=rows, cols=cols, lanes=lanes,
        weight_depth=256, activation_depth=512, preset_depth=128, accumulator_bits=10,
    )  # fmt: skip


def execute(config, segments, activations):
    """Run each of ``segments`` once, in all columns; write the next one's weights and presets meanwhile.

    A segment is (instructions, weights, presets): the fields of each instruction, and bits (rows, words,
    lanes) and numbers (rows, words) that go behind those of the segments before. ``activations`` (cols,
    words, lanes) are bits, from word 0 on. Returns them as they are afterwards, and the counters (busy,
    stalled, useful).
    """
    core = Core(config)
    bus, control = core.memory, core.control
    cols, words, _ = activations.shape
    after, counters = np.empty_like(activations), []
    used = {Region.WEIGHTS: 0, Region.PRESETS: 0}

    async def fill(ctx, weights, presets):
        """Returns whether the run goes on; it is written as fast as the bus takes it."""
        for region, values in (
            (Region.WEIGHTS, pack(weights, config.lanes)[:, :, 0]),
            (Region.PRESETS, pack_signed(presets, config.accumulator_bits)),
        ):
            for row in range(config.rows):
                await write_words(ctx, bus, region, row, used[region], values[row])
            used[region] += values.shape[1]
        return ctx.get(control.running)

    async def bench(ctx):
        for col in range(cols):
            values = pack(activations[col], config.lanes)[:, 0]
            await write_words(ctx, bus, Region.ACTIVATIONS, col, 0, values)
        await fill(ctx, *segments[0][1:])
        for k, (instructions, *_) in enumerate(segments):
            for index, fields in enumerate(instructions):
                const = Instruction.const({**fields, "last": index == len(instructions) - 1})
                raw = const.as_bits().to_bytes(Instruction.size // 8, "little")
                raw = np.frombuffer(raw, np.uint8).reshape(-1, 4)
                await write_words(ctx, bus, Region.PROGRAM, 0, index * len(raw), raw)
            ctx.set(control.run, {"lanes": k + 1})
            ctx.set(control.start, 1)
            await ctx.tick()
            ctx.set(control.start, 0)
            if k + 1 < len(segments):
                assert await fill(ctx, *segments[k + 1][1:])
            running = 1
            while running:
                *_, running = await ctx.tick().sample(control.running)
        counters.extend(
            ctx.get(n) for n in (control.busy_cycles, control.stalled_cycles, control.useful_lanes)
        )
        for col in range(cols):
            size = word_bytes(config.lanes)
            read = await read_words(ctx, bus, Region.ACTIVATIONS, col, 0, words, size)
            after[col] = unpack(read[:, None], config.lanes, config.lanes)

    simulate(core, bench, cycles=200_000)
    return after, tuple(counters)


def cycles_of(config, programs):
    """Cycles of a run: of each instruction from its first beat to its last, and those around them."""
    cycles = timing(config).overhead + (len(programs) - 1) * timing(config).turnaround
    for counts in programs:
        beats, results = math.prod(counts[:5]), math.prod(counts[5:])
        cycles += beats + (results - 1) * max(beats, config.pack_cycles)
    return cycles


def by_row(values, config):
    """(outputs, …) to (rows, tiles, …), zeros beyond the last output."""
    tiles = -(-len(values) // config.rows)
    padded = np.zeros((tiles * config.rows, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded.reshape(tiles, config.rows, *values.shape[1:]).swapaxes(0, 1)


@pytest.mark.parametrize("window_presets", [False, True])
@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "parts", "streamed"),
    [
        (2, 2, 4, (5,), False),
        (2, 2, 4, (4, 5), False),
        (3, 2, 5, (15, 1), True),
        (4, 1, 4, (4, 8, 3), True),
        (6, 1, 4, (12, 7), True),
    ],
)
def test_pooled_convolution_of_pixel_planes(rows, cols, lanes, parts, streamed, window_presets):
    """3x3 on 3-bit pixels, 2x2 pooling, thresholds of each window position, channels in parts.

    Each part is an instruction that writes its words of every position between those of the others; if
    ``streamed``, it is a program of its own, and its weights come while the part before runs.
    """
    rng = np.random.default_rng(new_seed())
    config = configuration(rows, cols, lanes)
    planes, height, width, inputs, kernel = 3, 6, 8, 2, 3
    outputs = sum(parts)
    pixels = rng.integers(0, 1 << planes, (cols, height, width, inputs))
    weights = rng.integers(0, 2, (outputs, kernel, kernel, inputs), dtype=np.uint8)
    fan_in = kernel * kernel * inputs
    full = fan_in * ((1 << planes) - 1)
    # A neuron fires below this disagreement: (outputs, window position).
    limits = rng.integers(full // 4, 3 * full // 5, (outputs, 4 if window_presets else 1))

    # What it must give: per position the weighted disagreements, then OR over 2 x 2 positions.
    bits_of = ((pixels[..., None] >> np.arange(planes)) & 1).astype(np.uint8)
    places = 1 << np.arange(planes)
    positions_y, positions_x = height - kernel + 1, width - kernel + 1
    fires = np.zeros((cols, positions_y, positions_x, outputs), np.uint8)
    for y in range(positions_y):
        for x in range(positions_x):
            window = bits_of[:, None, y : y + kernel, x : x + kernel]
            differ = ((window != weights[None, ..., None]) * places).sum((2, 3, 4, 5))
            fires[:, y, x] = differ < limits[:, (y % 2 * 2 + x % 2) % limits.shape[1]]
    pooled_y, pooled_x = positions_y // 2, positions_x // 2
    pooled = fires.reshape(cols, pooled_y, 2, pooled_x, 2, outputs).max((2, 4))

    part_words = [-(-part // lanes) for part in parts]
    pitch = sum(part_words) + (len(parts) > 1)  # a word between positions stays as it was
    row_gap = 2
    memory = rng.integers(0, 2, (cols, 1 + planes * height * width + 150, lanes), dtype=np.uint8)
    memory[:, 0] = 0
    image = np.zeros((cols, planes, height * width, lanes), np.uint8)
    # Most significant plane first: the accumulator doubles from plane to plane.
    image[..., :inputs] = np.moveaxis(bits_of, -1, 1)[:, ::-1].reshape(cols, planes, -1, inputs)
    out_base = 1 + planes * height * width + 3
    memory[:, 1 : out_base - 3] = image.reshape(cols, -1, lanes)
    expected = memory.copy()

    # The first part's words have others before them.
    weight_words = [np.zeros((rows, 1, lanes), np.uint8)]
    preset_words = [np.full((rows, 2), -1)]
    instructions, programs, first, word = [], [], 0, 0
    for part, words in zip(parts, part_words, strict=True):
        channels = slice(first, first + part)
        taps = np.zeros((part, kernel * kernel, lanes), np.uint8)
        taps[..., :inputs] = weights[channels].reshape(part, -1, inputs)
        presets = -limits[channels]
        # The highest bits first, then one more bit with each plane.
        presets = np.stack(
            [presets >> (planes - 1), *((presets >> k) & 1 for k in reversed(range(planes - 1)))],
            axis=2,
        )
        tiles = -(-part // rows)
        counts = [kernel, kernel, planes, 2, 2, tiles, pooled_x, pooled_y]
        strides = [1, width, height * width, 1, width, 0, 2, 2 * width]
        instructions.append(
            {
                **loops(counts, strides, window_presets=window_presets),
                "activation_base": 1,
                "base": {
                    "weight": sum(block.shape[1] for block in weight_words),
                    "preset": sum(block.shape[1] for block in preset_words),
                },
                "output_base": out_base + word,
                "output_words": words,
                "output_step": pitch - words,
                "output_row_step": row_gap,
            }
        )
        programs.append(counts)
        weight_words.append(by_row(taps, config).reshape(rows, -1, lanes))
        preset_words.append(by_row(presets, config).reshape(rows, -1))
        for y in range(pooled_y):
            for x in range(pooled_x):
                at = out_base + y * row_gap + (y * pooled_x + x) * pitch + word
                bits = np.zeros((cols, words * lanes), np.uint8)
                bits[:, :part] = pooled[:, y, x, channels]
                expected[:, at : at + words] = bits.reshape(cols, words, lanes)
        first += part
        word += words

    if streamed:
        segments = [
            ([instruction], weights, presets)
            for instruction, weights, presets in zip(
                instructions,
                [np.concatenate(weight_words[:2], 1), *weight_words[2:]],
                [np.concatenate(preset_words[:2], 1), *preset_words[2:]],
                strict=True,
            )
        ]
        cycles = sum(cycles_of(config, [counts]) for counts in programs)
    else:
        segments = [
            (instructions, np.concatenate(weight_words, 1), np.concatenate(preset_words, 1))
        ]
        cycles = cycles_of(config, programs)
    after, (busy, stalled, useful) = execute(config, segments, memory)
    assert (after == expected).all()
    assert busy == cycles
    assert stalled == busy - sum(math.prod(counts) for counts in programs)
    assert useful == len(segments) * (len(segments) + 1) // 2


@pytest.mark.parametrize(
    ("rows", "cols", "lanes"),
    [(1, 1, 1), (6, 2, 4), (4, 1, 6), (3, 2, 5), (5, 1, 3), (8, 2, 32), (14, 1, 64), (16, 1, 4)],
)
def test_fill_with_constant_words(rows, cols, lanes):
    """One beat a tile on word 0 writes any bit of each channel, whatever the weights, to a rectangle."""
    rng = np.random.default_rng(new_seed())
    config = configuration(rows, cols, lanes)
    channels = int(rng.integers(1, 3 * max(rows, lanes) + 1))
    bits = rng.integers(0, 2, channels, dtype=np.uint8)
    words, tiles = -(-channels // lanes), -(-channels // rows)
    pitch = words + int(rng.integers(0, 3))
    map_width, left, top, across, down = 5, 1, 2, 3, 2
    # Any weights: even where all lanes disagree with word 0, the sign is the preset's.
    weights = rng.integers(0, 2, (rows, 1 + tiles, lanes), dtype=np.uint8)
    weights[::2] = 1
    weights[:, 0] = 0
    presets = by_row(-(lanes + 1) * bits.astype(np.int64), config)
    memory = rng.integers(0, 2, (cols, 1 + map_width * 5 * pitch, lanes), dtype=np.uint8)
    memory[:, 0] = 0
    expected = memory.copy()
    value = np.zeros(words * lanes, np.uint8)
    value[:channels] = bits
    for y in range(top, top + down):
        for x in range(left, left + across):
            at = 1 + (y * map_width + x) * pitch
            expected[:, at : at + words] = value.reshape(words, lanes)
    counts = (1, 1, 1, 1, 1, tiles, across, down)
    instruction = {
        **loops(counts, [0] * len(counts)),
        "base": {"weight": 1},
        "output_base": 1 + (top * map_width + left) * pitch,
        "output_words": words,
        "output_step": pitch - words,
        "output_row_step": (map_width - across) * pitch,
    }
    after, (busy, stalled, useful) = execute(config, [([instruction], weights, presets)], memory)
    assert (after == expected).all()
    assert busy == cycles_of(config, [counts])
    assert stalled == busy - math.prod(counts)
    assert useful == 1
