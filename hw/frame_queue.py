"""A queue of frames, each of which is either wholly in it or not at all."""

from __future__ import annotations

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from .bus import Packet
from .memory import BlockMemory, place_memory
from .regions import at_least

__all__ = ["FrameQueue"]

#: Places that stay free, because ``full`` is known some cycles late.
_MARGIN = 8
#: Packets read ahead, so that one leaves a cycle in spite of the memory's latency.
_READ_AHEAD = 4


class FrameQueue(wiring.Component):
    """Store frames, each followed by an end, and give out those that were kept.

    A frame in the making is written behind the frames kept so far; to keep it, the place where it begins
    moves on behind it, and to drop it, writing starts again at that place.

    Holds frames of ``depth - 8`` bytes together, their ends counted as a byte each and the bytes to trim of
    the last. The first byte of a frame is offered 5 cycles after ``keep``, or 4 unless ``fast``.

    Parameters
    ----------
    depth : int
        Places, a power of two.
    trim : int
        Bytes at a frame's end that are not kept.
    fast : bool
        Give out a packet a cycle. Otherwise one every 3 cycles, without the buffer that this takes.

    Members
    -------
    ready : Out(1)
        A byte, a keep or a drop is taken. While the queue is full, ``ready`` is 1 for keeping and dropping
        and ``full`` is 1.
    full : Out(1)
        No byte must be put.
    put, data : In(1), In(8)
        Append a byte to the frame in the making.
    keep, drop : In(1)
        End it, either way. Takes 3 cycles.
    size : Out(range(depth))
        Bytes put so far.
    o : Out(stream.Signature(Packet))
        Frames.
    """

    def __init__(self, depth: int, trim: int, *, fast: bool) -> None:
        if depth & (depth - 1) or depth <= _MARGIN:
            raise ValueError(f"depth must be a power of two above {_MARGIN}, not {depth}")
        self.depth = depth
        self.trim = trim
        self.fast = fast
        super().__init__(
            {
                "ready": Out(1),
                "full": Out(1),
                "put": In(1),
                "data": In(8),
                "keep": In(1),
                "drop": In(1),
                "size": Out(range(depth)),
                "o": Out(stream.Signature(Packet)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        storage = place_memory(m, platform, "storage", Packet.size, self.depth)

        places = range(self.depth)
        # Where the frame in the making begins; its place -1 is the end of the frame before.
        begin = Signal(places)
        # The place in it of the next byte.
        size = Signal(places)
        write_address = Signal(places, reset_less=True)
        read_address = Signal(places)
        gap = Signal(places, reset_less=True)

        m.d.comb += [
            self.size.eq(size),
            storage.write_address.eq(write_address),
            storage.read_address.eq(read_address),
            self.full.eq(~at_least(gap, _MARGIN)),
        ]
        m.d.sync += [
            write_address.eq(begin + size),
            # Places to the one before the next to be read. What is written never reaches that.
            gap.eq(read_address - write_address - 1),
            storage.write.eq(0),
            storage.write_data.eq(self.data),
        ]

        with m.FSM(init="END"):
            with m.State("FRAME"):
                m.d.comb += self.ready.eq(1)
                with m.If(self.put):
                    m.d.sync += [storage.write.eq(1), size.eq(size + 1)]
                with m.If(self.keep):
                    m.next = "KEEP"
                with m.Elif(self.drop):
                    m.next = "END"
                with m.If(self.keep | self.drop):
                    m.d.sync += size.eq(self.depth - 1)
            with m.State("KEEP"):
                m.d.sync += begin.eq(write_address - self.trim + 1)
                m.next = "END"
            with m.State("END"):
                m.d.sync += [
                    storage.write.eq(1),
                    storage.write_data[8].eq(1),
                    size.eq(0),
                ]
                m.next = "FRAME"

        self._give(m, storage, read_address, begin)
        return m

    def _give(self, m: Module, storage: Any, read_address: Signal, begin: Signal) -> None:
        """Read what lies before ``begin``."""
        there = Signal()
        m.d.comb += there.eq(read_address != begin)
        if self.fast:
            m.submodules.ahead = ahead = SyncFIFO(width=len(storage.read_data), depth=_READ_AHEAD)
            fetch, fetching, fetched = Signal(), Signal(), Signal()
            on_the_way = fetching + fetched
            m.d.comb += [
                fetch.eq(there & (ahead.level + on_the_way < _READ_AHEAD)),
                ahead.w_en.eq(fetched),
                ahead.w_data.eq(storage.read_data),
                self.o.valid.eq(ahead.r_rdy),
                self.o.payload.eq(ahead.r_data),
                ahead.r_en.eq(self.o.ready),
            ]
            m.d.sync += [
                read_address.eq(read_address + fetch),
                fetching.eq(fetch),
                fetched.eq(fetching),
            ]
            return
        waited = Signal(BlockMemory.latency)
        m.d.comb += [self.o.valid.eq(waited[-1]), self.o.payload.eq(storage.read_data)]
        m.d.sync += waited.eq(Cat(there, waited))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [read_address.eq(read_address + 1), waited.eq(0)]
