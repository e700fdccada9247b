"""Batches of images to runs of the array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Batch", "batches"]

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
