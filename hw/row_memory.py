"""Memories of one tile row: weights and presets."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .host_access import read_bits, row_access_layout
from .memory import BlockMemory, place_memory
from .pe import Accumulate

__all__ = ["RowMemory", "row_beat_layout"]


def row_beat_layout(config: ArrayConfig) -> data.StructLayout:
    """What travels from tile row to tile row: addresses, and control of the accumulators.

    Presets are read :attr:`SystolicArray.count_latency` cycles behind the weights of the same beat, and
    their word is there when ``accumulate`` is, :attr:`BlockMemory.latency` cycles later.
    """
    return data.StructLayout(
        {
            "weight_address": range(config.weight_depth),
            "preset_address": range(config.preset_depth),
            "accumulate": Accumulate,
        }
    )


class RowMemory(wiring.Component):
    """Weights and presets of the rows of a tile.

    Everything that comes from the tile row above is registered once and passed on. Each row has a bank of
    weights; the presets of all rows lie side by side in one memory, because they share addresses.

    Host reads use the registers of the first tile: a row that is not asked has its words there replaced by
    zeros, so that all rows can be joined by OR on their way up.

    Members
    -------
    beat, next_beat : In(row_beat_layout(config)), Out …
    access, next_access : In(row_access_layout(config)), Out …
    weights : Out(lanes).array(tile_rows)
        :attr:`latency` cycles after ``beat``.
    weights_enable : Out(tile_rows)
        For the first tile.
    presets : Out(signed(accumulator_bits)).array(tile_rows)
        :attr:`latency` cycles after ``beat``.
    held_weights : In(lanes).array(tile_rows)
        What the first tile has registered.
    collected_below, collected : In(read_bits(config)), Out …
        Words read in the tile rows below, and with those of this one; out one cycle later.
    """

    latency = 1 + BlockMemory.latency

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        presets = signed(config.accumulator_bits)
        super().__init__(
            {
                "beat": In(row_beat_layout(config)),
                "next_beat": Out(row_beat_layout(config)),
                "access": In(row_access_layout(config)),
                "next_access": Out(row_access_layout(config)),
                "weights": Out(config.lanes).array(config.tile_rows),
                "weights_enable": Out(config.tile_rows),
                "presets": Out(presets).array(config.tile_rows),
                "held_weights": In(config.lanes).array(config.tile_rows),
                "collected_below": In(read_bits(config)),
                "collected": Out(read_bits(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        rows, width = config.tile_rows, config.accumulator_bits
        beat, access = (Signal.like(i, reset_less=True) for i in (self.beat, self.access))
        weights_enable = Signal(rows, reset_less=True)
        collected = Signal.like(self.collected, reset_less=True)
        weights_asked = Mux(access.weights, access.row[:rows], 0)
        presets_asked = Mux(access.presets, access.row[:rows], 0)
        m.d.comb += [
            self.next_beat.eq(beat),
            self.next_access.eq(access),
            self.next_access.row.eq(access.row >> rows),
            self.collected.eq(collected),
            self.weights_enable.eq(weights_enable),
        ]
        m.d.sync += [
            beat.eq(self.beat),
            access.eq(self.access),
            weights_enable.eq(Mux(access.read, weights_asked, ~0)),
        ]

        presets = place_memory(
            m, platform, "presets", rows * width, config.preset_depth, parts=rows
        )
        m.d.comb += [
            presets.read_address.eq(beat.preset_address),
            presets.write.eq(Mux(access.write, presets_asked, 0)),
            presets.write_address.eq(access.address),
            presets.write_data.eq(access.data[:width].replicate(rows)),
        ]
        found = [self.collected_below]
        for row in range(rows):
            weights = place_memory(
                m,
                platform,
                f"weights_{row}",
                config.lanes,
                config.weight_depth,
                single_port=config.weight_ports == 1,
            )
            preset = presets.read_data[row * width : (row + 1) * width]
            m.d.comb += [
                weights.read_address.eq(beat.weight_address),
                weights.write.eq(access.write & weights_asked[row]),
                weights.write_address.eq(access.address),
                weights.write_data.eq(access.data),
                self.weights[row].eq(weights.read_data),
                self.presets[row].eq(preset),
            ]
            found += [self.held_weights[row], Mux(presets_asked[row], preset, 0)]
        m.d.sync += collected.eq(reduce(or_, found))
        return m
