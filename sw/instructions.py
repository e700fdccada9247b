"""Layer instructions: the loops of a part of a layer, and the cycles they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import LEVELS, Instruction

from .layers import Conv
from .placement import LayerPlace

__all__ = ["Part", "Region", "Step", "border_steps", "loops", "regions", "steps"]

_WORD, _ROW, _PLANE, _WINDOW_X, _WINDOW_Y, _TILE, _X, _Y = range(len(LEVELS))


def steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Address steps of a loop nest, innermost first, as an instruction holds them (modulo 2**16).

    ``strides`` says how far apart two iterations of a level start. When a level advances, the address still
    stands at the end of all inner levels; the step leads from there.
    """
    travelled = 0
    result = []
    for count, stride in zip(counts, strides, strict=True):
        result.append((stride - travelled) % (1 << 16))
        travelled += (count - 1) * stride
    return result


def loops(
    counts: Sequence[int], strides: Sequence[int], *, window_presets: bool = False
) -> dict[str, Any]:
    """Fields of an instruction with these loops, innermost first.

    ``window_presets``: each window position has presets of its own.
    """
    words, rows, planes, windows_x, windows_y, tiles = counts[: _TILE + 1]
    weights, windows = words * rows, windows_x * windows_y if window_presets else 1
    moves = {
        "plane": (weights, 0),
        "window": (weights, 0 if window_presets else planes),
        "position": (weights * tiles, planes * windows * tiles),
    }
    return {
        **{
            name: {"weight": -weight % (1 << 16), "preset": -preset % (1 << 16)}
            for name, (weight, preset) in moves.items()
        },
        "level": [
            {"count": count - 1, "step": step}
            for count, step in zip(counts, steps(counts, strides), strict=True)
        ],
    }


#: How far a window reaches over the map's edge: rows above and below, columns left and right.
_Cut = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """Pooled output positions (rows and columns) of a layer that share their presets.

    ``cuts`` holds, for each position of the pooling window, what lies in zero padding; one for all if
    they are the same.
    """

    rows: range
    columns: range
    cuts: tuple[_Cut, ...] = ((0, 0, 0, 0),)


def regions(at: LayerPlace) -> list[Region]:
    """Return the regions of a layer: one, unless zero padding makes borders differ."""
    layer, result = at.layer, at.result
    if not (isinstance(layer, Conv) and layer.fill == 0):
        return [Region(range(result.height), range(result.width))]
    return [
        Region(rows, columns, _merged(above, beside))
        for rows, above in _classes(at, 0)
        for columns, beside in _classes(at, 1)
    ]


def _classes(at: LayerPlace, axis: int) -> Iterator[tuple[range, tuple[tuple[int, int], ...]]]:
    """Runs of output positions along an axis whose windows reach over the edges alike, and how."""
    layer = at.layer
    assert isinstance(layer, Conv)
    size, kernel, padding = at.map_shape[axis], layer.kernel[axis], layer.padding[axis]
    count = (at.result.height, at.result.width)[axis]

    def cuts(position: int) -> tuple[tuple[int, int], ...]:
        starts = [(position * layer.pool + k) * layer.stride - padding for k in range(layer.pool)]
        return tuple((max(0, -start), max(0, start + kernel - size)) for start in starts)

    for key, run in groupby(range(count), cuts):
        members = list(run)
        yield range(members[0], members[-1] + 1), key


def _merged(
    above: tuple[tuple[int, int], ...], beside: tuple[tuple[int, int], ...]
) -> tuple[_Cut, ...]:
    cuts = tuple((*rows, *columns) for rows in above for columns in beside)
    return cuts[:1] if len(set(cuts)) == 1 else cuts


