"""A block of processing elements behind one set of operand registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .library import place
from .pe import Accumulate, ProcessingElement
from .popcount import Popcount

__all__ = ["Tile"]


class Tile(wiring.Component):
    """``tile_rows`` x ``tile_cols`` processing elements that share operand registers.

    Registers its operands once and passes them on: weights, presets and the accumulators' control to the
    right, activations down. Sharing the registers among several elements saves flip-flops; registers
    between tiles keep every wire short.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    bits_above : :class:`int`
        Result bits of the tiles above in the same column.

    Members
    -------
    weights, next_weights : In(lanes).array(tile_rows), Out …
        One word a row; out one cycle later.
    activations, next_activations : In(lanes).array(tile_cols), Out …
        One word a column; out one cycle later.
    accumulate, next_accumulate : In(Accumulate), Out(Accumulate)
        :attr:`ProcessingElement.count_latency` cycles behind the operands; out one cycle later.
    presets, next_presets : In(signed(accumulator_bits)).array(tile_rows), Out …
        Together with ``accumulate``.
    bits : In(bits_above).array(tile_cols)
        Results of the tiles above, of a tile that started one cycle earlier for each tile row.
    next_bits : Out(bits_above + tile_rows).array(tile_cols)
        The same with this tile's rows above them in significance, one cycle later.
    """

    def __init__(self, config: ArrayConfig, bits_above: int) -> None:
        self.config = config
        rows, cols = config.tile_rows, config.tile_cols
        acc = signed(config.accumulator_bits)
        super().__init__(
            {
                "weights": In(config.lanes).array(rows),
                "next_weights": Out(config.lanes).array(rows),
                "activations": In(config.lanes).array(cols),
                "next_activations": Out(config.lanes).array(cols),
                "accumulate": In(Accumulate),
                "next_accumulate": Out(Accumulate),
                "presets": In(acc).array(rows),
                "next_presets": Out(acc).array(rows),
                "bits": In(bits_above).array(cols),
                "next_bits": Out(bits_above + rows).array(cols),
            }
        )

    @property
    def count_latency(self) -> int:
        """Cycles by which ``accumulate`` and ``presets`` follow the operands."""
        return Popcount.latency_of(self.config.lanes)

    @property
    def latency(self) -> int:
        """Cycles from the operands to ``next_bits``: operand register, element, result register."""
        return self.latency_of(self.config)

    @staticmethod
    def latency_of(config: ArrayConfig) -> int:
        """:attr:`latency` of a tile of ``config``."""
        return 1 + ProcessingElement.latency_of(config.lanes) + 1

    def _element(self) -> ProcessingElement:
        return ProcessingElement(self.config.lanes, self.config.accumulator_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, cols = range(self.config.tile_rows), range(self.config.tile_cols)
        m.d.sync += self.next_accumulate.eq(self.accumulate)
        for r in rows:
            m.d.sync += self.next_weights[r].eq(self.weights[r])
            m.d.sync += self.next_presets[r].eq(self.presets[r])
        for c in cols:
            m.d.sync += self.next_activations[c].eq(self.activations[c])
            results = []
            for r in rows:
                pe = place(m, platform, f"pe_{r}_{c}", "processing_element", self._element)
                m.d.comb += [
                    pe.weight.eq(self.next_weights[r]),
                    pe.activation.eq(self.next_activations[c]),
                    pe.accumulate.eq(self.next_accumulate),
                    pe.preset.eq(self.next_presets[r]),
                ]
                results.append(pe.bit)
            m.d.sync += self.next_bits[c].eq(Cat(self.bits[c], *results))
        return m
