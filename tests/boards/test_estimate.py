"""Estimates: exact sums of a known model, exact memories, and what is said of what does not fit."""

import dataclasses
import time

import pytest

from xnorgrid.boards.catalogue import BOARDS, board
from xnorgrid.boards.devices import DEVICES
from xnorgrid.boards.estimate import AREA_TERMS, PERIOD_TERMS, ROUTABLE, FamilyModel, estimate
from xnorgrid.boards.fitting import require_fit, smaller, surely_short
from xnorgrid.boards.report import Resource
from xnorgrid.boards.toolchain import DoesNotFit
from xnorgrid.hw.inventory import memories

LFC = dataclasses.replace(
    board("ulx3s").config, rows=22, cols=8, lanes=72, tile_rows=2, tile_cols=2, weight_depth=2048,
    activation_depth=512, preset_depth=256, accumulator_bits=12,
)  # fmt: skip


def model(errors=0.1, period=(4.0, 0.5, 2.0), **costs):
    """A model in which only the named terms cost LUTs, and control alone flip-flops."""
    lut4 = tuple(costs.get(name, 0) for name in AREA_TERMS)
    flip_flop = tuple(1000 if name == "control" else 0 for name in AREA_TERMS)
    figures = dict.fromkeys(("lut4", "flip_flop", "clock"), errors)
    return FamilyModel(lut4, flip_flop, period, 0, figures)


def test_a_sum_of_what_each_part_costs():
    device = DEVICES["ecp5-85f"]
    found = estimate(LFC, device, model(control=1500, lane=3, element=40))
    assert found.resources["lut4"] == Resource(1500 + 22 * 8 * (72 * 3 + 40), device.luts)
    assert found.resources["flip_flop"] == Resource(1000, device.flip_flops)
    luts = 1500 + 22 * 8 * (72 * 3 + 40)
    period = 4 + 0.5 * (luts / 1000) ** 0.5 + 2 * (luts / device.luts) ** 4
    assert found.clock_hz == pytest.approx(1e9 / period, rel=1e-3)


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("control", 1),
        ("element", 176),
        ("lane", 176 * 72),
        ("accumulator bit", 176 * 12),
        # 22 rows pass their words through 4 tile columns, 8 columns through 11 tile rows.
        ("operand bit", 72 * (22 * 4 + 8 * 11)),
        ("preset bit", 22 * 4 * 12),
        ("tile row", 11),
        ("row", 22),
        ("row's lane", 22 * 72),
        ("tile column", 4),
        ("column's lane", 8 * 72),
        ("column's row", 8 * 22),
        ("edge's lane", (11 + 4) * 72),
        # 2048 words of 9 bits are one block: no multiplexers.
        ("bank's bit", 0),
    ],
)
def test_terms_count_what_they_say(term, value):
    assert AREA_TERMS[term](LFC, "ecp5") == value


def test_deep_memories_take_multiplexers():
    deeper = dataclasses.replace(LFC, activation_depth=512 * 19)
    # 19 blocks of 512 x 36 are fewer than 36 or more of any other shape.
    assert AREA_TERMS["bank's bit"](deeper, "ecp5") == 8 * 72 * 18


def test_memories_are_those_of_the_inventory():
    found = estimate(LFC, DEVICES["ecp5-85f"])
    weights = next(memory for memory in memories(LFC) if memory.name == "weights")
    assert (weights.count, weights.width, weights.depth) == (22, 72, 2048)
    # 2048 words of 72 bits are 8 blocks of 2048 x 9, and a column's 512 are two of 512 x 36.
    assert found.resources["block_ram"].used >= 22 * 8 + 8 * 2
    deeper = dataclasses.replace(LFC, weight_depth=4096)
    more = estimate(deeper, DEVICES["ecp5-85f"]).resources["block_ram"].used
    assert more == found.resources["block_ram"].used + 22 * 8
    assert "block_ram" in estimate(deeper, DEVICES["ecp5-85f"]).shortages