@dataclass(frozen=True)
class Part:
    """The tiles ``tiles`` of a layer; all of them unless its weights are streamed in several parts."""

    place: LayerPlace
    tiles: range

    @property
    def weight_words(self) -> int:
        """Words in each row's weight memory."""
        return len(self.tiles) * self.place.weight_words

    def preset_words(self, region: Region) -> int:
        """Words in each row's preset memory for the positions of ``region``."""
        return len(self.tiles) * len(region.cuts) * self.place.source.planes

    @property
    def first_word(self) -> int:
        """Where in a position's words those of these tiles begin."""
        return self.tiles.start * self.place.tile_bits // self.place.result.lanes

    @property
    def result_words(self) -> int:
        """Words of each position that these tiles make."""
        if self.tiles.stop == self.place.tiles:
            return self.place.result.words - self.first_word
        return len(self.tiles) * self.place.tile_bits // self.place.result.lanes

    def step(self, region: Region, config: ArrayConfig, weight_base: int, preset_base: int) -> Step:
        """Return the instruction for ``region`` with its weights and presets at these addresses."""
        at, source, result = self.place, self.place.source, self.place.result
        down, along = at.stride * source.row_words, at.stride * source.words
        counts, strides = [1] * len(LEVELS), [0] * len(LEVELS)
        for level, count, stride in (
            (_WORD, at.kernel[1] * source.words, 1),
            (_ROW, at.kernel[0], source.row_words),
            (_PLANE, source.planes, source.plane_words),
            (_WINDOW_X, at.pool, along),
            (_WINDOW_Y, at.pool, down),
            (_TILE, len(self.tiles), 0),
            (_X, len(region.columns), at.pool * along),
            (_Y, len(region.rows), at.pool * down),
        ):
            counts[level], strides[level] = count, stride
        y, x = region.rows.start, region.columns.start
        channels = min(self.tiles.stop * at.rows, at.layer.channels) - self.tiles.start * at.rows
        sums = at.pool**2 * len(region.columns) * len(region.rows)
        return Step(
            layer=at.index,
            counts=tuple(counts),
            strides=tuple(strides),
            score_bits=config.accumulator_bits - 1 if at.scores else 0,
            activation_base=at.source_base + at.pool * (y * down + x * along),
            weight_base=weight_base,
            preset_base=preset_base,
            output_base=at.result_base
            + result.origin
            + y * result.row_words
            + x * result.words
            + self.first_word,
            output_words=self.result_words,
            output_step=result.words - self.result_words,
            output_row_step=result.row_words - len(region.columns) * result.words,
            window_presets=len(region.cuts) > 1,
            lanes=sums * channels * at.layer.fan_in * source.planes,
        )


@dataclass(frozen=True)
class Step:
    """One instruction. Counts and strides are those of the loop levels, innermost first."""

    layer: int
    counts: tuple[int, ...]
    strides: tuple[int, ...]
    score_bits: int
    activation_base: int
    weight_base: int
    preset_base: int
    output_base: int
    output_words: int
    output_step: int
    output_row_step: int
    window_presets: bool
    #: Useful lane-operations: real inputs times real channels.
    lanes: int
    pass_input: bool = False
    pass_output: bool = False

    def cycles(self, config: ArrayConfig) -> int:
        """Cycles from the first beat to the last, both included.

        A result is complete after its window's sums, a score's further bits after it; two bits to be
        packed are never closer than :attr:`ArrayConfig.pack_cycles`.
        """
        beats = int(np.prod(self.counts[: _WINDOW_Y + 1]))
        results = int(np.prod(self.counts[_TILE:]))
        tail = self.score_bits * config.pack_cycles
        return beats + tail + (results - 1) * (max(beats, config.pack_cycles) + tail)

    def encode(self, *, last: bool) -> bytes:
        """Return the instruction as the program memory holds it."""
        fields = {
            "last": last,
            "pass_input": self.pass_input,
            "pass_output": self.pass_output,
            "score_bits": self.score_bits,
            "activation_base": self.activation_base,
            "output_base": self.output_base,
            "base": {"weight": self.weight_base, "preset": self.preset_base},
            "output_words": self.output_words,
            "output_step": self.output_step,
            "output_row_step": self.output_row_step % (1 << 16),
            **loops(self.counts, self.strides, window_presets=self.window_presets),
        }
        return Instruction.const(fields).as_bits().to_bytes(Instruction.size // 8, "little")


def border_steps(at: LayerPlace, preset_base: int) -> list[Step]:
    """Return the instructions that fill the border around a layer's results from one preset word a tile.

    The border is one run of positions before the map's first row, one after its last, and one between each
    two rows.
    """
    result = at.result
    rows, columns = result.border
    base = Step(
        layer=at.index,
        counts=(1,) * len(LEVELS),
        strides=(0,) * len(LEVELS),
        score_bits=0,
        # Word 0 is zero, and the presets decide whatever weights it meets.
        activation_base=0,
        weight_base=0,
        preset_base=preset_base,
        output_base=at.result_base,
        output_words=result.words,
        output_step=0,
        output_row_step=0,
        window_presets=False,
        lanes=0,
    )

    def fill(positions: int, times: int, start: int) -> Step:
        counts = [1] * len(LEVELS)
        counts[_TILE], counts[_X], counts[_Y] = at.tiles, positions, times
        return replace(
            base,
            counts=tuple(counts),
            output_base=at.result_base + start,
            output_row_step=result.row_words - positions * result.words,
        )

    ends = rows * (result.width + 2 * columns) + columns
    row_end = result.origin + result.width * result.words
    last_end = row_end + (result.height - 1) * result.row_words
    filled = []
    if ends:
        filled += [fill(ends, 1, 0), fill(ends, 1, last_end)]
    if columns and result.height > 1:
        filled.append(fill(2 * columns, result.height - 1, row_end))
    return filled
