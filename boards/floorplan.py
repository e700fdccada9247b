"""Where the memories go: :func:`placement`.

nextpnr by itself scatters block RAMs, and on a nearly full device tries for long to make them fit. An
array's memories have an order, that in which operands, results and host access travel: placed in it they
keep wires short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.export import TOP
from xnorgrid.hw.inventory import MemoryUse, memories
from xnorgrid.hw.memory import arrangement

from .devices import Device

__all__ = ["cells", "placement", "sites"]


@dataclass(frozen=True)
class _Grid:
    """Block RAMs of a device, in lines across it: groups of four, two columns apart."""

    lines: tuple[int, ...]
    left_groups: tuple[int, ...]
    right_groups: tuple[int, ...]


#: Project Trellis' database, tiles MIB_EBR0, 2, 4 and 6 in tilegrid.json of each device.
_GRIDS = {
    "ecp5-25f": _Grid((25, 37), (4, 13, 22), (33, 42, 51, 60)),
    "ecp5-85f": _Grid((22, 46, 70, 82), tuple(range(4, 59, 9)), tuple(range(69, 115, 9))),
}


def sites(device: Device) -> list[str]:
    """Return nextpnr's names of the block RAMs of ``device`` along a way without jumps; [] if not known.

    The way begins and ends in the middle of the first line: down the left half of the device, from line to
    line in turns to the left and to the middle, and up the right half.
    """
    grid = _GRIDS.get(device.name)
    if grid is None:
        return []
    down = _turns(grid.lines, grid.left_groups)
    up = _turns(grid.lines, grid.right_groups, from_left=True)
    return [f"X{x}/Y{line}/EBR{number}" for line, x, number in (*down, *reversed(list(up)))]


def _turns(
    lines: tuple[int, ...], groups: tuple[int, ...], *, from_left: bool = False
) -> Iterator[tuple[int, int, int]]:
    """Line, column, and number within its group, of the block RAMs of one half, forth and back."""
    places = [(group + 2 * number, number) for group in groups for number in range(4)]
    for line in lines:
        for x, number in places if from_left else reversed(places):
            yield line, x, number
        from_left = not from_left


def cells(config: ArrayConfig, device: Device) -> list[str]:
    """Return the paths of the memory cells of an accelerator of ``config`` in the order of their data.

    Program and frames, next to control; activations by column; presets and weights by row.
    """
    found = [(path, use) for use in memories(config) for path in use.paths]
    return [
        cell
        for path, use in sorted(found, key=lambda one: _order(one[0]))
        for cell in _cells(path, use, device)
    ]


def _order(path: str) -> tuple[bool, list[str | int]]:
    """What ``path`` is sorted by: control before the array, and numbers as numbers."""
    numbered = re.split(r"(\d+)", path)
    return ".datapath." in path, [int(part) if part.isdigit() else part for part in numbered]


def _cells(path: str, use: MemoryUse, device: Device) -> list[str]:
    plan = arrangement(device.family, use.width, use.depth, use.parts, use.single_port)
    return [
        f"{path}.cell_{bank}_{column}"
        for bank in range(plan.banks)
        for column in range(plan.across)
    ]


def placement(config: ArrayConfig, device: Device) -> str:
    """Return yosys commands that place memory cells of the flat module ``top``; none if no site is known."""
    known = sites(device)
    return "".join(
        f'setattr -set BEL "{site}" top/{TOP}.{cell}\n'
        for site, cell in zip(known, cells(config, device), strict=False)
    )
