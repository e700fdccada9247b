"""The fit behind the estimates: it finds known costs, keeps what was built, and its page is the package's."""

import dataclasses
import json
from pathlib import Path

import pytest

from xnorgrid.boards import fit
from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.estimate import AREA_TERMS, MODEL_FILE, FamilyModel, estimate, memory_blocks
from xnorgrid.boards.fit_page import page
from xnorgrid.boards.fitted_model import FIGURES, Measured, model_of
from xnorgrid.boards.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
MODELS = json.loads(MODEL_FILE.read_text())


def known_model():
    costs = {"control": 2000, "element": 30, "lane": 2.7, "column's lane": 2, "row's lane": 0.5}
    lut4 = tuple(costs.get(name, 0) for name in AREA_TERMS)
    flip_flop = tuple(costs.get(name, 0) / 2 for name in AREA_TERMS)
    return FamilyModel(lut4, flip_flop, (5.0, 0.4, 3.0), 2, dict.fromkeys(FIGURES, 0))


def built(sample, model):
    """What a build of ``sample`` comes to where ``model`` is the truth."""
    device = BOARDS[sample.board].device
    found = estimate(sample.config, device, model)
    blocks = memory_blocks(sample.config, device.family)
    return Measured(
        sample,
        lut4=found.resources["lut4"].used,
        flip_flop=found.resources["flip_flop"].used,
        block_ram=blocks["block_ram"] + model.tables,
        spram=blocks["spram"],
        clock=found.clock_hz if sample.route else None,
    )


@pytest.fixture
def builds():
    return [
        built(sample, known_model())
        for sample in SAMPLES
        if BOARDS[sample.board].device.family == "ecp5"
    ]


def test_known_costs_are_found(builds):
    found = model_of(builds)
    assert max(found["errors"].values()) <= 0.005
    assert found["tables"] == 2
    assert found["lut4"]["lane"] == pytest.approx(2.7, rel=0.05)


def test_errors_are_the_largest_of_what_was_held_out(builds):
    place = next(k for k, one in enumerate(builds) if one.sample.held_out)
    one = builds[place]
    builds[place] = dataclasses.replace(one, lut4=round(one.lut4 / 1.25), clock=one.clock * 1.25)
    errors = model_of(builds)["errors"]
    assert errors["lut4"] == pytest.approx(0.25, abs=0.01)
    assert errors["clock"] == pytest.approx(0.2, abs=0.01)
    assert errors["flip_flop"] <= 0.005


def test_what_is_held_out_is_not_fitted_to(builds):
    coefficients = model_of(builds)["lut4"]
    changed = [
        dataclasses.replace(one, lut4=3 * one.lut4) if one.sample.held_out else one
        for one in builds
    ]
    assert model_of(changed)["lut4"] == coefficients


def test_results_are_kept_by_sample_and_gateware(builds, tmp_path):
    path = tmp_path / "folder" / "results.json"
    results = fit.Results(path)
    for one in builds:
        results.put(one, "old")
    again = dataclasses.replace(builds[1], lut4=1)
    results.put(again, "new")
    for kept in (results, fit.Results(path)):
        assert kept.get(builds[0].sample, "old") == builds[0]
        assert kept.get(builds[0].sample, "new") is None
        assert kept.get(builds[0].sample, None) == builds[0]
        assert kept.get(builds[1].sample, "new") == again
        assert kept.get(builds[1].sample, "old") is None


def test_gateware_is_told_by_what_it_is():
    assert fit.gateware("ice40") != fit.gateware("ecp5")


@pytest.mark.parametrize("family", MODELS)
def test_the_model_is_what_its_builds_give(family):
    found = MODELS[family]
    again = model_of(Measured.from_dict(build) for build in found["builds"])
    for name in ("lut4", "flip_flop", "period_ns", "tables", "errors"):
        assert again[name] == found[name]


def test_estimates_hold_where_they_were_not_fitted():
    """Within 10 % of the routed LUTs and 15 % of the routed clock, on at least eight configurations."""
    held_out = [
        (Measured.from_dict(build), FamilyModel.from_dict(found))
        for found in MODELS.values()
        for build in found["builds"]
        if build["held_out"]
    ]
    assert len(held_out) >= 8
    for one, model in held_out:
        errors = one.errors(model)
        assert abs(errors["lut4"]) <= 0.10, one
        assert abs(errors["clock"]) <= 0.15, one


def test_no_configuration_is_both_fitted_and_held_out():
    for found in MODELS.values():
        names = [f"{build['board']} {build['fields']}" for build in found["builds"]]
        assert len(set(names)) == len(names)


def test_memories_were_counted_exactly():
    """Block RAMs of every build are those of the inventory and the same few tables."""
    for family, found in MODELS.items():
        for one in map(Measured.from_dict, found["builds"]):
            blocks = memory_blocks(one.sample.config, family)
            assert one.block_ram == blocks["block_ram"] + found["tables"], one
            assert one.spram == blocks["spram"], one


def test_the_page_is_what_the_builds_say():
    assert (ROOT / "docs" / "estimates.md").read_text() == page(MODELS)
