"""Weight and preset memories along the left edge of the array, read along a skew."""

from __future__ import annotations

import itertools

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .host_access import read_bits, row_access_layout
from .library import place
from .memory import BlockMemory
from .pe import Accumulate
from .pipeline import delayed
from .row_memory import RowMemory

__all__ = ["WeightMemory"]


class WeightMemory(wiring.Component):
    """Feed the rows of the array.

    Every row has its own banks and sees the same addresses, one cycle later from tile row to tile row. So
    addresses are skewed and not the much wider words. Presets and the accumulators' control follow
    ``count_latency`` cycles behind the weights.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    count_latency : :class:`int`
        See :class:`SystolicArray`.

    Members
    -------
    weight_address, preset_address : In(range(weight_depth)), In(range(preset_depth))
    accumulate : In(Accumulate)
        A beat.
    weights, weights_enable, row_accumulate, presets : Out
        As :class:`SystolicArray` takes them; tile row 0 gets its weights :attr:`latency` cycles after the
        beat.
    held_weights : In(lanes).array(rows)
        From :class:`SystolicArray`.
    access : In(row_access_layout(config))
        Host access to regions WEIGHTS and PRESETS.
    read_data : Out(read_bits(config))
        The word at the addresses that are read, :attr:`read_cycles` cycles after them. Garbage while
        ``access.read`` is 0.
    """

    latency = RowMemory.latency

    def __init__(self, config: ArrayConfig, count_latency: int) -> None:
        self.config = config
        self.count_latency = count_latency
        super().__init__(
            {
                "weight_address": In(range(config.weight_depth)),
                "preset_address": In(range(config.preset_depth)),
                "accumulate": In(Accumulate),
                "weights": Out(config.lanes).array(config.rows),
                "weights_enable": Out(config.rows),
                "row_accumulate": Out(Accumulate).array(config.grid_rows),
                "presets": Out(signed(config.accumulator_bits)).array(config.rows),
                "held_weights": In(config.lanes).array(config.rows),
                "access": In(row_access_layout(config)),
                "read_data": Out(read_bits(config)),
            }
        )

    @property
    def read_cycles(self) -> int:
        """Cycles from an address to its word at ``read_data``, whatever row it is of."""
        skew = self.config.grid_rows - 1
        # Presets leave their memory later than weights leave the first tile.
        return self.count_latency + self.latency + skew + 1 + skew

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, rows = self.config, self.config.tile_rows
        edges = [
            place(m, platform, f"rows_{i}", "row_memory", lambda: RowMemory(config))
            for i in range(config.grid_rows)
        ]
        first = edges[0]
        m.d.comb += [
            first.beat.weight_address.eq(self.weight_address),
            first.beat.preset_address.eq(delayed(m, self.preset_address, self.count_latency)),
            first.beat.accumulate.eq(
                delayed(m, self.accumulate, self.count_latency + BlockMemory.latency)
            ),
            first.access.eq(self.access),
            self.read_data.eq(first.collected),
        ]
        for above, below in itertools.pairwise(edges):
            m.d.comb += [
                below.beat.eq(above.next_beat),
                below.access.eq(above.next_access),
                above.collected_below.eq(below.collected),
            ]
        for i, edge in enumerate(edges):
            m.d.comb += [
                self.row_accumulate[i].eq(edge.next_beat.accumulate),
                self.weights_enable[i * rows : (i + 1) * rows].eq(edge.weights_enable),
            ]
            for r in range(rows):
                row = i * rows + r
                m.d.comb += [
                    self.weights[row].eq(edge.weights[r]),
                    self.presets[row].eq(edge.presets[r]),
                    edge.held_weights[r].eq(self.held_weights[row]),
                ]
        return m
