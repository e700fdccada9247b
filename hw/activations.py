"""Activation memories along the upper edge of the array, read along a skew and written by the packers."""

from __future__ import annotations

import itertools

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .column_memory import ColumnMemory
from .config import ArrayConfig
from .host_access import column_access_layout, read_bits
from .library import place
from .packer import pack_step_layout

__all__ = ["ActivationMemory"]


class ActivationMemory(wiring.Component):
    """Feed the columns of the array and keep their results.

    Every column has its own bank and sees the same read addresses and the same packing steps, one cycle
    later from tile column to tile column.

    Members
    -------
    address : In(range(activation_depth))
        Word that the array needs.
    activations, activations_enable : Out
        As :class:`SystolicArray` takes them; tile column 0 gets its word :attr:`latency` cycles after the
        address.
    held_activations : In(lanes).array(cols)
        From :class:`SystolicArray`.
    bits : In(rows).array(cols)
        Results of the array, already skewed.
    step : In(pack_step_layout(config))
        Given :attr:`step_latency` cycles before the bits of tile column 0 are there.
    access : In(column_access_layout(config))
        Host access. Writes only in cycles in which ``step`` does not.
    write_address : In(range(activation_depth))
        Of a host's write.
    read_data : Out(read_bits(config))
        The word at the address that is read, :attr:`read_cycles` cycles after it. Garbage while
        ``access.read`` is 0.
    """

    latency = ColumnMemory.latency
    step_latency = 1

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "address": In(range(config.activation_depth)),
                "activations": Out(config.lanes).array(config.cols),
                "activations_enable": Out(config.cols),
                "held_activations": In(config.lanes).array(config.cols),
                "bits": In(config.rows).array(config.cols),
                "step": In(pack_step_layout(config)),
                "access": In(column_access_layout(config)),
                "write_address": In(range(config.activation_depth)),
                "read_data": Out(read_bits(config)),
            }
        )

    @property
    def read_cycles(self) -> int:
        """Cycles from an address to its word at ``read_data``, whatever column it is of."""
        skew = self.config.grid_cols - 1
        return self.latency + skew + 1 + 1 + skew

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, cols = self.config, self.config.tile_cols
        edges = [
            place(m, platform, f"columns_{j}", "column_memory", lambda: ColumnMemory(config))
            for j in range(config.grid_cols)
        ]
        first = edges[0]
        m.d.comb += [
            first.address.eq(self.address),
            first.step.eq(self.step),
            first.step.address.eq(Mux(self.step.write, self.step.address, self.write_address)),
            first.access.eq(self.access),
            self.read_data.eq(first.collected),
        ]
        for left, right in itertools.pairwise(edges):
            m.d.comb += [
                right.address.eq(left.next_address),
                right.step.eq(left.next_step),
                right.access.eq(left.next_access),
                left.collected_behind.eq(right.collected),
            ]
        for j, edge in enumerate(edges):
            m.d.comb += self.activations_enable[j * cols : (j + 1) * cols].eq(
                edge.activations_enable
            )
            for c in range(cols):
                col = j * cols + c
                m.d.comb += [
                    self.activations[col].eq(edge.activations[c]),
                    edge.held_activations[c].eq(self.held_activations[col]),
                    edge.bits[c].eq(self.bits[col]),
                ]
        return m
