"""``xnorgrid estimate`` and ``xnorgrid tune`` from their arguments to their text, JSON and files."""

import dataclasses
import json
import time

import pytest

from xnorgrid import load
from xnorgrid.boards.catalogue import board
from xnorgrid.boards.devices import DEVICES
from xnorgrid.boards.estimate import estimate
from xnorgrid.boards.toolchain import DoesNotFit
from xnorgrid.cli import main
from xnorgrid.compile import ModelDoesNotFit, compile
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.inspection import fit
from xnorgrid.planning import check_fits
from xnorgrid.planning import estimate as planning_estimate


def test_estimate_says_what_the_compiler_and_the_model_say(call):
    status, out, _ = call("estimate", "digits", "ulx3s", "--json", "--set", "lanes=32")
    assert status == 0
    report = json.loads(out)
    chosen = board("ulx3s")
    config = dataclasses.replace(chosen.config, lanes=32)
    found, exact = estimate(config, chosen.device), fit(load("digits"), config)
    assert report["config"] == dataclasses.asdict(config)
    assert report["cycles_per_image"] == exact["cycles_per_image"]
    assert report["images_per_second_core"] == config.clock_hz / exact["cycles_per_image"]
    assert report["images_per_second_link"] == exact["images_per_second_on_link"]
    for name, resource in found.resources.items():
        assert report["resources"][name]["used"] == resource.used
        assert report["resources"][name]["error"] == found.errors.get(name, 0)
    assert report["estimated_clock_hz"] == round(found.clock_hz)


def test_estimate_as_text(call):
    status, out, _ = call("estimate", "digits", "ulx3s")
    assert status == 0
    lines = dict(line.split("  ", 1) for line in out.splitlines() if not line.startswith(" "))
    assert list(lines) == [
        "model", "board", "array", "LUTs", "flip-flops", "block RAMs", "clock", "weights",
        "cycles per image", "utilisation", "images/s, core", "images/s, link",
    ]  # fmt: skip
    assert lines["block RAMs"].endswith("exact")
    assert "estimated within" in lines["LUTs"] and "estimated within" in lines["clock"]


def test_estimate_answers_within_a_second():
    chosen = board("ulx3s")
    config = dataclasses.replace(
        chosen.config, rows=4, lanes=36, weight_depth=16384, preset_depth=1024
    )
    start = time.perf_counter()
    planning_estimate(load("lfc"), chosen, config)
    assert time.perf_counter() - start < 1


def test_a_configuration_from_a_file_and_changes_of_it(call, tmp_path, refused):
    path = tmp_path / "array.json"
    path.write_text(json.dumps({"rows": 8, "lanes": 48}))
    status, out, _ = call(
        "estimate", "digits", "ulx3s", "--config", path, "--set", "lanes=32", "--json"
    )
    config = json.loads(out)["config"]
    assert status == 0
    assert (config["rows"], config["lanes"], config["cols"]) == (8, 32, 4)
    for text, message in (
        ('{"row": 2}', "row is no field of a configuration; known: accumulator_bits, "),
        ("[1]", "a configuration is a JSON object, not list"),
        ("{", "cannot be read as JSON"),
        ('{"rows": "2"}', "rows must be an integer, not '2'"),
    ):
        path.write_text(text)
        assert message in refused(4, "estimate", "digits", "ulx3s", "--config", path)
    assert "there is no such file" in refused(
        4, "estimate", "digits", "ulx3s", "--config", tmp_path / "gone.json"
    )


def test_a_model_that_needs_more_memory_is_told_how_much(refused):
    message = refused(4, "estimate", "lfc", "ulx3s", "--set", "weight_depth=100")
    assert message.startswith("model 'lfc': the smallest part of layer 'dense2' takes")
    # What simulated boards hold is no help here.
    assert "(program_depth); on Lattice LFE5U-85F, " in message and "preset '" not in message
    asked = message.rpartition("on Lattice LFE5U-85F, ")[2].removesuffix(" holds all of it")
    fields = dict(field.split("=") for field in asked.split(", "))
    config = dataclasses.replace(
        board("ulx3s").config, **{name: int(value) for name, value in fields.items()}
    )
    assert len(compile(load("lfc"), config).segments) == 1
    assert estimate(config, DEVICES["ecp5-85f"]).fits


def test_single_ported_memories_are_named_where_they_are_enough(refused):
    one = {"rows": 1, "cols": 1, "lanes": 8, "tile_rows": 1, "tile_cols": 1}
    small = {**one, "weight_ports": 2, "weight_depth": 512, "preset_depth": 128}
    options = [part for field in small.items() for part in ("--set", "{}={}".format(*field))]
    message = refused(4, "estimate", "sfc", "icebreaker", *options)
    asked = message.rpartition("on Lattice iCE40UP5K, ")[2].removesuffix(" holds all of it")
    fields = {name: int(value) for name, value in (field.split("=") for field in asked.split(", "))}
    assert fields["weight_ports"] == 1
    config = dataclasses.replace(board("icebreaker").config, **{**small, **fields})
    assert len(compile(load("sfc"), config).segments) == 1
    assert estimate(config, DEVICES["up5k"]).fits


