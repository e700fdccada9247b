"""Bytes of the link to words of the memories and back."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bus import word_bits
from .config import ArrayConfig
from .protocol import Region, data_bytes
from .regions import region_shapes

__all__ = ["WordRegister"]


class WordRegister(wiring.Component):
    """A word of the region at hand, filled and emptied from its lowest byte on.

    Parameters
    ----------
    config : ArrayConfig

    Members
    -------
    region : In(2)
        Its words' size holds. Stays as it is from ``begin`` on.
    begin : In(1)
        The byte at hand is a word's first.
    load, word_in : In
        Take a word from memory, its first byte at hand; what lies above its width is ignored.
    shift, byte_in : In
        Leave the lowest byte behind and take one in as the highest; the next byte is at hand. As many of
        these as a word has bytes fill it, and the byte at hand is a first one again.
    word : Out(word_bits(config))
        The word in the low bits; anything above its width.
    byte : Out(8)
        The lowest byte.
    last : Out(1)
        The byte at hand is a word's last. From a register.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "region": In(2),
                "begin": In(1),
                "load": In(1),
                "word_in": In(word_bits(config)),
                "shift": In(1),
                "byte_in": In(8),
                "word": Out(word_bits(config)),
                "byte": Out(8),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shapes = region_shapes(self.config)
        register = Signal(8 * data_bytes(word_bits(self.config)), reset_less=True)
        loaded = Signal.like(register)
        shifted = Signal.like(register)
        last_byte = Signal(range(data_bytes(word_bits(self.config))))
        left = Signal.like(last_byte, reset_less=True)
        m.d.comb += [
            self.word.eq(register),
            self.byte.eq(register[:8]),
            loaded.eq(self.word_in),
            shifted.eq(register >> 8),
        ]
        with m.Switch(self.region):
            for region, shape in shapes.items():
                with m.Case(Region(region).value):
                    size = 8 * shape.word_bytes
                    m.d.comb += [
                        last_byte.eq(shape.word_bytes - 1),
                        loaded[shape.width : size].eq(0),
                        shifted[size - 8 : size].eq(self.byte_in),
                    ]
        with m.If(self.load):
            m.d.sync += register.eq(loaded)
        with m.Elif(self.shift):
            m.d.sync += register.eq(shifted)
        with m.If(self.begin | self.load | (self.shift & self.last)):
            m.d.sync += [left.eq(last_byte), self.last.eq(last_byte == 0)]
        with m.Elif(self.shift):
            m.d.sync += [left.eq(left - 1), self.last.eq(left == 1)]
        return m
