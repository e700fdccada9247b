"""What a configuration takes of a device, without placing it: a tenth of a build's time."""

from __future__ import annotations

from pathlib import Path

from xnorgrid.hw.config import ArrayConfig

from . import routed
from .board import Board
from .build import LOGS, SCRIPT, sources
from .flows import FLOWS
from .report import Resource
from .toolchain import run

__all__ = ["pack"]

#: Options that name what is made of a routed design.
_OUTPUTS = ("--textcfg", "--asc", "--write")


def pack(board: Board, config: ArrayConfig, folder: Path) -> dict[str, Resource]:
    """Synthesise ``config`` for ``board`` in ``folder`` and pack it into the device's cells; count these.

    Placing and routing change none of the numbers. Raises :class:`BuildError` and its kinds.
    """
    flow = FLOWS[board.device.family]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sources(board, config).items():
        (folder / name).write_text(text)
    synthesis, packing, _ = LOGS
    run("yosys", ["-s", SCRIPT], folder, synthesis)
    options = flow.routing(board, config.clock_hz, seed=1)
    for output in _OUTPUTS:
        if output in options:
            place = options.index(output)
            del options[place : place + 2]
    run(flow.place_and_route, [*options, "--pack-only"], folder, packing)
    return routed.resources(folder, board.device)
