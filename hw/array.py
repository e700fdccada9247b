"""The systolic array: tiles of processing elements, results leaving at the bottom."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import ArrayConfig
from .pe import Accumulate
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
        self._tiles = [
            [Tile(config, bits_above=i * config.tile_rows) for _ in range(config.grid_cols)]
            for i in range(config.grid_rows)
        ]
        super().__init__(
            {
                "weights": In(config.lanes).array(config.rows),
                "activations": In(config.lanes).array(config.cols),
                "accumulate": In(Accumulate).array(config.grid_rows),
                "presets": In(signed(config.accumulator_bits)).array(config.rows),
                "bits": Out(config.rows).array(config.cols),
            }
        )

    @property
    def count_latency(self) -> int:
        """Cycles by which ``accumulate`` and ``presets`` follow the operands."""
        return self._tiles[0][0].count_latency

    @property
    def latency(self) -> int:
        """Cycles from the operands at tile row 0 to ``bits``, in every tile column."""
        return self.latency_of(self.config)

    @staticmethod
    def latency_of(config: ArrayConfig) -> int:
        """:attr:`latency` of an array of ``config``."""
        return Tile.latency_of(config) + config.grid_rows - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, cols = self.config.tile_rows, self.config.tile_cols
        for i in range(self.config.grid_rows):
            for j in range(self.config.grid_cols):
                m.submodules[f"tile_{i}_{j}"] = tile = self._tiles[i][j]
                left = self._tiles[i][j - 1] if j else None
                above = self._tiles[i - 1][j] if i else None
                m.d.comb += tile.accumulate.eq(left.next_accumulate if left else self.accumulate[i])
                for r in range(rows):
                    row = i * rows + r
                    m.d.comb += [
                        tile.weights[r].eq(left.next_weights[r] if left else self.weights[row]),
                        tile.presets[r].eq(left.next_presets[r] if left else self.presets[row]),
                    ]
                for c in range(cols):
                    col = j * cols + c
                    m.d.comb += tile.activations[c].eq(
                        above.next_activations[c] if above else self.activations[col]
                    )
                    if above:
                        m.d.comb += tile.bits[c].eq(above.next_bits[c])
                    if i == self.config.grid_rows - 1:
                        m.d.comb += self.bits[col].eq(tile.next_bits[c])
        return m
