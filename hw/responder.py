"""The handshake of what is behind the memory bus."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bus import MemoryBus
from .config import ArrayConfig

__all__ = ["Responder"]


class Responder(wiring.Component):
    """Answer requests on the memory bus from registers, and say when to carry them out.

    The initiator may be far away from the memories, so that no path goes from one to the other and
    back in one cycle. A write takes two cycles.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    read_cycles : :class:`int`
        Cycles from an address to its word; at least 1.

    Members
    -------
    memory : In(MemoryBus(config))
        The user gives ``read_data``, and sees to addresses and data itself.
    hold : In(1)
        A write cannot be carried out in this cycle.
    store : Out(1)
        The word on the bus is written in this cycle. Combinational from ``memory`` and ``hold``.
    reading : Out(1)
        The memories are to be given the bus's address, for ``read_cycles`` + 1 cycles; its word is on the bus
        in the last of them.
    """

    def __init__(self, config: ArrayConfig, read_cycles: int) -> None:
        if read_cycles < 1:
            raise ValueError(f"read_cycles must be at least 1, not {read_cycles}")
        self.read_cycles = read_cycles
        super().__init__(
            {
                "memory": In(MemoryBus(config)),
                "hold": In(1),
                "store": Out(1),
                "reading": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.memory
        left = Signal(range(self.read_cycles + 1))
        request = Signal()
        m.d.comb += [
            request.eq(bus.valid & ~bus.ready & ~self.reading),
            self.store.eq(request & bus.write & ~self.hold),
        ]
        m.d.sync += [
            bus.ready.eq(self.store | (request & ~bus.write)),
            bus.read_valid.eq(self.reading & (left == 1)),
            left.eq(left - 1),
        ]
        with m.If(request & ~bus.write):
            m.d.sync += [self.reading.eq(1), left.eq(self.read_cycles)]
        with m.Elif(bus.read_valid):
            m.d.sync += self.reading.eq(0)
        return m
