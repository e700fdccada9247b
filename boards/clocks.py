"""The fastest clock that a board can give a configuration: :func:`at_most`."""

from __future__ import annotations

import dataclasses
import functools

from xnorgrid.hw.config import ArrayConfig, ConfigError

from .board import Board
from .pll import frequencies

__all__ = ["at_most"]


def at_most(board: Board, config: ArrayConfig, limit_hz: float) -> ArrayConfig:
    """Return ``config`` with the fastest clock up to ``limit_hz`` that the board's PLL makes.

    And that its UART divides well enough. Raises :class:`ConfigError` if there is none.
    """
    for clock_hz in reversed(_clocks(board.device.family, board.clock_hz)):
        if clock_hz <= limit_hz:
            try:
                return dataclasses.replace(config, clock_hz=clock_hz)
            except ConfigError:
                continue
    raise ConfigError(
        f"{board.title} has no clock up to {limit_hz / 1e6:.1f} MHz that can be divided to {config.baud} "
        f"baud: choose a lower baud rate"
    )


@functools.cache
def _clocks(family: str, input_hz: int) -> list[int]:
    """Clocks of the PLL in whole Hz, lowest first."""
    return sorted({int(clock) for clock in frequencies(family, input_hz)})
