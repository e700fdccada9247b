"""Memories of one tile column: activations, and the packers that write results there."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .host_access import column_access_layout, read_bits
from .library import place
from .memory import BlockMemory, place_memory
from .packer import Packer, pack_step_layout

__all__ = ["ColumnMemory"]


class ColumnMemory(wiring.Component):
    """Activations of the columns of a tile, and their results.

    Everything that comes from the tile column on the left is registered once and passed on. Host reads use
    the registers of the first tile as those of :class:`RowMemory` do.

    Members
    -------
    address, next_address : In(range(activation_depth)), Out …
        Word that the array needs.
    step, next_step : In(pack_step_layout(config)), Out …
        Given one cycle before ``bits``. Its address is that of a host's write, too.
    access, next_access : In(column_access_layout(config)), Out …
        Never writes in a cycle in which ``step`` does.
    bits : In(rows).array(tile_cols)
        Results of the array.
    activations : Out(lanes).array(tile_cols)
        :attr:`latency` cycles after ``address``.
    activations_enable : Out(tile_cols)
        For the first tile.
    held_activations : In(lanes).array(tile_cols)
        What the first tile has registered.
    collected_behind, collected : In(read_bits(config)), Out …
        Words read in the tile columns on the right, and with those of this one; out one cycle later.
    """

    latency = 1 + BlockMemory.latency

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        address = range(config.activation_depth)
        super().__init__(
            {
                "address": In(address),
                "next_address": Out(address),
                "step": In(pack_step_layout(config)),
                "next_step": Out(pack_step_layout(config)),
                "access": In(column_access_layout(config)),
                "next_access": Out(column_access_layout(config)),
                "bits": In(config.rows).array(config.tile_cols),
                "activations": Out(config.lanes).array(config.tile_cols),
                "activations_enable": Out(config.tile_cols),
                "held_activations": In(config.lanes).array(config.tile_cols),
                "collected_behind": In(read_bits(config)),
                "collected": Out(read_bits(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, cols = self.config, self.config.tile_cols
        address, step, access = (
            Signal.like(i, reset_less=True) for i in (self.address, self.step, self.access)
        )
        enable = Signal(cols, reset_less=True)
        collected = Signal.like(self.collected, reset_less=True)
        asked = access.column[:cols]
        m.d.comb += [
            self.next_address.eq(address),
            self.next_step.eq(step),
            self.next_access.eq(access),
            self.next_access.column.eq(access.column >> cols),
            self.activations_enable.eq(enable),
            self.collected.eq(collected),
        ]
        m.d.sync += [
            address.eq(self.address),
            step.eq(self.step),
            access.eq(self.access),
            enable.eq(Mux(access.read, asked, ~0)),
        ]
        found = [self.collected_behind]
        for c in range(cols):
            packer = place(m, platform, f"packer_{c}", "packer", lambda: Packer(config))
            bank = place_memory(m, platform, f"bank_{c}", config.lanes, config.activation_depth)
            m.d.comb += [
                packer.bits.eq(self.bits[c]),
                packer.step.eq(step),
                bank.read_address.eq(address),
                bank.write.eq(step.write | (access.write & asked[c])),
                bank.write_address.eq(step.address),
                bank.write_data.eq(Mux(access.write, access.data, packer.word)),
                self.activations[c].eq(bank.read_data),
            ]
            found.append(self.held_activations[c])
        m.d.sync += collected.eq(reduce(or_, found))
        return m
