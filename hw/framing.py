"""Frames with a CRC-32 around header and data."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for

from .bus import Packet
from .protocol import MAX_DATA_BYTES, Request
from .slip import SlipDecoder, SlipEncoder

__all__ = ["Deframer", "Framer"]

#: zlib.crc32 on the host.
CRC32 = catalog.CRC32_ISO_HDLC
CRC_BYTES = CRC32.crc_width // 8


class Deframer(wiring.Component):
    """Receive frames, and pass on those that arrived whole: length, escapes and CRC-32 are right.

    Takes one byte per cycle, also while the frame before leaves; a good frame that ends before then waits,
    and all behind it. A good frame's first byte appears two cycles after its END was taken and the frame
    before has left, then one per cycle. Frames that are too short, too
    long, badly escaped or have a wrong CRC are dropped; empty ones (two ENDs) are nobody's error.
    Whatever came before, the state after an END is always the same.

    Parameters
    ----------
    min_bytes, max_bytes : int
        Bytes of header and data together: at least, at most.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes from the line.
    o : Out(stream.Signature(Packet))
        Header and data of good frames.
    bad_frame : Out(1)
        1 for one cycle when a frame was dropped.
    """

    def __init__(
        self,
        min_bytes: int = Request.size // 8,
        max_bytes: int = Request.size // 8 + MAX_DATA_BYTES,
    ) -> None:
        if not 1 <= min_bytes <= max_bytes:
            raise ValueError(
                f"a frame of {min_bytes} to {max_bytes} bytes cannot be: needs 1 <= min <= max"
            )
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(Packet)),
                "bad_frame": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.crc = crc = CRC32(data_width=8).create()
        # The CRC bytes need no place: the state of the CRC says whether they are right.
        # One half is filled while the other is sent.
        half = range(self.max_bytes)
        m.submodules.storage = storage = Memory(shape=8, depth=2 << bits_for(half[-1]), init=[])
        write = storage.write_port()
        read = storage.read_port()

        connect(m, flipped(self.i), decoder.i)
        received = decoder.o

        capacity = self.max_bytes + CRC_BYTES
        # capacity + 1 stands for "too long".
        count = Signal(range(capacity + 2))
        size = Signal(half)
        index = Signal(half)
        last = Signal(half)
        filling = Signal()
        sending = Signal()
        accepted = Signal()
        good = Signal()

        m.d.comb += [
            accepted.eq(received.valid & received.ready),
            good.eq(
                (count >= self.min_bytes + CRC_BYTES)
                & (count <= capacity)
                & crc.match_detected
                & ~received.p.error
            ),
            crc.data.eq(received.p.data),
            crc.valid.eq(accepted & ~received.p.end),
            crc.start.eq(accepted & received.p.end),
            write.addr.eq(Cat(count[: len(index)], filling)),
            write.data.eq(received.p.data),
            write.en.eq(accepted & ~received.p.end & (count < self.max_bytes)),
            self.o.p.data.eq(read.data),
            self.o.p.last.eq(index == last),
        ]

        with m.FSM():
            with m.State("RECEIVE"):
                m.d.comb += received.ready.eq(1)
                with m.If(accepted):
                    with m.If(received.p.end):
                        m.d.sync += [count.eq(0), size.eq(count - (CRC_BYTES + 1))]
                        with m.If(good):
                            m.next = "FETCH"
                        with m.Elif((count != 0) | received.p.error):
                            m.d.comb += self.bad_frame.eq(1)
                    with m.Elif(count <= capacity):
                        m.d.sync += count.eq(count + 1)
            with m.State("FETCH"), m.If(~sending):
                m.d.comb += read.addr.eq(Cat(C(0, len(index)), filling))
                m.d.sync += [sending.eq(1), last.eq(size), index.eq(0), filling.eq(~filling)]
                m.next = "RECEIVE"

        with m.If(sending):
            m.d.comb += [self.o.valid.eq(1), read.addr.eq(Cat(index, ~filling))]
            with m.If(self.o.ready):
                m.d.comb += read.addr.eq(Cat((index + 1)[: len(index)], ~filling))
                m.d.sync += index.eq(index + 1)
                with m.If(self.o.p.last):
                    m.d.sync += sending.eq(0)

        return m


class Framer(wiring.Component):
    """Append a CRC-32 to each packet and send it as a SLIP frame.

    One byte per cycle out; a frame begins in the cycle in which its packet's first byte is offered.

    Members
    -------
    i : In(stream.Signature(Packet))
        Header and data of frames.
    o : Out(stream.Signature(8))
        Bytes for the line.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(Packet)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform) -> Module:
        m = Module()

        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.crc = crc = CRC32(data_width=8).create()
        connect(m, encoder.o, flipped(self.o))
        body = encoder.i

        index = Signal(range(CRC_BYTES))

        with m.FSM():
            with m.State("BODY"):
                m.d.comb += [
                    body.valid.eq(self.i.valid),
                    body.p.data.eq(self.i.p.data),
                    self.i.ready.eq(body.ready),
                    crc.data.eq(self.i.p.data),
                    crc.valid.eq(self.i.valid & self.i.ready),
                ]
                with m.If(self.i.valid & self.i.ready & self.i.p.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [
                    body.valid.eq(1),
                    body.p.data.eq(crc.crc.word_select(index, 8)),
                    body.p.last.eq(index == CRC_BYTES - 1),
                ]
                with m.If(body.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(body.p.last):
                        m.d.sync += index.eq(0)
                        m.d.comb += crc.start.eq(1)
                        m.next = "BODY"

        return m
