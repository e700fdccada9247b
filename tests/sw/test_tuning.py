"""What a search with builds says, how it goes on after an interrupt, and with --all-boards a whole one."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from xnorgrid import modelfile
from xnorgrid.boards.catalogue import board
from xnorgrid.boards.clocks import at_most
from xnorgrid.boards.estimate import estimate
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.inspection import fit
from xnorgrid.plan_text import missed_clock, tune_text
from xnorgrid.planning import figures
from xnorgrid.tuning import tune

#: A shell that runs the tests in the background has them ignore interrupts.
_TUNE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from xnorgrid.cli import main; sys.exit(main(['tune', *sys.argv[1:]]))"
)


def row(rows=2, **more):
    """A candidate as the report has it."""
    config = dataclasses.replace(
        board("icebreaker").config,
        rows=rows, cols=1, lanes=8, tile_rows=1, tile_cols=1, clock_hz=24_000_000,
    )  # fmt: skip
    return {
        "config": dataclasses.asdict(config),
        **figures(estimate(config, board("icebreaker").device)),
        "cycles_per_image": 1500.0,
        "images_per_second_estimated": 18_000.0,
        "operations_per_lut_per_cycle_estimated": 0.0104,
        **more,
    }


def routed(**more):
    return row(
        routed={"lut4": 3210, "flip_flop": 1234},
        aimed_hz=29.25e6,
        routed_hz=27.6e6,
        images_per_second_routed=18_400.0,
        operations_per_lut_per_cycle_routed=0.3512,
        **more,
    )


def report(*candidates, winner, **more):
    return {
        "model": "net", "board": "icebreaker", "device": "up5k", "least_clock_hz": None, "tried": 1234,
        "candidates": list(candidates), "winner": winner, "file": "best.json", **more,
    }  # fmt: skip


def test_estimates_and_what_was_routed_stand_side_by_side():
    winner = routed(images_per_second=18_000.0)
    lines = tune_text(report(routed(), row(rows=4), winner=winner)).splitlines()
    assert lines[0] == "net on icebreaker (up5k): 1,234 arrays estimated"
    header, first, second = lines[2:5]
    assert header.split() == [
        "array", "tile", "block", "RAMs", "cycles/image", "LUTs", "routed", "ops/LUT", "routed",
        "MHz", "routed", "images/s", "routed",
    ]  # fmt: skip
    assert first.startswith("2 x 1 x 8") and first.split()[-1] == "18,400"
    assert "3,210" in first and " 28 " in first and "  0.01    0.35  " in first
    assert second.startswith("4 x 1 x 8") and second.split()[-1] == "-"
    assert lines[-3:] == [
        "winner: 2 x 1 x 8 lanes in tiles of 1 x 1",
        "routed at 27.6 MHz, runs at 24 MHz: 18,000 images/s, 0.35 operations per LUT and cycle",
        "xnorgrid build icebreaker --config best.json",
    ]


def test_what_went_wrong_with_a_candidate_is_said():
    failed = row(problem="the design does not fit: it needs 6,000 lut4")
    text = tune_text(report(failed, winner=None))
    assert "2 x 1 x 8 lanes in tiles of 1 x 1: the design does not fit" in text
    assert text.endswith("none of these could be built: lower --ceiling, or build more")


def test_a_winner_that_is_slower_than_the_clock_asked_for():
    winner = routed(images_per_second=18_000.0)
    slow = report(routed(), winner=winner, least_clock_hz=27.7e6)
    text = tune_text(slow)
    assert text.startswith("net on icebreaker (up5k): 1,234 arrays of 27.7 MHz or more estimated\n")
    assert (
        "\nno array that was built reaches 27.7 MHz: clocks are estimated within "
        f"{winner['clock_error']:.0%}; ask for a higher one, or build more\n"
    ) in text
    assert missed_clock(slow)
    for met in (
        report(routed(), winner=winner, least_clock_hz=27.6e6),
        report(routed(), winner=winner),
        report(row(), winner=row(), least_clock_hz=27.7e6),
        report(routed(), winner=None, least_clock_hz=27.7e6),
    ):
        assert "no array that was built" not in tune_text(met) and not missed_clock(met)


def test_a_winner_that_meets_no_clock_it_is_built_for():
    assert tune_text(report(routed(), row(rows=4), winner=None)).endswith(
        "\nthe fastest of these missed every clock that its routing had allowed: give one of them a lower "
        "one with xnorgrid build icebreaker --set clock_hz=HZ"
    )


def test_without_builds_the_winner_is_an_estimate():
    text = tune_text(report(row(), winner=row()))
    assert "nothing was built: 18,000 images/s by estimate" in text


def interrupted(path, folder, cache):
    """Search with two small builds in ``folder``, and interrupt all processes while the second runs.

    Returns the log and the report of the first.
    """
    chosen = board("icebreaker")
    smallest = dataclasses.replace(
        chosen.config, rows=1, cols=1, lanes=12, tile_rows=1, tile_cols=1
    )
    percent = math.ceil(estimate(smallest, chosen.device).resources["lut4"].percent)
    process = subprocess.Popen(
        [
            sys.executable, "-c", _TUNE, path, "icebreaker", "--builds", "2", "--ceiling", str(percent),
            "--folder", folder, "-q",
        ],
        env={**os.environ, "XNORGRID_CACHE": str(cache)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while len(logs := list(folder.glob("*/yosys.log"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    (report,) = folder.glob("*/report.json")
    assert report.with_name("yosys.log") in logs
    return report.with_name("nextpnr.log").read_text(), json.loads(report.read_text())


def test_an_interrupted_search_goes_on_where_it_was(network, tmp_path):
    _, path, *_ = network
    cache = tmp_path / "cache"
    log, report = interrupted(path, tmp_path / "one", cache)
    (kept,) = cache.glob("build-*.zip")
    # Routing aimed at more than the estimate.
    chosen, config = board("icebreaker"), ArrayConfig(**report["config"])
    expected_hz = estimate(config, chosen.device).clock_hz
    assert report["clocks"]["clk"]["target_hz"] > at_most(chosen, config, expected_hz).clock_hz
    # The seconds are those that the first build took.
    assert interrupted(path, tmp_path / "two", cache) == (log, report)
    assert list(cache.glob("build-*.zip")) == [kept]


def test_a_real_search(pytestconfig, call, network, tmp_path):
    """The winner is routed, meets its clock, and is as the estimate said."""
    if not pytestconfig.getoption("--all-boards"):
        pytest.skip("two builds: --all-boards")
    _, path, *_ = network
    out = tmp_path / "best.json"
    status, text, _ = call(
        "tune", path, "icebreaker", "--builds", 1, "--folder", tmp_path / "tune", "--out", out,
        "--json", "-q",
    )  # fmt: skip
    found = json.loads(text)
    winner = found["winner"]
    assert status == 0
    assert winner["routed_hz"] >= winner["config"]["clock_hz"]
    config = ArrayConfig(**json.loads(out.read_text()))
    assert dataclasses.asdict(config) == winner["config"]
    exact = fit(modelfile.load(path), config)
    assert winner["images_per_second"] == config.clock_hz / exact["cycles_per_image"]
    luts = found["candidates"][0]["routed"]["lut4"]
    assert abs(found["candidates"][0]["resources"]["lut4"]["used"] / luts - 1) <= 0.1
    again = tune(
        modelfile.load(path), board("icebreaker"), builds=1, jobs=1, folder=tmp_path / "again",
        ceiling=0.8, progress=False,
    )  # fmt: skip
    assert again["winner"] == winner
