import itertools
import random

import pytest

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import LEVELS, Instruction, Region
from xnorgrid.hw.sequencer import Sequencer
from xnorgrid.instructions import loops
from xnorgrid.sim.bus import read_words, write_words
from xnorgrid.sim.streams import new_seed, simulate

CONFIG = ArrayConfig(
    rows=6, cols=2, lanes=4, weight_depth=1024, activation_depth=4096, preset_depth=64,
    accumulator_bits=8, program_depth=4,
)  # fmt: skip
DRAIN = 7
SUM, WINDOW = range(3), range(3, 5)


class Layer:
    """A random layer and the beats that it must give, written as plain nested loops."""

    def __init__(self, rng, last):
        self.scores = rng.random() < 0.3
        self.counts = [rng.randint(1, 3) for _ in LEVELS]
        if self.scores:
            self.counts[3] = self.counts[4] = 1
        self.strides = [rng.randrange(-3, 9) for _ in LEVELS]
        self.base, self.weights, self.presets = (rng.randrange(n) for n in (2000, 300, 20))
        self.weights += 1  # word 0 marks the extra beats of scores
        self.pass_input, self.window_presets = rng.random() < 0.5, rng.random() < 0.5
        self.fields = {
            "last": last,
            "pass_input": self.pass_input,
            "score_bits": CONFIG.accumulator_bits - 1 if self.scores else 0,
            "activation_base": self.base,
            "base": {"weight": self.weights, "preset": self.presets},
            **loops(self.counts, self.strides, window_presets=self.window_presets),
        }

    def beats(self, offset):
        """(weight address, activation address, preset address, first, double, result or None)."""
        words = self.counts[0] * self.counts[1]
        for outer in itertools.product(*(range(n) for n in reversed(self.counts))):
            word, row, plane, wx, wy, tile, _x, _y = at = outer[::-1]
            end = [k == n - 1 for k, n in zip(at, self.counts, strict=True)]
            activation = self.base + (offset if self.pass_input else 0)
            activation += sum(k * stride for k, stride in zip(at, self.strides, strict=True))
            weight = self.weights + tile * words + row * self.counts[0] + word
            sums = tile
            if self.window_presets:
                sums = (tile * self.counts[4] + wy) * self.counts[3] + wx
            start = word == 0 and row == 0
            result = None
            if all(end[:3]):
                position_end = end[5] and not self.scores
                result = (wx == 0 and wy == 0, end[3] and end[4], position_end, end[6])
            yield (
                weight, activation % 4096, (self.presets + sums * self.counts[2] + plane) % 64,
                start and plane == 0, start and plane != 0, result,
            )  # fmt: skip
            if result and self.scores:
                for k in range(CONFIG.accumulator_bits - 1):
                    last = k == CONFIG.accumulator_bits - 2
                    yield 0, 0, None, False, True, (True, True, last and end[5], end[6])


