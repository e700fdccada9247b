"""The boards by name."""

from __future__ import annotations

from xnorgrid.hw.config import ConfigError

from . import colorlight_5a75b, icebreaker, icesugar_pro, tang_nano_9k, ulx3s
from .board import Board

__all__ = ["BOARDS", "board"]

BOARDS: dict[str, Board] = {
    module.BOARD.name: module.BOARD
    for module in (icebreaker, ulx3s, icesugar_pro, colorlight_5a75b, tang_nano_9k)
}


def board(name: str) -> Board:
    """Return the named board; raises :class:`ConfigError` that lists the known names."""
    try:
        return BOARDS[name]
    except KeyError:
        raise ConfigError(f"no board is called {name!r}; known: {', '.join(BOARDS)}") from None
