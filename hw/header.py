"""The header of the request at hand."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .protocol import Request
from .regions import region_shapes

__all__ = ["RequestHeader"]


class RequestHeader(wiring.Component):
    """Take in a header byte by byte, and walk the words that it names.

    Parameters
    ----------
    config : ArrayConfig

    Members
    -------
    take, index, byte : In(1), In, In(8)
        Byte ``index`` of the header.
    rotate : In(1)
        Put the next byte of operation, sequence number and session in the place of ``op``: a reply begins
        with these. The fourth time all is as before.
    next_word : In(1)
        Go on to the next word.
    op, session : Out(8), Out(16)
    region : Out(2)
    no_region : Out(1)
        There is no such region; ``region`` is any.
    bank : Out
        As wide as it needs to be to name every bank and one that does not exist, which any higher number
        becomes.
    address, length : Out(16), Out(8)
        Of the next word; words left, minus one.
    """

    def __init__(self, config: ArrayConfig) -> None:
        banks = max(shape.banks for shape in region_shapes(config).values())
        super().__init__(
            {
                "take": In(1),
                "index": In(8),
                "byte": In(8),
                "rotate": In(1),
                "next_word": In(1),
                "op": Out(8),
                "session": Out(16),
                "region": Out(2),
                "no_region": Out(1),
                "bank": Out(range(max(2, banks) + 1)),
                "address": Out(16),
                "length": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        #: Operation, sequence number and session.
        answered = Signal(32, reset_less=True)
        address, length = Signal(16, reset_less=True), Signal(8, reset_less=True)
        m.d.comb += [
            self.op.eq(answered[:8]),
            self.session.eq(answered[16:]),
            self.address.eq(address),
            self.length.eq(length),
        ]

        def at(field: str) -> int:
            return Request[field].offset // 8

        with m.If(self.next_word):
            m.d.sync += [address.eq(address + 1), length.eq(length - 1)]
        with m.If((self.take & (self.index < at("region"))) | self.rotate):
            m.d.sync += answered.eq(Cat(answered[8:], Mux(self.rotate, answered[:8], self.byte)))
        with m.If(self.take), m.Switch(self.index):
            with m.Case(at("region")):
                m.d.sync += [
                    self.region.eq(self.byte),
                    self.no_region.eq(self.byte[len(self.region) :].any()),
                ]
            self._take_bank(m, at("bank"))
            for k in range(2):
                with m.Case(at("address") + k):
                    m.d.sync += address.word_select(k, 8).eq(self.byte)
            with m.Case(at("length")):
                m.d.sync += length.eq(self.byte)
        return m

    def _take_bank(self, m: Module, at: int) -> None:
        for k in range(2):
            kept = self.bank[8 * k : 8 * k + 8]
            with m.Case(at + k):
                m.d.sync += kept.eq(self.byte)
                with m.If(self.byte[len(kept) :].any()):
                    m.d.sync += self.bank.eq(-1)
