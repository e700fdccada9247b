"""Signatures between the commander, the memories and the sequencer."""

from __future__ import annotations

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .protocol import Region, Run

__all__ = ["MemoryBus", "Packet", "RunControl", "word_bits"]

#: One byte of a frame's body or, with ``end`` set, the end of the frame, which has no data.
Packet = data.StructLayout({"data": 8, "end": 1})


def word_bits(config: ArrayConfig) -> int:
    """Width of the memory bus: the widest word of any region."""
    return max(32, config.lanes, config.accumulator_bits)


class MemoryBus(wiring.Signature):
    """Host access to the memories; the commander is the initiator.

    A transfer happens in a cycle in which ``valid`` and ``ready`` are both 1. The initiator holds its
    outputs until then and only asks for addresses that exist. A read's data is valid in the one cycle
    in which ``read_valid`` is 1, some cycles after the transfer; one read is in flight at a time, and
    its region, bank and address are held until then. Narrower words lie in the low bits; what lies above
    them in a word read means nothing.
    """

    def __init__(self, config: ArrayConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "write": Out(1),
                "region": Out(Region),
                "bank": Out(16),
                "address": Out(16),
                "write_data": Out(word_bits(config)),
                "read_data": In(word_bits(config)),
                "read_valid": In(1),
            }
        )


class RunControl(wiring.Signature):
    """Starting, stopping and observing runs; the commander is the initiator.

    ``start`` is 1 for one cycle, and only while ``running`` is 0; ``running`` is 1 from the next cycle on.
    ``run`` is valid with ``start`` and stays until the run has ended. ``abort`` for one cycle returns the
    array to idle from any state. ``clear`` for one cycle sets the counters to 0. The counters are those of
    :data:`~xnorgrid.hw.protocol.StatusReport`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "run": Out(Run),
                "abort": Out(1),
                "clear": Out(1),
                "running": In(1),
                "busy_cycles": In(64),
                "stalled_cycles": In(64),
                "useful_lanes": In(64),
            }
        )
