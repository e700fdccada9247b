"""``xnorgrid boards``, ``devices`` and ``build`` from their arguments to their text and JSON."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.devices import DEVICES


def test_boards_are_listed(call):
    status, out, err = call("boards")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["board", *BOARDS]


def test_a_board_is_described_with_its_pins(call):
    status, out, _ = call("boards", "colorlight-5a75b")
    assert status == 0
    assert "pin of uart rx    M13\n" in out and "pin of uart tx    P11\n" in out
    assert "pin of led" not in out and "3.3 V USB adapter at J19" in out


def test_boards_as_json(call):
    _, out, _ = call("boards", "--json")
    reports = json.loads(out)
    assert [report["config"] for report in reports] == [
        dataclasses.asdict(board.config) for board in BOARDS.values()
    ]
    assert [report["pins"] for report in reports] == [board.pins() for board in BOARDS.values()]


def test_devices(call):
    status, out, _ = call("devices")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["device", *DEVICES]
    assert "4 x 262,144 bits" in out


@pytest.mark.parametrize("command", ["boards", "devices", "estimate sfc icebreaker"])
def test_the_readme_shows_what_is_printed(call, command):
    _, out, _ = call(*command.split())
    readme = Path(__file__, "../../../README.md").resolve().read_text()
    assert f"    $ xnorgrid {command}\n{textwrap.indent(out, '    ')}" in readme


@pytest.mark.parametrize("command", ["boards", "build"])
def test_unknown_board(refused, command):
    assert refused(4, command, "ulx4s").startswith("no board is called 'ulx4s'; known: icebreaker,")


def test_a_clock_that_cannot_be_made(refused, tmp_path):
    text = refused(4, "build", "ulx3s", "--set", "clock_hz=48000000", "-o", tmp_path)
    assert text.startswith("clock_hz: the PLL cannot make 48 MHz of the board's 25 MHz")


def test_what_cannot_fit_is_said_before_anything_is_built(refused, tmp_path):
    text = refused(4, "build", "icebreaker", "--set", "lanes=1024", "-o", tmp_path)
    assert "do not fit Lattice iCE40UP5K" in text
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_a_file(refused, tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert refused(4, "build", "ulx3s", "-o", file) == (
        f"{file} is a file; name a folder for the bitstream"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_a_build_that_is_ended_from_outside_leaves_no_tool_running(tmp_path):
    small = ("rows=1", "cols=1", "lanes=8", "tile_rows=1", "tile_cols=1")
    build = subprocess.Popen(
        [sys.executable, "-m", "xnorgrid.cli", "build", "icebreaker", "-q", "-o", tmp_path]
        + [word for change in small for word in ("--set", change)],
        env={**os.environ, "XNORGRID_CACHE": str(tmp_path / "cache")},
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("yosys.log")):
        assert build.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    build.terminate()
    assert build.wait(20) == 128 + signal.SIGTERM
    # No process is left in the session that the build was the first of, once the last has been reaped.
    while _left(build.pid):
        assert time.monotonic() < deadline


def _left(group):
    """Whether processes of ``group`` are left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
