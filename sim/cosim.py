"""cocotb benches on Verilator: build once, run with parameters, arrays and a seed."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cocotb_tools.config
import numpy as np
from cocotb_tools.runner import get_runner

from .cache import cached
from .verilator import NoCompiler, cxx, verilator_root

__all__ = ["ARRAYS", "PARAMETERS", "SEED", "run"]

#: Environment variables through which a run reaches its bench; see :mod:`~xnorgrid.sim.bfm`.
PARAMETERS = "XNORGRID_BENCH_PARAMETERS"
ARRAYS = "XNORGRID_BENCH_ARRAYS"
SEED = "XNORGRID_SEED"

#: Amaranth's output has comparisons and widths that Verilator's linter dislikes.
_BUILD_ARGS = ("-Wno-lint", "-Wno-style", "-Wno-fatal", "--x-initial", "fast", "--no-timing")
#: A bench spends its time in Python: compiling quickly is worth more than running quickly.
#: The last: the package was configured where the compiler's flag for precompiled headers was not found.
_MAKE_FLAGS = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0 CFG_CXXFLAGS_PCH_I=-include"
#: Amaranth writes no timescale, and a clock of 10 ns needs one.
_TIMESCALE = ("1ns", "1ps")


@contextlib.contextmanager
def _environment(**changes: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _build(verilog: str, top: str, output: Path) -> None:
    root = verilator_root()
    if shutil.which("make") is None:
        raise NoCompiler(
            "make is not on the PATH, so cocotb benches cannot be compiled; install it"
        )
    with (
        tempfile.TemporaryDirectory(prefix="xnorgrid-cosim-") as scratch,
        _environment(
            VERILATOR_ROOT=str(root),
            PATH=f"{scratch}{os.pathsep}{os.environ['PATH']}",
            MAKEFLAGS=_MAKE_FLAGS,
            CXX=cxx(),
        ),
    ):
        # The package's own command looks for a verilator on the PATH, which is none of our making, and the
        # script behind it wants a whole perl.
        Path(scratch, "verilator").symlink_to(root / "bin" / "verilator_bin")
        source = Path(scratch) / f"{top}.v"
        source.write_text(verilog)
        log = output.with_suffix(".log")
        try:
            get_runner("verilator").build(
                sources=[source],
                hdl_toplevel=top,
                build_dir=Path(scratch) / "build",
                build_args=list(_BUILD_ARGS),
                timescale=_TIMESCALE,
                log_file=log,
            )
        except (Exception, SystemExit) as error:
            tail = log.read_text()[-4000:] if log.exists() else ""
            raise RuntimeError(f"building the bench for {top} failed: {error}\n{tail}") from error
        shutil.copy2(Path(scratch) / "build" / top, output)


def _executable(verilog: str, top: str) -> Path:
    versions = [importlib.metadata.version(name) for name in ("cocotb", "verilator")]
    libraries = str(cocotb_tools.config.libs_dir)
    parts = (verilog, top, *versions, libraries, *_BUILD_ARGS, _MAKE_FLAGS, *_TIMESCALE)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return cached(f"bench-{key}", lambda output: _build(verilog, top, output))


def run(
    verilog: str,
    top: str,
    bench: str,
    directory: Path,
    *,
    seed: int,
    parameters: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Run all tests of the module ``bench`` on module ``top`` of ``verilog``.

    ``parameters`` (JSON-ready) and ``arrays`` reach the bench through
    :func:`~xnorgrid.sim.bfm.parameters` and :func:`~xnorgrid.sim.bfm.arrays`; all its randomness comes from
    ``seed``. Logs are written into ``directory``. Raises :class:`AssertionError` with the end of the log
    if a test fails.
    """
    executable = _executable(verilog, top)
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy2(executable, directory / top)
    stored = directory / "arrays.npz"
    named: dict[str, Any] = dict(arrays or {})
    np.savez(stored, **named)
    log = directory / f"{bench}.log"
    try:
        get_runner("verilator").test(
            test_module=bench,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=directory,
            seed=seed,
            extra_env={
                PARAMETERS: json.dumps(dict(parameters or {})),
                ARRAYS: str(stored),
                SEED: str(seed),
            },
            results_xml=str(directory.resolve() / "results.xml"),
            timescale=_TIMESCALE,
            log_file=log,
        )
    except SystemExit as error:
        raise AssertionError(
            f"{bench} failed with seed {seed}; {log} ends:\n{log.read_text()[-4000:]}"
        ) from error
