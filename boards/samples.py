"""The builds that estimates are fitted to and tried on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from xnorgrid.hw.config import ArrayConfig

__all__ = ["SAMPLES", "Sample"]


#: What samples change: not the boards' own configurations, which change for other reasons.
_BASE = {
    "icebreaker": ArrayConfig(
        rows=1, cols=1, lanes=8, weight_depth=512, activation_depth=256, preset_depth=128,
        program_depth=16, accumulator_bits=12, clock_hz=24_000_000, baud=3_000_000,
    ),
    "icesugar-pro": ArrayConfig(
        rows=2, cols=2, lanes=36, weight_depth=2048, activation_depth=1024, preset_depth=512,
        clock_hz=40_000_000, baud=1_000_000,
    ),
    "ulx3s": ArrayConfig(
        rows=4, cols=4, lanes=36, tile_rows=2, tile_cols=2, weight_depth=4096,
        activation_depth=1024, preset_depth=512, clock_hz=45_000_000, baud=3_000_000,
    ),
    "tang-nano-9k": ArrayConfig(
        rows=1, cols=1, lanes=36, weight_depth=512, activation_depth=512, preset_depth=128,
        program_depth=16, accumulator_bits=12, clock_hz=27_000_000, baud=3_000_000,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One build: a small configuration for the board with some fields changed."""

    board: str
    fields: dict[str, Any]
    #: Whether the model is tried on it, and not fitted to it.
    held_out: bool = False
    #: Whether it is placed and routed, for its clock; its resources are known before.
    route: bool = True

    @property
    def config(self) -> ArrayConfig:
        """What is built."""
        return dataclasses.replace(_BASE[self.board], **self.fields)


#: Clocks to aim at, in Hz: a little more than what is reached, so that the tools try.
_CLOCK = {
    "icebreaker": 30_000_000, "icesugar-pro": 125_000_000, "ulx3s": 100_000_000,
    "tang-nano-9k": 108_000_000,
}  # fmt: skip
_FITTED, _COUNTED, _HELD_OUT = (
    {"held_out": held_out, "route": route}
    for held_out, route in ((False, True), (False, False), (True, True))
)


