"""Simulated boards: the whole accelerator, driven through the pins of its line."""

from __future__ import annotations

import sys
from pathlib import Path

from xnorgrid.hw.accelerator import Accelerator
from xnorgrid.hw.config import PRESETS, ArrayConfig
from xnorgrid.hw.export import build_id, export, fingerprint

from .cache import cached
from .compiled_board import CompiledBoard
from .pysim_board import PysimBoard
from .simulated import SimulatedBoard, byte_cycles
from .verilator import CompileError, NoCompiler, compile_board, cxx, verilator_root

__all__ = ["KINDS", "open_simulated"]

KINDS = ("auto", "compiled", "pysim")


def _describe(kind: str, config: ArrayConfig) -> str:
    for name, known in PRESETS.items():
        if known == config:
            return f"simulated ({kind}, {name})"
    return f"simulated ({kind}, {config.rows} x {config.cols} x {config.lanes})"


def _compiled(config: ArrayConfig) -> CompiledBoard:
    # Both before the export, which takes seconds.
    verilator_root()
    cxx()

    def write_verilog(path: Path) -> None:
        path.write_text(export(config))

    try:
        verilog = cached(f"accelerator-{fingerprint(config)[:32]}.v", write_verilog)
        library = compile_board(verilog.read_text())
        return CompiledBoard(library, byte_cycles(config), _describe("compiled", config))
    except OSError as error:
        raise CompileError(
            f"the compiled board cannot be kept or loaded ({error}); set XNORGRID_CACHE to a directory "
            f"with room that can be written"
        ) from error


def _pysim(config: ArrayConfig) -> PysimBoard:
    accelerator = Accelerator(config, build_id(config))
    return PysimBoard(accelerator, byte_cycles(config), _describe("pysim", config))


def open_simulated(
    kind: str, config: ArrayConfig, without_compiler: ArrayConfig | None = None
) -> SimulatedBoard:
    """Return a running simulated board with the accelerator for ``config``.

    ``kind`` is ``"compiled"`` (native code, hundreds of thousands of cycles a second, compiled once),
    ``"pysim"`` (no compiler needed, a few thousand) or ``"auto"``: compiled if that can be done here, else
    pysim, which standard error then says; with a large array that takes hours where the compiled board takes
    seconds, so ``without_compiler`` can name a smaller one for that case. Raises
    :class:`~xnorgrid.sim.verilator.NoCompiler` for ``"compiled"``,
    :class:`~xnorgrid.sim.verilator.CompileError`, and :class:`ValueError` for an unknown kind.
    """
    if kind == "compiled":
        return _compiled(config)
    if kind == "pysim":
        return _pysim(config)
    if kind != "auto":
        raise ValueError(f"no simulated board is called {kind!r}; known: {', '.join(KINDS)}")
    try:
        return _compiled(config)
    except NoCompiler as error:
        print(f"using the slower pysim board: {error}", file=sys.stderr)
        return _pysim(without_compiler or config)
