"""The builds that estimates are fitted to and tried on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from xnorgrid.hw.config import ArrayConfig

from .catalogue import BOARDS

__all__ = ["SAMPLES", "Sample"]


@dataclass(frozen=True)
class Sample:
    """One build: the board's own configuration with some fields changed."""

    board: str
    fields: dict[str, Any]
    #: Whether the model is tried on it, and not fitted to it.
    held_out: bool = False

    @property
    def config(self) -> ArrayConfig:
        """What is built."""
        return dataclasses.replace(BOARDS[self.board].config, **self.fields)


#: Clocks to aim at, in Hz: a little more than what is reached, so that the tools try.
_CLOCK = {"icebreaker": 30_000_000, "icesugar-pro": 125_000_000, "tang-nano-9k": 54_000_000}


def _sample(
    board: str, rows: int, cols: int, lanes: int, tile: tuple[int, int], bits: int, **fields: Any
) -> Sample:
    held_out = fields.pop("held_out", False)
    # Weights in SPRAM where there are enough of them.
    if board == "icebreaker" and rows * -(-lanes // 16) <= 4:
        fields["weight_ports"] = 1
    shape = {
        "rows": rows, "cols": cols, "lanes": lanes, "tile_rows": tile[0], "tile_cols": tile[1],
        "accumulator_bits": bits, "clock_hz": _CLOCK[board],
    }  # fmt: skip
    return Sample(board, {**shape, **fields}, held_out)


#: Rows, columns, lanes, tile and accumulator bits vary by themselves, so that their costs can be told apart.
SAMPLES: tuple[Sample, ...] = (
    _sample("icesugar-pro", 1, 1, 18, (1, 1), 12),
    _sample("icesugar-pro", 4, 4, 36, (1, 1), 16),
    _sample("icesugar-pro", 4, 4, 36, (2, 2), 16),
    _sample("icesugar-pro", 8, 2, 36, (2, 2), 12),
    _sample("icesugar-pro", 2, 8, 36, (2, 2), 20),
    _sample("icesugar-pro", 4, 4, 72, (2, 2), 12),
    _sample("icesugar-pro", 8, 8, 16, (2, 2), 12),
    _sample("icesugar-pro", 8, 4, 72, (2, 2), 12),
    _sample("icesugar-pro", 2, 2, 108, (1, 1), 12),
    _sample("icesugar-pro", 6, 6, 72, (2, 2), 12),
    _sample("icesugar-pro", 8, 8, 32, (4, 4), 16),
    _sample("icesugar-pro", 8, 8, 54, (2, 2), 12),
    _sample("icesugar-pro", 8, 8, 72, (2, 2), 12),
    _sample("icesugar-pro", 4, 4, 54, (2, 2), 12, held_out=True),
    _sample("icesugar-pro", 6, 4, 48, (2, 2), 12, held_out=True),
    _sample("icesugar-pro", 10, 4, 36, (2, 2), 16, held_out=True),
    _sample("icesugar-pro", 6, 8, 60, (2, 2), 12, held_out=True),
    _sample("icebreaker", 1, 1, 8, (1, 1), 12),
    _sample("icebreaker", 1, 1, 32, (1, 1), 12),
    _sample("icebreaker", 2, 2, 8, (1, 1), 12),
    _sample("icebreaker", 2, 2, 16, (2, 2), 12),
    _sample("icebreaker", 2, 1, 32, (2, 1), 12),
    _sample("icebreaker", 1, 2, 32, (1, 2), 10),
    _sample("icebreaker", 4, 2, 16, (2, 2), 11),
    _sample("icebreaker", 4, 4, 8, (2, 2), 11),
    _sample("icebreaker", 2, 4, 16, (2, 2), 16),
    _sample("icebreaker", 4, 4, 16, (2, 2), 11),
    _sample("icebreaker", 2, 4, 32, (2, 2), 11),
    _sample("icebreaker", 4, 2, 8, (2, 2), 12, held_out=True),
    _sample("icebreaker", 2, 2, 24, (2, 2), 11, held_out=True),
    _sample("icebreaker", 1, 3, 24, (1, 1), 12, held_out=True),
    _sample("icebreaker", 2, 6, 24, (2, 2), 11, held_out=True),
    _sample("tang-nano-9k", 1, 1, 18, (1, 1), 12),
    _sample("tang-nano-9k", 1, 1, 72, (1, 1), 12),
    _sample("tang-nano-9k", 2, 2, 18, (1, 1), 12),
    _sample("tang-nano-9k", 2, 2, 36, (2, 2), 12),
    _sample("tang-nano-9k", 4, 2, 36, (2, 2), 10),
    _sample("tang-nano-9k", 2, 4, 36, (2, 2), 16),
    _sample("tang-nano-9k", 4, 4, 18, (2, 2), 10),
    _sample("tang-nano-9k", 4, 4, 9, (1, 1), 9),
    _sample("tang-nano-9k", 4, 4, 32, (4, 4), 9),
    _sample("tang-nano-9k", 2, 2, 32, (2, 2), 9, held_out=True),
    _sample("tang-nano-9k", 4, 2, 24, (2, 2), 12, held_out=True),
    _sample("tang-nano-9k", 2, 6, 18, (2, 2), 9, held_out=True),
)  # fmt: skip