def test_tables_take_block_rams_too():
    device = DEVICES["ecp5-85f"]
    without, with_tables = (
        estimate(LFC, device, dataclasses.replace(model(), tables=tables)) for tables in (0, 6)
    )
    used = without.resources["block_ram"].used
    assert with_tables.resources["block_ram"] == Resource(used + 6, device.block_rams)


def test_only_the_device_with_sprams_uses_them():
    assert estimate(board("icebreaker").config, DEVICES["up5k"]).resources["spram"].total == 4
    assert "spram" not in estimate(LFC, DEVICES["ecp5-85f"]).resources


@pytest.mark.parametrize("name", BOARDS)
def test_the_boards_own_configurations_fit(name):
    assert require_fit(BOARDS[name].config, BOARDS[name].device).fits


def test_an_estimate_takes_less_than_a_tenth_of_a_second():
    start = time.perf_counter()
    for rows in range(1, 101):
        estimate(dataclasses.replace(LFC, rows=2 * rows), DEVICES["ecp5-85f"])
    assert time.perf_counter() - start < 10


def test_what_does_not_fit_is_named_with_what_would():
    config = dataclasses.replace(LFC, weight_depth=4096)
    with pytest.raises(DoesNotFit) as refused:
        require_fit(config, DEVICES["ecp5-85f"])
    used = estimate(config, DEVICES["ecp5-85f"]).resources["block_ram"].used
    message = str(refused.value)
    assert message.startswith("22 x 8 x 72 lanes do not fit Lattice LFE5U-85F: ")
    over = used - 208
    assert (
        f"{used} block RAMs are needed (exactly) and there are 208: {over} or {over / 208:.0%} over"
        in message
    )
    changes = dict(smaller(config, DEVICES["ecp5-85f"]))
    assert changes and " or ".join(f"{k}={v}" for k, v in changes.items()) in message


def test_another_board_is_named_where_one_would_do():
    config = dataclasses.replace(LFC, rows=8, activation_depth=256, preset_depth=64)
    with pytest.raises(DoesNotFit, match="or board ulx3s would do"):
        require_fit(config, DEVICES["ecp5-25f"])
    huge = dataclasses.replace(LFC, rows=500, cols=500)
    with pytest.raises(DoesNotFit, match="no single change and no board would do"):
        require_fit(huge, DEVICES["up5k"])


@pytest.mark.parametrize("field", ["rows", "cols", "weight_depth"])
def test_changes_are_the_largest_that_do(field):
    config, device = dataclasses.replace(LFC, rows=24, weight_depth=4096), DEVICES["ecp5-85f"]
    if field == "cols":
        config = dataclasses.replace(LFC, rows=12, cols=40)
    value = dict(smaller(config, device))[field]
    step = {"rows": 2, "cols": 2}.get(field, 1)
    assert estimate(dataclasses.replace(config, **{field: value}), device).routable
    more = dataclasses.replace(config, **{field: value + step})
    assert not estimate(more, device).routable


def test_what_may_fit_within_the_error_is_not_refused():
    device = DEVICES["ecp5-25f"]
    # 4 % too much: certain only if the estimate is that good.
    costs = {"control": round(1.04 * device.luts)}
    loose, tight = (estimate(LFC, device, model(errors, **costs)) for errors in (0.1, 0.01))
    assert not loose.fits and not tight.fits
    assert "lut4" in tight.shortages
    assert "lut4" not in surely_short(loose) and "lut4" in surely_short(tight)


def test_routable_leaves_room():
    device = DEVICES["ecp5-85f"]
    small = dataclasses.replace(LFC, rows=2)
    full = estimate(small, device, model(control=int(ROUTABLE * device.luts)))
    over = estimate(small, device, model(control=int(ROUTABLE * device.luts) + 1))
    assert full.routable and over.fits and not over.routable


def test_every_family_has_a_model_of_all_terms():
    for device in DEVICES.values():
        found = FamilyModel.of(device.family)
        assert len(found.lut4) == len(found.flip_flop) == len(AREA_TERMS)
        assert len(found.period_ns) == len(PERIOD_TERMS)
