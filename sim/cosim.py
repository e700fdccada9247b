"""cocotb benches on Verilator: build once, run with parameters, arrays and a seed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cocotb_tools.config
import numpy as np
from cocotb_tools.runner import get_runner

from .cache import cached
from .verilator import CompileError, compile_objects, key_of, link

__all__ = ["ARRAYS", "PARAMETERS", "SEED", "run"]

#: Environment variables through which a run reaches its bench; see :mod:`~xnorgrid.sim.bfm`.
PARAMETERS = "XNORGRID_BENCH_PARAMETERS"
ARRAYS = "XNORGRID_BENCH_ARRAYS"
SEED = "XNORGRID_SEED"

#: Amaranth writes no timescale, and a clock of 10 ns needs one.
_TIMESCALE = ("1ns", "1ps")
#: What cocotb's own build gives Verilator: every signal can be read and written.
_VERILATE = (
    "--vpi",
    "--public-flat-rw",
    "--x-initial",
    "fast",
    "--timescale",
    "/".join(_TIMESCALE),
)

#: A bench spends its time in Python: compiling quickly is worth more than running quickly.
_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-w")


def _executable(verilog: str, top: str) -> Path:
    """The bench's program, compiled once and cached.

    Not by cocotb's own build, which compiles Verilator's runtime and headers anew for each bench.
    """
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    key = key_of(verilog, top, str(libraries), main.read_bytes(), *_VERILATE, *_FLAGS)

    def make(output: Path) -> None:
        log = output.with_suffix(".log")
        with tempfile.TemporaryDirectory(prefix="xnorgrid-cosim-") as scratch:
            try:
                objects = compile_objects(
                    verilog,
                    top,
                    Path(scratch),
                    log,
                    arguments=_VERILATE,
                    flags=_FLAGS,
                    main=main,
                    runtime=("_vpi",),
                )
                cocotb = [f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"]
                link(objects, output, log, cocotb)
            except CompileError as error:
                tail = log.read_text()[-4000:]
                raise RuntimeError(f"building the bench for {top} failed:\n{tail}") from error

    return cached(f"bench-{key}", make)


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
