"""Sizes of the memories that the host can reach."""

from __future__ import annotations

from amaranth.hdl import Value

from .config import ArrayConfig
from .protocol import Instruction, Region, data_bytes

__all__ = ["RegionShape", "at_least", "region_shapes"]


class RegionShape:
    """Size of a region: ``banks`` memories of ``depth`` words of ``width`` bits."""

    def __init__(self, banks: int, depth: int, width: int) -> None:
        self.banks = banks
        self.depth = depth
        self.width = width
        self.word_bytes = data_bytes(width)


def region_shapes(config: ArrayConfig) -> dict[Region, RegionShape]:
    """Return the size of each region of ``config``."""
    return {
        Region.PROGRAM: RegionShape(1, config.program_depth * Instruction.size // 32, 32),
        Region.WEIGHTS: RegionShape(config.rows, config.weight_depth, config.lanes),
        Region.PRESETS: RegionShape(config.rows, config.preset_depth, config.accumulator_bits),
        Region.ACTIVATIONS: RegionShape(config.cols, config.activation_depth, config.lanes),
    }


def at_least(value: Value, bound: int) -> Value:
    """Whether unsigned ``value`` >= ``bound``; without a carry chain where ``bound`` is a power of two."""
    if bound & (bound - 1):
        return value >= bound
    return value[bound.bit_length() - 1 :].any()
