"""Frames with a CRC-32 around header and data."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus import Packet
from .crc import CRC_BYTES, Crc32
from .frame_queue import FrameQueue
from .protocol import MAX_DATA_BYTES, WINDOW_BYTES, Request
from .regions import at_least
from .slip import SlipDecoder, SlipEncoder

__all__ = ["Deframer", "Framer"]


class Deframer(wiring.Component):
    """Receive frames and queue those that arrived whole: length, escapes and CRC-32 are right.

    Takes a byte in ``8 / crc_bits`` cycles, an END in 3 and that of a good frame in 4, also while other
    frames leave; queues frames whose bytes on the line are WINDOW_BYTES at most, then waits. Frames that are
    too short, too long, badly escaped or have a wrong CRC are dropped; empty ones (two ENDs) are nobody's
    error. Whatever came before, the state after an END is always the same.

    Parameters
    ----------
    min_bytes, max_bytes : int
        Bytes of header and data together: at least, at most.
    crc_bits : int
        Bits a cycle. With 8 a packet leaves every cycle, with fewer every third.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes from the line.
    o : Out(stream.Signature(Packet))
        Header and data of good frames.
    bad_frame : Out(1)
        1 for one cycle after a frame was dropped.
    """

    def __init__(
        self,
        min_bytes: int = Request.size // 8,
        max_bytes: int = Request.size // 8 + MAX_DATA_BYTES,
        *,
        crc_bits: int = 8,
    ) -> None:
        if not 1 <= min_bytes <= max_bytes:
            raise ValueError(
                f"a frame of {min_bytes} to {max_bytes} bytes cannot be: needs 1 <= min <= max"
            )
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.crc_bits = crc_bits
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(Packet)),
                "bad_frame": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.crc = crc = Crc32(self.crc_bits)
        m.submodules.queue = queue = FrameQueue(WINDOW_BYTES, CRC_BYTES, fast=self.crc_bits == 8)
        connect(m, flipped(self.i), decoder.i)
        connect(m, queue.o, flipped(self.o))

        received = decoder.o
        # Room for one byte more than a frame may have: that one shows that it is too long.
        too_long = queue.size == self.max_bytes + CRC_BYTES + 1
        # A cycle after an END: what came before it is judged.
        judging = Signal()
        damaged = Signal()
        good = Signal()
        m.d.comb += [
            good.eq(
                at_least(queue.size, self.min_bytes + CRC_BYTES) & ~too_long & crc.match & ~damaged
            ),
            crc.i.payload.eq(received.p.data),
            crc.i.valid.eq(received.valid & ~received.p.end & queue.ready & ~queue.full & ~judging),
            crc.clear.eq(judging),
            queue.put.eq(crc.i.valid & crc.i.ready & ~too_long),
            queue.data.eq(received.p.data),
            queue.keep.eq(judging & good),
            queue.drop.eq(judging & ~good),
            received.ready.eq(
                Mux(received.p.end, queue.ready & ~judging, crc.i.valid & crc.i.ready)
            ),
        ]
        m.d.sync += [
            judging.eq(received.valid & received.ready & received.p.end),
            damaged.eq(received.p.error),
            self.bad_frame.eq(queue.drop & ((queue.size != 0) | damaged)),
        ]
        return m


class Framer(wiring.Component):
    """Append a CRC-32 to each packet and send it as a SLIP frame.

    Up to one byte per ``8 / crc_bits`` cycles out; a frame begins in the cycle in which its packet's first
    byte is offered.

    Parameters
    ----------
    crc_bits : int
        Bits a cycle.

    Members
    -------
    i : In(stream.Signature(Packet))
        Header and data of frames.
    o : Out(stream.Signature(8))
        Bytes for the line.
    """

    def __init__(self, *, crc_bits: int = 8) -> None:
        self.crc_bits = crc_bits
        super().__init__({"i": In(stream.Signature(Packet)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()

        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.crc = crc = Crc32(self.crc_bits)
        connect(m, encoder.o, flipped(self.o))
        body = encoder.i

        index = Signal(range(CRC_BYTES))
        m.d.comb += [
            body.p.data.eq(Mux(self.i.p.end, crc.byte, self.i.p.data)),
            crc.i.payload.eq(self.i.p.data),
        ]
        with m.FSM():
            with m.State("BODY"):
                with m.If(self.i.p.end):
                    m.d.comb += body.valid.eq(self.i.valid)
                    with m.If(body.valid & body.ready):
                        m.next = "SHIFT"
                with m.Else():
                    # Both take the byte in the last of the cycles that the CRC needs.
                    m.d.comb += [
                        body.valid.eq(self.i.valid & crc.i.ready),
                        crc.i.valid.eq(self.i.valid & (body.ready | ~crc.i.ready)),
                        self.i.ready.eq(body.ready & crc.i.ready),
                    ]
            with m.State("SHIFT"):
                m.d.comb += crc.shift.eq(1)
                with m.If(crc.i.ready):
                    m.d.sync += index.eq(index + 1)
                    m.next = "BODY"
                    with m.If(index == CRC_BYTES - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [body.valid.eq(1), body.p.end.eq(1), self.i.ready.eq(body.ready)]
                with m.If(body.ready):
                    m.d.comb += crc.clear.eq(1)
                    m.next = "BODY"

        return m
