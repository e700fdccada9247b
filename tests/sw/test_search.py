"""The search: what it names holds the model, fits the device, and is not beaten by what is known to fit."""

import dataclasses

import pytest

from xnorgrid import load
from xnorgrid.boards.catalogue import board
from xnorgrid.boards.clocks import at_most
from xnorgrid.boards.estimate import estimate
from xnorgrid.compile import compile
from xnorgrid.hw.config import ConfigError
from xnorgrid.hw.core import timing
from xnorgrid.inspection import fit
from xnorgrid.needs import needs
from xnorgrid.search import grown, search


@pytest.fixture(scope="module")
def digits():
    return search(load("digits"), board("tang-nano-9k"))


def test_candidates_hold_the_model_and_fit(digits):
    assert digits.tried > 100
    for candidate in digits.candidates[:10]:
        assert candidate.estimate.routable
        exact = fit(load("digits"), candidate.config)
        assert exact["segments"] == 1
        assert candidate.cycles_per_image == exact["cycles_per_image"]
        speed = candidate.estimate.clock_hz / exact["cycles_per_image"]
        assert candidate.images_per_second == speed


def test_candidates_are_ranked_and_shapes_are_named_once(digits):
    speeds = [candidate.images_per_second for candidate in digits.candidates]
    assert speeds == sorted(speeds, reverse=True)
    shapes = [(one.config.rows, one.config.lanes) for one in digits.candidates]
    assert len(set(shapes)) == len(shapes)


def test_the_ceiling_is_kept():
    chosen = board("tang-nano-9k")
    for candidate in search(load("digits"), chosen, ceiling=0.5).candidates:
        for name in ("lut4", "flip_flop"):
            resource = candidate.estimate.resources[name]
            assert resource.used <= 0.5 * resource.total


def test_arrays_of_a_least_clock_have_the_most_columns_that_reach_it(network):
    """Or the shares of these that are tried, too."""
    model, *_ = network
    chosen = board("ulx3s")
    free = search(model, chosen)
    slowest = min(candidate.estimate.clock_hz for candidate in free.candidates)
    least_hz = (slowest + free.fastest_hz) / 2

    def allowed(config, tiles):
        wide = dataclasses.replace(config, cols=tiles * config.tile_cols)
        found = estimate(wide, chosen.device)
        return found.routable and found.clock_hz >= least_hz

    found = search(model, chosen, least_hz=least_hz)
    assert all(candidate.estimate.clock_hz >= least_hz for candidate in found.candidates)
    for candidate in found.candidates[::5]:
        config = candidate.config
        most = max(tiles for tiles in range(1, 257) if allowed(config, tiles))
        assert config.grid_cols in {int(most * share) for share in (1.0, 0.8, 0.6)}


def test_the_fastest_clock_is_what_some_array_reaches(network):
    model, *_ = network
    chosen = board("icebreaker")
    fastest_hz = search(model, chosen).fastest_hz
    found = search(model, chosen, least_hz=fastest_hz)
    assert max(candidate.estimate.clock_hz for candidate in found.candidates) == fastest_hz
    found = search(model, chosen, least_hz=fastest_hz + 1)
    assert found.candidates == [] and found.fastest_hz == fastest_hz


def test_lfc_on_the_85f_is_as_fast_as_what_is_known_to_fit():
    model, chosen = load("lfc"), board("ulx3s")
    known = dataclasses.replace(
        chosen.config, rows=22, cols=8, lanes=72, tile_rows=2, tile_cols=2, weight_depth=2048,
        activation_depth=512, preset_depth=256, accumulator_bits=12,
    )  # fmt: skip
    expected = estimate(known, chosen.device)
    assert expected.routable
    rest = timing(known)
    cycles = needs(model, known).cycles_per_image(known, rest.turnaround, rest.overhead)
    best = search(model, chosen).candidates[0]
    assert best.images_per_second >= expected.clock_hz / cycles
    assert len(compile(model, best.config).segments) == 1


def test_no_array_of_a_small_device_holds_a_large_model():
    found = search(load("lfc"), board("icebreaker"))
    assert found.candidates == [] and found.fastest_hz is None


def test_depths_grow_only_while_that_costs_nothing():
    chosen = board("ulx3s")
    config = dataclasses.replace(
        chosen.config, lanes=36, weight_depth=300, activation_depth=513, preset_depth=100
    )
    memory = estimate(config, chosen.device).resources["block_ram"]
    for field, depth in (("weight_depth", 512), ("activation_depth", 1024)):
        larger = grown(config, field, chosen)
        assert getattr(larger, field) == depth
        assert estimate(larger, chosen.device).resources["block_ram"] == memory
        more = dataclasses.replace(larger, **{field: depth + 1})
        assert estimate(more, chosen.device).resources["block_ram"].used > memory.used


def test_clocks_are_those_of_the_board():
    chosen = board("ulx3s")
    fast = at_most(chosen, chosen.config, 100e6)
    assert fast.clock_hz == 100_000_000
    slower = at_most(chosen, chosen.config, 99.99e6)
    assert 90_000_000 < slower.clock_hz < 99_990_000
    with pytest.raises(ConfigError, match=r"no clock up to 2\.0 MHz"):
        at_most(chosen, chosen.config, 2e6)
