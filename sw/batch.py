"""Batches of images to runs of the array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .compile import Program

__all__ = ["Batch", "batches", "pass_cycles"]

#: What the field ``passes`` of a run holds.
MAX_PASSES = 1 << 16


@dataclass(frozen=True)
class Batch:
    """Images of one run: pass i // columns and column i % columns for image i of ``images``."""

    images: slice
    passes: int
    columns: int


def batches(count: int, cols: int, max_passes: int) -> Iterator[Batch]:
    """Split ``count`` images into runs; what does not fill all ``cols`` columns is a run of its own."""
    start = 0
    while count - start >= cols:
        passes = min((count - start) // cols, max_passes, MAX_PASSES)
        yield Batch(slice(start, start + passes * cols), passes, cols)
        start += passes * cols
    if start < count:
        yield Batch(slice(start, count), 1, count - start)


def pass_cycles(program: Program) -> int:
    """Cycles of one pass, rounded up generously: for deadlines only."""
    config = program.config
    cycles = 0
    for place in program.places:
        results = 1 if place.layer.thresholds is not None else config.accumulator_bits
        beat_cycles = place.input_words + results * (config.pack_cycles + 1)
        cycles += place.tiles * beat_cycles + config.rows + config.cols + 100
    return cycles
