"""What nextpnr's report says, in terms of :mod:`.report`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .devices import Device
from .flows import CELLS, FLOWS, ROUTED
from .report import Clock, CriticalPath, Resource, Step
from .top import CLOCK

__all__ = ["clocks", "critical_path", "overflow", "resources"]

#: A line of the log: ``Info:   ICESTORM_LC:  5935/ 5280  112%``.
_USE = re.compile(r"^Info:\s+(?P<kind>\w+):\s+(?P<used>\d+)/\s*(?P<total>\d+)\s+\d+%$", re.M)


def clocks(routed: Mapping[str, Any], clock_hz: float) -> dict[str, Clock]:
    """Return the routed figure of the accelerator's clock, the only one of a board, as :data:`CLOCK`.

    nextpnr calls it by one of its many names in the design, and knows its frequency ``clock_hz`` in whole
    picoseconds.
    """
    (figures,) = routed["fmax"].values()
    return {CLOCK: Clock(figures["achieved"] * 1e6, clock_hz)}


def resources(folder: Path, device: Device) -> dict[str, Resource]:
    """Return what the routed design in ``folder`` uses of ``device``."""
    use = json.loads((folder / ROUTED).read_text())["utilization"]
    kinds = FLOWS[device.family].resources
    found = {
        kind: Resource(sum(use[name]["used"] for name in names), use[names[0]]["available"])
        for kind, names in kinds.items()
    }
    if "flip_flop" not in kinds:
        cells = json.loads((folder / CELLS).read_text())["design"]["num_cells_by_type"]
        used = sum(count for name, count in cells.items() if name.startswith("SB_DFF"))
        found["flip_flop"] = Resource(used, device.flip_flops)
    return found


def critical_path(routed: Mapping[str, Any]) -> CriticalPath | None:
    """Return the slowest path from the clock to itself; ``None`` if there is none."""
    for path in routed["critical_paths"]:
        if path["from"] == path["to"]:
            steps = tuple(
                Step(step["type"], round(step["delay"], 3), _pin(step["to"]))
                for step in path["path"]
            )
            routing = sum(step.ns for step in steps if step.kind == "routing")
            total = sum(step.ns for step in steps)
            start = _pin(path["path"][0]["from"])
            return CriticalPath(
                start, steps[-1].to, round(total - routing, 3), round(routing, 3), steps
            )
    return None


def _pin(end: Mapping[str, Any]) -> str:
    return f"{end['cell']}.{end['port']}"


def overflow(log: str) -> dict[str, Resource]:
    """Return by nextpnr's kind what a design that was packed needs beyond what there is."""
    found = {
        match["kind"]: Resource(int(match["used"]), int(match["total"]))
        for match in _USE.finditer(log)
    }
    return {kind: use for kind, use in found.items() if use.used > use.total}
