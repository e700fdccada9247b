"""A block of processing elements behind one set of operand registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .library import place
from .pe import Accumulate, ProcessingElement

__all__ = ["Tile"]


class Tile(wiring.Component):
    """``tile_rows`` x ``tile_cols`` processing elements that share operand registers.

    Registers its operands once and passes them on: weights, presets and the accumulators' control to the
    right, activations down. Sharing the registers among several elements saves flip-flops; registers
    between tiles keep every wire short. All tiles of an array are the same.

    Parameters
    ----------
    config : :class:`ArrayConfig`

    Members
    -------
    weights, next_weights : In(lanes).array(tile_rows), Out …
        One word a row; out one cycle later.
    activations, next_activations : In(lanes).array(tile_cols), Out …
        One word a column; out one cycle later.
    weights_enable, activations_enable : In(tile_rows), In(tile_cols)
        0 registers zeros in place of that row's or column's word.
    accumulate, next_accumulate : In(Accumulate), Out(Accumulate)
        :attr:`ProcessingElement.count_latency` cycles behind the operands; out one cycle later.
    presets, next_presets : In(signed(accumulator_bits)).array(tile_rows), Out …
        Together with ``accumulate``; out one cycle later, without the bits that ``accumulate`` does not
        ask for.
    bits : Out(tile_rows).array(tile_cols)
        Signs of a column's accumulators, first row in the least significant bit, :attr:`latency` cycles
        after the operands.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        rows, cols = config.tile_rows, config.tile_cols
        acc = signed(config.accumulator_bits)
        super().__init__(
            {
                "weights": In(config.lanes).array(rows),
                "next_weights": Out(config.lanes).array(rows),
                "activations": In(config.lanes).array(cols),
                "next_activations": Out(config.lanes).array(cols),
                "weights_enable": In(rows),
                "activations_enable": In(cols),
                "accumulate": In(Accumulate),
                "next_accumulate": Out(Accumulate),
                "presets": In(acc).array(rows),
                "next_presets": Out(acc).array(rows),
                "bits": Out(rows).array(cols),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the operands to ``bits``: operand register and element."""
        return self.latency_of(self.config)

    @staticmethod
    def latency_of(config: ArrayConfig) -> int:
        """:attr:`latency` of a tile of ``config``."""
        return 1 + ProcessingElement.latency_of(config.lanes)

    def _element(self) -> ProcessingElement:
        return ProcessingElement(self.config.lanes, self.config.accumulator_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, cols = range(self.config.tile_rows), range(self.config.tile_cols)

        def register(word: Signal, next_word: Signal, enable: object) -> Signal:
            """``word`` one cycle later, or zero: a synchronous reset, which is part of a flip-flop."""
            registered = Signal.like(word, reset_less=True)
            m.d.sync += registered.eq(Mux(enable, word, 0))
            m.d.comb += next_word.eq(registered)
            return registered

        start = self.accumulate.first
        accumulate = Signal(Accumulate, reset_less=True)
        m.d.sync += accumulate.eq(self.accumulate)
        m.d.comb += self.next_accumulate.eq(accumulate)
        weights = [
            register(self.weights[r], self.next_weights[r], self.weights_enable[r]) for r in rows
        ]
        presets = []
        for r in rows:
            low, high = self.presets[r][0], self.presets[r][1:]
            lowest = register(low, self.next_presets[r][0], start | self.accumulate.double)
            presets.append(Cat(lowest, register(high, self.next_presets[r][1:], start)))
        for c in cols:
            activation = register(
                self.activations[c], self.next_activations[c], self.activations_enable[c]
            )
            for r in rows:
                pe = place(m, platform, f"pe_{r}_{c}", "processing_element", self._element)
                m.d.comb += [
                    pe.weight.eq(weights[r]),
                    pe.activation.eq(activation),
                    pe.accumulate.eq(accumulate),
                    pe.preset.eq(presets[r]),
                    self.bits[c][r].eq(pe.bit),
                ]
        return m