def _sample(
    board: str,
    use: dict[str, bool],
    rows: int,
    cols: int,
    lanes: int,
    tile: tuple[int, int],
    bits: int,
    **fields: int,
) -> Sample:
    shape = {
        "rows": rows, "cols": cols, "lanes": lanes, "tile_rows": tile[0], "tile_cols": tile[1],
        "accumulator_bits": bits, "clock_hz": _CLOCK[board],
    }  # fmt: skip
    # Weights in SPRAM where there are enough of them.
    if board == "icebreaker" and rows * -(-lanes // 16) <= 4:
        fields["weight_ports"] = 1
    return Sample(board, {**shape, **fields}, **use)


#: Memories that hold all of bundled models on the ECP5-85F.
_LFC = {"weight_depth": 2048, "activation_depth": 512, "program_depth": 32, "baud": 2_000_000}
_CNV = {"weight_depth": 1519, "activation_depth": 9407, "program_depth": 32}
#: Rows, columns, lanes, tile and accumulator bits vary by themselves, so that their costs can be told apart.
SAMPLES: tuple[Sample, ...] = (
    _sample("icesugar-pro", _HELD_OUT, 4, 4, 54, (2, 2), 12),
    _sample("icesugar-pro", _HELD_OUT, 6, 4, 48, (2, 2), 12),
    _sample("icesugar-pro", _HELD_OUT, 10, 4, 36, (2, 2), 16),
    _sample("icesugar-pro", _FITTED, 4, 4, 36, (1, 1), 16),
    _sample("icesugar-pro", _FITTED, 4, 4, 72, (2, 2), 12),
    _sample("icesugar-pro", _FITTED, 8, 4, 72, (2, 2), 12, weight_depth=1024),
    _sample("icesugar-pro", _COUNTED, 8, 8, 54, (2, 2), 12),
    _sample("icesugar-pro", _COUNTED, 1, 1, 18, (1, 1), 12),
    _sample("icesugar-pro", _COUNTED, 4, 4, 36, (2, 2), 16),
    _sample("icesugar-pro", _COUNTED, 8, 2, 36, (2, 2), 12),
    _sample("icesugar-pro", _COUNTED, 2, 8, 36, (2, 2), 20),
    _sample("icesugar-pro", _COUNTED, 8, 8, 16, (2, 2), 12),
    _sample("icesugar-pro", _COUNTED, 2, 2, 108, (1, 1), 12),
    _sample("icesugar-pro", _COUNTED, 8, 8, 32, (4, 4), 16),
    _sample("icesugar-pro", _COUNTED, 4, 4, 18, (1, 2), 12),
    _sample("icesugar-pro", _COUNTED, 4, 6, 27, (2, 1), 24),
    _sample("icesugar-pro", _COUNTED, 3, 3, 7, (1, 1), 9),
    _sample("icesugar-pro", _COUNTED, 6, 1, 36, (2, 1), 12, activation_depth=2560),
    _sample("ulx3s", _FITTED, 22, 4, 72, (2, 2), 12, **_LFC),
    _sample("ulx3s", _HELD_OUT, 32, 4, 32, (4, 4), 14, **_CNV),
    _sample("icebreaker", _HELD_OUT, 4, 2, 8, (2, 2), 12),
    _sample("icebreaker", _HELD_OUT, 2, 2, 24, (2, 2), 11),
    _sample("icebreaker", _HELD_OUT, 1, 3, 24, (1, 1), 12),
    _sample("icebreaker", _HELD_OUT, 2, 6, 24, (2, 2), 11),
    _sample("icebreaker", _FITTED, 1, 1, 8, (1, 1), 12),
    _sample("icebreaker", _FITTED, 2, 4, 16, (2, 2), 16),
    _sample("icebreaker", _FITTED, 4, 4, 16, (2, 2), 11),
    _sample("icebreaker", _FITTED, 2, 4, 32, (2, 2), 11),
    _sample("icebreaker", _COUNTED, 1, 1, 32, (1, 1), 12),
    _sample("icebreaker", _COUNTED, 2, 2, 8, (1, 1), 12),
    _sample("icebreaker", _COUNTED, 2, 2, 16, (2, 2), 12),
    _sample("icebreaker", _COUNTED, 2, 1, 32, (2, 1), 12),
    _sample("icebreaker", _COUNTED, 1, 2, 32, (1, 2), 10),
    _sample("icebreaker", _COUNTED, 4, 2, 16, (2, 2), 11),
    _sample("icebreaker", _COUNTED, 4, 4, 8, (2, 2), 11),
    _sample("icebreaker", _COUNTED, 2, 3, 8, (1, 1), 20),
    _sample("icebreaker", _COUNTED, 4, 8, 8, (4, 4), 10),
    _sample("icebreaker", _COUNTED, 2, 1, 16, (1, 1), 12, activation_depth=1280),
    _sample("tang-nano-9k", _HELD_OUT, 2, 2, 32, (2, 2), 9),
    _sample("tang-nano-9k", _HELD_OUT, 4, 2, 24, (2, 2), 12),
    _sample("tang-nano-9k", _FITTED, 2, 2, 36, (2, 2), 12),
    _sample(
        "tang-nano-9k",
        _FITTED,
        2,
        3,
        36,
        (2, 1),
        11,
        weight_depth=4905,
        preset_depth=512,
        program_depth=32,
        clock_hz=90_000_000,
    ),
    _sample("tang-nano-9k", _FITTED, 4, 4, 32, (4, 4), 9),
    _sample("tang-nano-9k", _COUNTED, 1, 1, 18, (1, 1), 12),
    _sample("tang-nano-9k", _COUNTED, 1, 1, 72, (1, 1), 12),
    _sample("tang-nano-9k", _COUNTED, 2, 2, 18, (1, 1), 12),
    _sample("tang-nano-9k", _COUNTED, 4, 2, 36, (2, 2), 10),
    _sample("tang-nano-9k", _COUNTED, 2, 4, 36, (2, 2), 16),
    _sample("tang-nano-9k", _COUNTED, 4, 4, 18, (2, 2), 10),
    _sample("tang-nano-9k", _COUNTED, 4, 4, 9, (1, 1), 9),
    _sample("tang-nano-9k", _COUNTED, 2, 6, 18, (2, 2), 9),
    _sample("tang-nano-9k", _COUNTED, 4, 1, 36, (2, 1), 20),
    _sample("tang-nano-9k", _COUNTED, 1, 2, 36, (1, 1), 9, activation_depth=2560),
)
