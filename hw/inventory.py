"""What block memories an accelerator has."""

from __future__ import annotations

from dataclasses import dataclass

from .bus import Packet
from .config import ArrayConfig
from .protocol import WINDOW_BYTES, Instruction

__all__ = ["MemoryUse", "memories"]


@dataclass(frozen=True)
class MemoryUse:
    """Equal memories of one kind; the fields after ``paths`` are :class:`BlockMemory`'s parameters."""

    name: str
    #: Where each is: names of submodules from the accelerator down, joined by dots.
    paths: tuple[str, ...]
    width: int
    depth: int
    parts: int = 1
    single_port: bool = False

    @property
    def count(self) -> int:
        """Number of memories."""
        return len(self.paths)


def memories(config: ArrayConfig) -> list[MemoryUse]:
    """Return every :class:`BlockMemory` of an accelerator of ``config``, the largest kinds first to be named.

    Not among them are tables of a few words, which tools put into logic or, on an iCE40, into up to six block
    RAMs: the loop nest's and the identity.
    """
    rows = [f"core.datapath.weights.rows_{i}" for i in range(config.grid_rows)]
    columns = [f"core.datapath.activations.columns_{j}" for j in range(config.grid_cols)]
    return [
        MemoryUse(
            "weights",
            tuple(f"{row}.weights_{r}" for row in rows for r in range(config.tile_rows)),
            config.lanes,
            config.weight_depth,
            single_port=config.weight_ports == 1,
        ),
        MemoryUse(
            "activations",
            tuple(f"{column}.bank_{c}" for column in columns for c in range(config.tile_cols)),
            config.lanes,
            config.activation_depth,
        ),
        MemoryUse(
            "presets",
            tuple(f"{row}.presets" for row in rows),
            config.tile_rows * config.accumulator_bits,
            config.preset_depth,
            parts=config.tile_rows,
        ),
        MemoryUse(
            "program",
            ("core.sequencer.program",),
            32,
            config.program_depth * (Instruction.size // 32),
        ),
        MemoryUse("frames", ("link.deframer.queue.storage",), Packet.size, WINDOW_BYTES),
    ]
