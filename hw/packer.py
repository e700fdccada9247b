"""From result bits to activation words: pooling and packing."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig

__all__ = ["Packer", "PackerControl", "Result", "pack_step_layout"]

#: What the sequencer says about the bits that leave the array in a cycle.
Result = data.StructLayout(
    {
        "valid": 1,  #: the bits are results
        "window_first": 1,  #: first of the positions that max-pooling joins
        "window_last": 1,  #: last of them: the joined bits are stored
        "position_end": 1,  #: last bits of an output position: its last word is stored even if not full
        "row_end": 1,  #: last position of a row of positions
    }
)


def pack_step_layout(config: ArrayConfig) -> data.StructLayout:
    """What every column's packer does in a cycle; see :class:`Packer`."""
    return data.StructLayout(
        {
            "join": 1,  #: OR the bits into the pooled bits
            "window_first": 1,  #: … which start from 0
            "capture": 1,  #: take the pooled bits for packing, and store ``pack_bits`` a cycle from now on
            "fill": config.lanes
            // config.pack_bits,  #: where in the word, one-hot; the first clears the rest
            "write": 1,  #: the word is complete: write it …
            "address": range(config.activation_depth),  #: … here
        }
    )


class PackerControl(wiring.Component):
    """Decide once for all columns when bits are packed and where words are written.

    Words of a position are written one after another; bits beyond ``words`` words a position are
    dropped. A result that is the last of its window takes :attr:`ArrayConfig.pack_cycles` cycles to pack,
    so two of them are at least that far apart.

    Members
    -------
    begin : In(1)
        A layer begins: take ``base``, ``words`` and the steps.
    base, words, position_step, row_step : In(16)
        First address, words a position (at least 1), and what is added to the address after each position,
        and besides after a row of positions. As many bits of each count as an address has.
    result : In(Result)
    step : Out(pack_step_layout(config))
        Combinational from ``result`` for ``join`` and ``capture``; a word is written
        :attr:`latency` cycles after the result that completes it.
    full : Out(1)
        From a register: ``step.write`` is 0 where this is.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "base": In(16),
                "words": In(16),
                "position_step": In(16),
                "row_step": In(16),
                "result": In(Result),
                "step": Out(pack_step_layout(config)),
                "full": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a result to the write of the word that it completes."""
        return self.latency_of(self.config)

    @staticmethod
    def latency_of(config: ArrayConfig) -> int:
        """:attr:`latency` of a control for ``config``."""
        return config.pack_cycles + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        slots, bits = config.lanes // config.pack_bits, (config.activation_depth - 1).bit_length()
        slot = Signal(slots, init=1)
        puts_left = Signal(range(config.pack_cycles + 1))
        position_end, row_end = Signal(), Signal()
        full, ended = self.full, Signal()
        words, words_left = Signal(bits), Signal(bits)
        room = Signal()  # words_left is not 0
        # What is added to the address after a position within a row, after the last of a row, and next.
        position_step, row_step, step = Signal(bits), Signal(bits), Signal(bits)
        address = Signal(bits)

        capture = self.result.valid & self.result.window_last
        put = puts_left != 0
        final = position_end & (puts_left == 1)
        complete = slot[-1] | final
        m.d.comb += [
            self.step.join.eq(self.result.valid),
            self.step.window_first.eq(self.result.window_first),
            self.step.capture.eq(capture),
            self.step.fill.eq(Mux(put, slot, 0)),
            self.step.write.eq(full & room),
            self.step.address.eq(address),
        ]
        m.d.sync += [
            full.eq(put & complete),
            ended.eq(final),
            step.eq(Mux(final, Mux(row_end, row_step, position_step), 0)),
        ]
        with m.If(put):
            m.d.sync += [
                puts_left.eq(puts_left - 1),
                slot.eq(Mux(complete, 1, Cat(slot[-1], slot[:-1]))),
            ]
        with m.If(capture):
            m.d.sync += [
                puts_left.eq(config.pack_cycles),
                position_end.eq(self.result.position_end),
                row_end.eq(self.result.row_end),
            ]
        with m.If(full):
            m.d.sync += [
                address.eq(address + step + room),
                words_left.eq(Mux(ended, words, words_left - room)),
                room.eq(ended | (room & (words_left != 1))),
            ]
        with m.If(self.begin):
            m.d.sync += [
                address.eq(self.base),
                words.eq(self.words),
                words_left.eq(self.words),
                room.eq(1),
                position_step.eq(self.position_step),
                row_step.eq(self.position_step + self.row_step),
                slot.eq(1),
                puts_left.eq(0),
            ]
        return m


class Packer(wiring.Component):
    """Pool and pack the result bits of one column.

    Members
    -------
    bits : In(rows)
        What leaves the array's column.
    step : In(pack_step_layout(config))
    word : Out(lanes)
        Written by the activation memory in cycles with ``step.write``.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "bits": In(config.rows),
                "step": In(pack_step_layout(config)),
                "word": Out(config.lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, step = self.config.pack_bits, self.step
        pooled, word = (Signal(n, reset_less=True) for n in (self.config.rows, self.config.lanes))
        joined = self.bits | Mux(step.window_first, 0, pooled)
        with m.If(step.join):
            m.d.sync += pooled.eq(joined)
        source = pooled
        if self.config.pack_cycles > 1:
            source = captured = Signal(self.config.rows, reset_less=True)
            m.d.sync += captured.eq(Mux(step.capture, joined, captured >> size))
        for slot, fill in enumerate(step.fill):
            part = word.word_select(slot, size)
            with m.If(step.fill[0]):
                m.d.sync += part.eq(0 if slot else source)
            with m.Elif(fill):
                m.d.sync += part.eq(source)
        m.d.comb += self.word.eq(word)
        return m
