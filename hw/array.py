"""The systolic array: tiles of processing elements, results leaving at the bottom."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .library import place
from .pe import Accumulate, ProcessingElement
from .tile import Tile

__all__ = ["SystolicArray"]


class SystolicArray(wiring.Component):
    """Output-stationary grid of processing elements.

    Weights enter on the left and move right, activations enter at the top and move down, one tile a
    cycle. The operands of tile row i are given i cycles after those of tile row 0, and those of tile
    column j, j cycles after those of tile column 0. Every cycle each accumulator's sign joins the bits
    that come down its column, so that all results of a column leave together, once a cycle if need be.
    There is no flow control: who feeds the array knows when results appear.

    Parameters
    ----------
    config : :class:`ArrayConfig`

    Members
    -------
    weights : In(lanes).array(rows)
    activations : In(lanes).array(cols)
    weights_enable, activations_enable : In(rows, init=-1), In(cols, init=-1)
        0 gives zeros in place of that row's or column's word.
    held_weights, held_activations : Out(lanes).array(rows), Out(lanes).array(cols)
        The same words in the registers of the first tile, one cycle later.
    accumulate : In(Accumulate).array(grid_rows)
        One a tile row, :attr:`count_latency` cycles after the weights it belongs to.
    presets : In(signed(accumulator_bits)).array(rows)
        Together with ``accumulate``.
    bits : Out(rows).array(cols)
        Signs of a column's accumulators, row 0 in the least significant bit, :attr:`latency` cycles after
        the operands of tile row 0 and this tile column were given.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "weights": In(config.lanes).array(config.rows),
                "activations": In(config.lanes).array(config.cols),
                "weights_enable": In(config.rows, init=(1 << config.rows) - 1),
                "activations_enable": In(config.cols, init=(1 << config.cols) - 1),
                "held_weights": Out(config.lanes).array(config.rows),
                "held_activations": Out(config.lanes).array(config.cols),
                "accumulate": In(Accumulate).array(config.grid_rows),
                "presets": In(signed(config.accumulator_bits)).array(config.rows),
                "bits": Out(config.rows).array(config.cols),
            }
        )

    @property
    def count_latency(self) -> int:
        """Cycles by which ``accumulate`` and ``presets`` follow the operands."""
        return ProcessingElement.count_latency_of(self.config.lanes)

    @property
    def latency(self) -> int:
        """Cycles from the operands at tile row 0 to ``bits``, in every tile column."""
        return self.latency_of(self.config)

    @staticmethod
    def latency_of(config: ArrayConfig) -> int:
        """:attr:`latency` of an array of ``config``."""
        return Tile.latency_of(config) + config.grid_rows

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        rows, cols = config.tile_rows, config.tile_cols
        tiles: list[list[Any]] = [
            [
                place(m, platform, f"tile_{i}_{j}", "tile", lambda: Tile(config))
                for j in range(config.grid_cols)
            ]
            for i in range(config.grid_rows)
        ]
        above: dict[int, Any] = {}  # bits of the tile rows above by column
        for i, tile_row in enumerate(tiles):
            for j, tile in enumerate(tile_row):
                left = tile_row[j - 1] if j else None
                upper = tiles[i - 1][j] if i else None
                enable = self.weights_enable[i * rows : (i + 1) * rows]
                m.d.comb += [
                    tile.accumulate.eq(left.next_accumulate if left else self.accumulate[i]),
                    tile.weights_enable.eq(~0 if left else enable),
                ]
                for r in range(rows):
                    row = i * rows + r
                    m.d.comb += [
                        tile.weights[r].eq(left.next_weights[r] if left else self.weights[row]),
                        tile.presets[r].eq(left.next_presets[r] if left else self.presets[row]),
                    ]
                    if not left:
                        m.d.comb += self.held_weights[row].eq(tile.next_weights[r])
                enable = self.activations_enable[j * cols : (j + 1) * cols]
                m.d.comb += tile.activations_enable.eq(~0 if upper else enable)
                for c in range(cols):
                    col = j * cols + c
                    m.d.comb += tile.activations[c].eq(
                        upper.next_activations[c] if upper else self.activations[col]
                    )
                    if not upper:
                        m.d.comb += self.held_activations[col].eq(tile.next_activations[c])
                    bits = Signal((i + 1) * rows, name=f"bits_{i}_{col}", reset_less=True)
                    m.d.sync += bits.eq(Cat(above[col], tile.bits[c]) if upper else tile.bits[c])
                    above[col] = bits
        for col, bits in above.items():
            m.d.comb += self.bits[col].eq(bits)
        return m
