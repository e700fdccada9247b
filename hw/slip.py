"""SLIP (RFC 1055): frames in a byte stream."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bus import Packet
from .protocol import Slip

__all__ = ["Decoded", "SlipDecoder", "SlipEncoder"]

#: A byte of a frame's body or, with ``end`` set, a frame's end. ``error`` comes with ``end`` and says that
#: the frame held an escape that SLIP does not define.
Decoded = data.StructLayout({"data": 8, "end": 1, "error": 1})


class SlipDecoder(wiring.Component):
    """Undo SLIP escapes and mark frame ends.

    Combinational; one byte per cycle. Whatever came before, the first END brings it to a known state.
    An escape takes the escape byte in without putting anything out. Empty frames are reported too.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes from the line.
    o : Out(stream.Signature(Decoded))
        Body bytes and ends.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(Decoded))})

    def elaborate(self, platform) -> Module:
        m = Module()

        escaped = Signal()
        # A bad escape earlier in this frame.
        damaged = Signal()

        absorb = Signal()
        bad = Signal()
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~absorb),
            self.i.ready.eq(self.o.ready | absorb),
            self.o.p.data.eq(self.i.payload),
        ]
        with m.Switch(self.i.payload):
            with m.Case(Slip.END):
                m.d.comb += [self.o.p.end.eq(1), self.o.p.error.eq(damaged | escaped)]
            with m.Case(Slip.ESC):
                m.d.comb += [absorb.eq(self.i.valid), bad.eq(escaped)]
            with m.Case(Slip.END_ESCAPED), m.If(escaped):
                m.d.comb += self.o.p.data.eq(Slip.END)
            with m.Case(Slip.ESC_ESCAPED), m.If(escaped):
                m.d.comb += self.o.p.data.eq(Slip.ESC)
            with m.Default():
                m.d.comb += bad.eq(escaped)

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                escaped.eq(self.i.payload == Slip.ESC),
                damaged.eq((damaged | bad) & ~self.o.p.end),
            ]

        return m


class SlipEncoder(wiring.Component):
    """Send SLIP frames, with an END before each, which closes whatever noise came before it.

    One byte per cycle out: the first END appears in the cycle in which a frame's first byte is offered.

    Members
    -------
    i : In(stream.Signature(Packet))
        Frames of at least a byte.
    o : Out(stream.Signature(8))
        Bytes for the line.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(Packet)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform) -> Module:
        m = Module()

        is_end = self.i.p.data == Slip.END
        is_escape = self.i.p.data == Slip.ESC
        taken = self.o.valid & self.o.ready
        m.d.comb += self.o.valid.eq(self.i.valid)

        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += self.o.payload.eq(Slip.END)
                with m.If(taken):
                    m.next = "BODY"
            with m.State("BODY"):
                with m.If(self.i.p.end):
                    m.d.comb += [self.o.payload.eq(Slip.END), self.i.ready.eq(self.o.ready)]
                    with m.If(taken):
                        m.next = "OPEN"
                with m.Elif(is_end | is_escape):
                    m.d.comb += self.o.payload.eq(Slip.ESC)
                    with m.If(taken):
                        m.next = "ESCAPED"
                with m.Else():
                    m.d.comb += [self.o.payload.eq(self.i.p.data), self.i.ready.eq(self.o.ready)]
            with m.State("ESCAPED"):
                m.d.comb += [
                    self.o.payload.eq(Mux(is_end, Slip.END_ESCAPED, Slip.ESC_ESCAPED)),
                    self.i.ready.eq(self.o.ready),
                ]
                with m.If(taken):
                    m.next = "BODY"

        return m