def test_a_model_that_the_board_has_no_room_for_is_told_which_has(refused):
    message = refused(4, "estimate", "cnv", "tang-nano-9k")
    first = message.splitlines()[0]
    assert "its weights take 1,542,848 bits, the memories of Gowin GW1NR-9C have 479,232" in first
    assert first.endswith("; board ulx3s has more:")
    assert "  layer 'conv1': its sums reach 6885, which takes 14 accumulator bits" in message


def test_an_array_that_the_device_has_no_room_for(refused):
    message = refused(
        4, "estimate", "digits", "icesugar-pro", "--set", "rows=40", "--set", "cols=40"
    )
    lanes = board("icesugar-pro").config.lanes
    assert message.startswith(f"40 x 40 x {lanes} lanes do not fit Lattice LFE5U-25F: ")
    assert "LUTs are needed (estimated within" in message


def test_check_fits_takes_what_fits_and_refuses_the_rest():
    chosen = board("ulx3s")
    assert check_fits(chosen.config, chosen.device, load("sfc")).fits
    assert check_fits(chosen.config, chosen.device).fits
    with pytest.raises(ModelDoesNotFit):
        check_fits(dataclasses.replace(chosen.config, weight_depth=50), chosen.device, load("sfc"))
    with pytest.raises(DoesNotFit):
        check_fits(dataclasses.replace(chosen.config, rows=400), chosen.device, load("sfc"))


def test_tune_without_builds_writes_what_build_takes(call, tmp_path):
    out = tmp_path / "best.json"
    status, text, _ = call("tune", "digits", "tang-nano-9k", "--builds", "0", "--out", out, "-q")
    assert status == 0
    config = ArrayConfig(**json.loads(out.read_text()))
    assert len(compile(load("digits"), config).segments) == 1
    assert estimate(config, DEVICES["gw1nr-9c"]).routable
    assert f"winner: {config.rows} x {config.cols} x {config.lanes} lanes in tiles of " in text
    assert text.endswith(f"xnorgrid build tang-nano-9k --config {out}\n")
    status, text, _ = call("estimate", "digits", "tang-nano-9k", "--config", out, "--json")
    assert status == 0
    assert json.loads(text)["config"] == dataclasses.asdict(config)


def test_a_least_clock(call, refused, network, tmp_path):
    _, path, *_ = network
    options = ("--builds", "0", "--out", tmp_path / "best.json", "-q")
    message = refused(4, "tune", path, "icebreaker", "--clock", "1000", *options)
    head, _, fastest = message.rpartition(", the fastest ")
    assert head == (
        "model 'tiny net': of the arrays within 80% of 1BitSquared iCEBreaker that hold it, none is "
        "expected to reach 1000 MHz"
    )
    clock, unit, rest = fastest.partition(" MHz; ")
    assert (unit, rest) == (" MHz; ", "ask for that or less")
    status, text, _ = call("tune", path, "icebreaker", "--clock", clock, *options)
    assert status == 0
    assert f" arrays of {float(clock):g} MHz or more estimated\n" in text
    status, text, _ = call("tune", path, "icebreaker", "--clock", clock, *options, "--json")
    found = json.loads(text)
    assert found["least_clock_hz"] == float(clock) * 1e6
    for candidate in found["candidates"]:
        assert candidate["estimated_clock_hz"] >= found["least_clock_hz"]
        # What is named can be built as it is: it does not aim above the estimate.
        assert candidate["config"]["clock_hz"] <= candidate["estimated_clock_hz"]


def test_a_ceiling_below_every_array(refused, network):
    _, path, *_ = network
    assert refused(4, "tune", path, "icebreaker", "--ceiling", "10", "--builds", "0", "-q") == (
        "model 'tiny net': no array within 10% of 1BitSquared iCEBreaker holds it: its weights take 92 of "
        "1,171,456 bits, but with activations, thresholds and an array there is no room; raise --ceiling, or "
        "choose a larger board"
    )


def test_tune_refuses(capsys, refused, tmp_path):
    message = refused(4, "tune", "lfc", "icebreaker", "--builds", "0", "-q")
    assert message.startswith(
        "model 'lfc': no array within 80% of 1BitSquared iCEBreaker holds it: "
    )
    assert "its weights take 2,910,208 bits" in message and "board ulx3s" in message
    for text in ("fast", "0", "nan", "inf"):
        with pytest.raises(SystemExit):
            main(["tune", "digits", "tang-nano-9k", "--clock", text])
        assert f"argument --clock: '{text}' is no clock in MHz\n" in capsys.readouterr().err
    assert "there is no folder" in refused(
        4, "tune", "digits", "tang-nano-9k", "--out", tmp_path / "no" / "best.json"
    )
