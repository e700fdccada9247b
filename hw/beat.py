"""What the sequencer tells the memories and the array each cycle."""

from __future__ import annotations

from amaranth.lib import data

from .config import ArrayConfig
from .packer import Result
from .pe import Accumulate

__all__ = ["beat_layout"]


def beat_layout(config: ArrayConfig) -> data.StructLayout:
    """One step of a sum: which words meet, what the accumulators do, and whether results leave."""
    return data.StructLayout(
        {
            "accumulate": Accumulate,
            "weight_address": range(config.weight_depth),
            "activation_address": range(config.activation_depth),
            "preset_address": range(config.preset_depth),
            "result": Result,
        }
    )