async def load(ctx, dut, layers):
    for k, layer in enumerate(layers):
        raw = Instruction.const(layer.fields).as_bits().to_bytes(Instruction.size // 8, "little")
        words = [raw[i : i + 4] for i in range(0, len(raw), 4)]
        await write_words(ctx, dut.memory, Region.PROGRAM, 0, k * len(words), words)


async def start(ctx, dut, **run):
    ctx.set(dut.control.run, run)
    ctx.set(dut.control.start, 1)
    await ctx.tick()
    ctx.set(dut.control.start, 0)


@pytest.mark.parametrize("case", range(8))
def test_beats_of_random_programs(case):
    rng = random.Random(new_seed() + case)
    layers = [Layer(rng, last=k == 2) for k in range(3)]
    passes, lanes, stride = rng.randint(1, 2), rng.randrange(1 << 63), rng.randrange(50)
    dut = Sequencer(CONFIG, DRAIN)
    beats, begins, spacing = [], 0, []

    async def bench(ctx):
        nonlocal begins
        await load(ctx, dut, layers)
        run = {"passes": passes - 1, "lanes": lanes, "input_stride": stride}
        await start(ctx, dut, **run)
        running = 1
        since = 100
        while running:
            *_, beat, begin, running = await ctx.tick().sample(
                dut.beat, dut.begin, dut.control.running
            )
            begins += begin
            since += 1
            if not beat.accumulate.valid:
                assert not beat.result.valid
                continue
            result = None
            if beat.result.valid:
                result = (
                    beat.result.window_first, beat.result.window_last,
                    beat.result.position_end, beat.result.row_end,
                )  # fmt: skip
                if beat.result.window_last:
                    spacing.append(since)
                    since = 0
            first, double = beat.accumulate.first, beat.accumulate.double
            preset = beat.preset_address if first or (double and beat.weight_address) else None
            beats.append(
                (beat.weight_address, beat.activation_address, preset, first, double, result)
            )
        assert ctx.get(dut.control.useful_lanes) == passes * lanes
        busy, stalled = ctx.get(dut.control.busy_cycles), ctx.get(dut.control.stalled_cycles)
        assert busy - stalled == len(beats)
        ctx.set(dut.control.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.control.useful_lanes) == ctx.get(dut.control.busy_cycles) == 0

    simulate(dut, bench)
    expected = [
        (
            weight,
            activation,
            preset if first or (double and weight) else None,
            first,
            double,
            result,
        )
        for k in range(passes)
        for layer in layers
        for weight, activation, preset, first, double, result in layer.beats(k * stride)
    ]

    def comparable(beat):
        *head, result = beat
        # Where a position ends only counts with the last result of a window, where a row ends with a
        # position's.
        if result is not None:
            result = result[: 2 + result[1] + (result[1] and result[2])]
        return (*head, result)

    assert [comparable(beat) for beat in beats] == [comparable(beat) for beat in expected]
    assert begins == passes * len(layers)
    assert min(spacing) >= CONFIG.pack_cycles


@pytest.mark.parametrize(("rows", "lanes"), [(4, 4), (6, 4), (7, 8), (31, 4)])
@pytest.mark.parametrize("scores", [False, True])
def test_cycles_of_an_instruction(rows, lanes, scores):
    """Exactly as many as results and beats ask for, whether packing or the sums take longer."""
    rng = random.Random(new_seed())
    config = ArrayConfig(
        rows=rows, cols=2, lanes=lanes, weight_depth=1024, activation_depth=4096, preset_depth=64,
        accumulator_bits=8,
    )  # fmt: skip
    dut = Sequencer(config, DRAIN + config.pack_cycles)
    pack = config.pack_cycles

    async def bench(ctx):
        for case in range(4 if scores else 12):
            layer = Layer(rng, last=True)
            layer.scores = scores
            layer.counts = [rng.randint(1, 1 + case % 4) for _ in LEVELS]
            layer.counts[5] = rng.randint(1, 4)
            if scores:
                layer.counts[3] = layer.counts[4] = 1
            layer.fields |= loops(layer.counts, layer.strides, window_presets=layer.window_presets)
            layer.fields["score_bits"] = score_bits = 7 if scores else 0
            await load(ctx, dut, [layer])
            ctx.set(dut.control.clear, 1)
            await ctx.tick()
            ctx.set(dut.control.clear, 0)
            await start(ctx, dut, lanes=case + 1)
            given, running = [], 1
            while running:
                *_, valid, running = await ctx.tick().sample(
                    dut.beat.accumulate.valid, dut.control.running
                )
                given.append(valid)
            first, last = given.index(1), len(given) - 1 - given[::-1].index(1)

            word, row, plane, window_x, window_y, tile, x, y = layer.counts
            beats, results = window_x * window_y * word * row * plane, tile * x * y
            tail = score_bits * pack
            cycles = beats + tail + (results - 1) * (max(beats, pack) + tail)
            assert last - first + 1 == cycles
            assert ctx.get(dut.control.busy_cycles) == cycles + dut.timing.overhead
            valid_beats = results * (beats + score_bits)
            assert ctx.get(dut.control.stalled_cycles) == (
                cycles + dut.timing.overhead - valid_beats
            )
            assert ctx.get(dut.control.useful_lanes) == case + 1

    simulate(dut, bench)


def test_abort_from_every_cycle_returns_to_idle_and_runs_again():
    rng = random.Random(new_seed())
    layers = [Layer(rng, last=k == 1) for k in range(2)]
    for layer in layers:
        layer.fields |= loops([2, 1, 2, 1, 1, 2, 1, 1], layer.strides)
        layer.fields["score_bits"] = 3
    dut = Sequencer(CONFIG, DRAIN)
    lengths = []

    async def beats_of_run(ctx, abort_at=None):
        await start(ctx, dut, lanes=1000)
        beats = []
        for cycle in itertools.count():
            ctx.set(dut.control.abort, cycle == abort_at)
            ctx.set(dut.control.clear, cycle == abort_at)
            *_, beat, running = await ctx.tick().sample(dut.beat, dut.control.running)
            if beat.accumulate.valid:
                beats.append((beat.weight_address, beat.activation_address))
            if not running:
                return cycle, beats

    async def bench(ctx):
        await load(ctx, dut, layers)
        cycles, whole = await beats_of_run(ctx)
        for abort_at in range(cycles):
            length, _ = await beats_of_run(ctx, abort_at)
            assert length <= abort_at + dut.timing.finish + 3
            lengths.append(length)
            # The pass may have come to its end.
            before = ctx.get(dut.control.useful_lanes)
            assert before in (0, 1000)
            assert (await beats_of_run(ctx))[1] == whole
            assert ctx.get(dut.control.useful_lanes) - before == 1000

    simulate(dut, bench)
    assert lengths


def test_program_reads_back():
    rng = random.Random(new_seed())
    layers = [Layer(rng, last=True)]
    dut = Sequencer(CONFIG, DRAIN)

    async def bench(ctx):
        await load(ctx, dut, layers)
        raw = (
            Instruction.const(layers[0].fields).as_bits().to_bytes(Instruction.size // 8, "little")
        )
        words = await read_words(ctx, dut.memory, Region.PROGRAM, 0, 0, len(raw) // 4, 4)
        assert words.tobytes() == raw

    simulate(dut, bench)
