"""Text in columns, and figures as the reports show them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["pairs", "rate", "table", "weights"]

_NUMBER = re.compile(r"[\d.,]+%?")


def rate(per_second: float | None) -> str:
    """A rate, with one decimal below 10; a dash for one that was too short to measure."""
    if per_second is None:
        return "-"
    return f"{per_second:,.1f}" if per_second < 10 else f"{per_second:,.0f}"


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they stand for, in two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned: text to the left, numbers and what stands for none to the right."""
    widths = [max(len(row[k]) for row in [columns, *rows]) for k in range(len(columns))]
    cells = [[row[k] for row in rows if row[k] not in ("", "-")] for k in range(len(columns))]
    numeric = [bool(c) and all(_NUMBER.fullmatch(cell) for cell in c) for c in cells]

    def line(row: Sequence[str]) -> str:
        cells = (
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(cells).rstrip()

    return [line(columns), *(line(row) for row in rows)]


def weights(segments: int) -> str:
    """Where weights are: all on the board, or streamed."""
    return "resident" if segments == 1 else f"{segments} segments"
