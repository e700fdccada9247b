"""Where lanes and cycles go, against sums over the instructions' own loops."""

from fractions import Fraction

import numpy as np
import pytest
from networks import random_config, random_network

from xnorgrid import load
from xnorgrid.compile import compile
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import preset
from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim.streams import new_seed
from xnorgrid.utilisation import run_use

TURNAROUND, OVERHEAD = 19, 44


def use(model, config, images=None):
    return run_use(compile(model, config), TURNAROUND, OVERHEAD, images)


def bits(rng, *shape):
    return rng.integers(0, 2, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def small_conv():
    """On ``sim``: a window of 27 inputs, 20 channels at each position, 10 scores on 16 rows."""
    rng = np.random.default_rng(1)
    layers = (
        Conv("first", bits(rng, 20, 3, 3, 3), np.full(20, 14, np.int32)),
        Conv("second", bits(rng, 8, 3, 3, 20), np.full(8, 90, np.int32), padding=(1, 1)),
        Dense("scores", bits(rng, 10, 8 * 6 * 6)),
    )
    return Model("small conv", Input((8, 8, 3)), layers)


def test_products_and_sums_are_exact_for_random_networks():
    rng = np.random.default_rng(new_seed())
    for _ in range(6):
        model = random_network(rng, operations=10_000)
        config = random_config(rng, model)
        program = compile(model, config, keep_layers=True)
        images = int(rng.integers(1, 3 * program.max_passes * config.cols + 2))
        found = run_use(program, TURNAROUND, OVERHEAD, images)
        assert [layer.cycles for layer in found.layers] == program.layer_cycles(TURNAROUND)
        for index, layer in enumerate(found.layers):
            possible = layer.cycles * config.rows * config.lanes
            assert layer.utilisation == Fraction(model.operations(index), possible)
        full, rest = divmod(images, program.max_passes * config.cols)
        runs = full * [program.max_passes]
        runs += [rest // config.cols] if rest >= config.cols else []
        runs += [1] if rest % config.cols else []
        assert found.cycles == sum(program.cycles(k, TURNAROUND, OVERHEAD) for k in runs)
        assert found.room == config.cols * sum(runs)
        report = found.report()
        # All of the run's lanes and cycles are accounted for.
        inside = found.passes * sum(layer.cycles for layer in found.layers)
        assert found.cycles == inside + found.outside
        useful = sum(
            found.passes * layer.cycles * config.lane_count * layer.utilisation * found.column_fill
            for layer in found.layers
        )
        assert useful == images * program.operations
        for entry in report:
            assert sum(entry["cycles"].values()) == entry["cycles_per_pass"]


def test_reasons_name_the_largest_losses_with_their_numbers(small_conv):
    found = use(small_conv, preset("sim"), 16)
    first, second, scores = found.layers
    # 36 positions of 3 tiles and one word; a border of 28 positions; the layer and three parts of the border.
    assert (first.beats, first.border, first.between) == (108, 84, 4 * TURNAROUND)
    assert found.reasons(first) == [
        "filling the padding around its results takes 84 of 268 cycles",
        "array waits 76 of 268 cycles between its 4 instructions",
        "20 channels on 24 rows",
        "27 of 32 lanes used by a window of 3x3x3",
    ]
    assert found.reasons(second) == ["20 of 32 lanes used by the channels of each position"]
    assert (scores.lanes, scores.rows, scores.beats) == ((8, 32), (10, 16), 72)
    assert found.reasons(scores) == [
        "8 of 32 lanes used by the channels of each position",
        "10 channels on 16 rows",
        "15 further bits of each score take 30 of 121 cycles",
    ]


def test_reasons_of_a_dense_network():
    found = use(load("digits"), preset("sim"), 16)
    assert [found.reasons(layer) for layer in found.layers] == [
        ["array waits 19 of 51 cycles between layers"],
        ["array waits 19 of 83 cycles between layers"],
        [
            "15 further bits of each score take 30 of 57 cycles",
            "10 channels on 16 rows",
            "array waits 19 of 57 cycles between layers",
        ],
    ]


def test_no_reasons_from_nine_tenths_on():
    """19 cycles between layers after 171 or 170 beats: 90 % or a little less."""
    inputs = 57 * 32
    layers = [np.ones((24, inputs), int), np.ones((1, 24), int)]
    good = use(from_arrays(layers, [0]), preset("sim"), 8)
    assert good.layers[0].utilisation == Fraction(9, 10)
    assert good.reasons(good.layers[0]) == []
    few = use(from_arrays(layers, [0]), preset("sim"), 1)
    assert few.reasons(few.layers[0]) == ["1 of 8 columns of all passes hold an image"]
    worse = run_use(compile(from_arrays(layers, [0]), preset("sim")), TURNAROUND + 1, OVERHEAD, 8)
    assert worse.reasons(worse.layers[0]) == ["array waits 20 of 191 cycles between layers"]


def test_empty_columns_and_waits_for_the_packer():
    model = from_arrays([np.ones((6, 7), int), np.ones((3, 6), int)], [3])
    found = use(model, preset("tiny"), 3)
    assert (found.passes, found.room, found.column_fill) == (2, 4, Fraction(3, 4))
    first = found.layers[0]
    # Two tiles of two words each; three rows are packed one by one.
    assert (first.beats, first.packing) == (4, 1)
    assert "3 of 4 columns of all passes hold an image" in found.reasons(first)
    assert found.report()[0]["utilisation"] == float(first.utilisation * Fraction(3, 4))
    assert found.report()[0]["column_fill"] == 0.75
    wide = use(from_arrays([np.ones((60, 5), int), np.ones((3, 60), int)], [3]), preset("tiny"))
    assert "array waits 38 of 77 cycles for results to be packed" in wide.reasons(wide.layers[0])
    assert (wide.images, wide.room) == (wide.passes * 2, wide.passes * 2)
