"""What block memories an accelerator has."""

from __future__ import annotations

from dataclasses import dataclass

from .bus import Packet
from .config import ArrayConfig
from .protocol import WINDOW_BYTES, Instruction

__all__ = ["MemoryUse", "memories"]


@dataclass(frozen=True)
class MemoryUse:
    """Equal memories of one kind; the fields after ``count`` are :class:`BlockMemory`'s parameters."""

    name: str
    count: int
    width: int
    depth: int
    parts: int = 1
    single_port: bool = False


def memories(config: ArrayConfig) -> list[MemoryUse]:
    """Return every :class:`BlockMemory` of an accelerator of ``config``, the largest kinds first to be named.

    Not among them are tables of a few words, which tools put into logic or, on an iCE40, into up to six block
    RAMs: the loop nest's and the identity.
    """
    return [
        MemoryUse(
            "weights",
            config.rows,
            config.lanes,
            config.weight_depth,
            single_port=config.weight_ports == 1,
        ),
        MemoryUse("activations", config.cols, config.lanes, config.activation_depth),
        MemoryUse(
            "presets",
            config.grid_rows,
            config.tile_rows * config.accumulator_bits,
            config.preset_depth,
            parts=config.tile_rows,
        ),
        MemoryUse("program", 1, 32, config.program_depth * (Instruction.size // 32)),
        MemoryUse("frames", 1, Packet.size, WINDOW_BYTES),
    ]
