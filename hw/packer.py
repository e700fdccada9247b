"""From result bits to activation words: pooling and packing."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
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
            "capture": 1,  #: take the pooled bits for packing
            "put": 1,  #: store the next ``pack_bits`` captured bits in the word …
            "slot": range(
                config.lanes // config.pack_bits
            ),  #: … at this place; slot 0 clears the rest
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
        First address, words a position, and what is added to the address after each position, and besides
        after a row of positions.
    result : In(Result)
    step : Out(pack_step_layout(config))
        Combinational from ``result`` for ``join`` and ``capture``; a word is written
        :attr:`latency` cycles after the result that completes it.
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
        words, address = Signal(16), Signal(16)
        # After a position within a row, and after the last of a row.
        position_step, row_step = Signal(16), Signal(16)
        stored = Signal(16)  # words of this position so far
        slot = Signal(range(self.config.lanes // self.config.pack_bits))
        puts_left = Signal(range(self.config.pack_cycles + 1))
        position_end, row_end = Signal(), Signal()
        ended, ended_row = Signal(), Signal()

        capture = self.result.valid & self.result.window_last
        put = puts_left != 0
        final = position_end & (puts_left == 1)
        m.d.comb += [
            self.step.join.eq(self.result.valid),
            self.step.window_first.eq(self.result.window_first),
            self.step.capture.eq(capture),
            self.step.put.eq(put),
            self.step.slot.eq(slot),
            self.step.address.eq(address),
        ]
        full = Signal()
        m.d.sync += [full.eq(0), ended.eq(0)]
        with m.If(put):
            last_slot = slot == self.config.lanes // self.config.pack_bits - 1
            m.d.sync += [
                puts_left.eq(puts_left - 1),
                slot.eq(Mux(last_slot | final, 0, slot + 1)),
                full.eq(last_slot | final),
                ended.eq(final),
                ended_row.eq(row_end),
            ]
        with m.If(capture):
            m.d.sync += [
                puts_left.eq(self.config.pack_cycles),
                position_end.eq(self.result.position_end),
                row_end.eq(self.result.row_end),
            ]
        with m.If(full):
            step = Signal(16)
            with m.If(stored != words):
                m.d.comb += [self.step.write.eq(1), step.eq(1)]
            ended_step = Mux(ended_row, row_step, position_step)
            m.d.sync += stored.eq(Mux(ended, 0, stored + step))
            m.d.sync += address.eq(address + step + Mux(ended, ended_step, 0))
        with m.If(self.begin):
            m.d.sync += [
                address.eq(self.base),
                words.eq(self.words),
                position_step.eq(self.position_step),
                row_step.eq(self.position_step + self.row_step),
                stored.eq(0),
                slot.eq(0),
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
        size = self.config.pack_bits
        pooled, captured = Signal(self.config.rows), Signal(self.config.rows)
        joined = self.bits | Mux(self.step.window_first, 0, pooled)
        with m.If(self.step.join):
            m.d.sync += pooled.eq(joined)
        with m.If(self.step.capture):
            m.d.sync += captured.eq(joined)
        with m.Elif(self.step.put):
            m.d.sync += captured.eq(captured >> size)
        for slot in range(self.config.lanes // size):
            part = self.word[slot * size : (slot + 1) * size]
            with m.If(self.step.put & (self.step.slot == slot)):
                m.d.sync += part.eq(captured[:size])
            with m.Elif(self.step.put & (self.step.slot == 0)):
                m.d.sync += part.eq(0)
        return m
