"""Where the lanes and cycles of a run go: exact, from the program alone, with reasons in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from xnorgrid.hw.protocol import LEVELS

from .batch import batches
from .compile import Program
from .instructions import Step
from .layers import Conv
from .placement import LayerPlace

__all__ = ["LayerUse", "RunUse", "run_use"]

#: A layer that uses less of the array has its reasons named …
_GOOD = Fraction(9, 10)
#: … the largest, and others that lose at least this part of what it loses.
_NOTABLE = Fraction(1, 4)
_TILE = LEVELS.index("tile")


@dataclass(frozen=True)
class LayerUse:
    """What one layer makes of the array in one pass. Cycles add up to :attr:`cycles`.

    ``lanes`` and ``rows`` are pairs: how many are used, of how many that the layer occupies. Lanes are
    those of one channel's window, rows those of all tiles.
    """

    name: str
    lanes: tuple[int, int]
    rows: tuple[int, int]
    #: Cycles in which inputs meet weights.
    beats: int
    #: Waits for the packer to take the bits of a tile.
    packing: int
    #: The bits of scores after their first.
    scores: int
    #: Filling the padding around the layer's results.
    border: int
    #: Between instructions: one is fetched, and the results of the one before it arrive.
    between: int
    instructions: int
    score_bits: int
    #: What a channel takes in, in words.
    taken: str

    @property
    def cycles(self) -> int:
        """Cycles of a pass, with those after each of the layer's instructions."""
        return self.beats + self.packing + self.scores + self.border + self.between

    @property
    def lane_fill(self) -> Fraction:
        """Part of the lanes that hold an input."""
        return Fraction(*self.lanes)

    @property
    def row_fill(self) -> Fraction:
        """Part of the rows that hold a channel."""
        return Fraction(*self.rows)

    @property
    def time_fill(self) -> Fraction:
        """Part of the cycles in which inputs meet weights."""
        return Fraction(self.beats, self.cycles)

    @property
    def utilisation(self) -> Fraction:
        """Useful lane-operations of what the array could do in these cycles, with an image in each column."""
        return self.lane_fill * self.row_fill * self.time_fill

    def losses(self) -> dict[str, Fraction]:
        """What is lost, as a part of what is there, by its reason."""
        of = f"of {self.cycles:,} cycles"
        places = "layers" if self.instructions == 1 else f"its {self.instructions} instructions"
        return {
            f"{self.lanes[0]:,} of {self.lanes[1]:,} lanes used by {self.taken}": 1
            - self.lane_fill,
            f"{self.rows[0]:,} channels on {self.rows[1]:,} rows": 1 - self.row_fill,
            f"array waits {self.between:,} {of} between {places}": self._part(self.between),
            f"array waits {self.packing:,} {of} for results to be packed": self._part(self.packing),
            f"{self.score_bits} further bits of each score take {self.scores:,} {of}": self._part(
                self.scores
            ),
            f"filling the padding around its results takes {self.border:,} {of}": self._part(
                self.border
            ),
        }

    def _part(self, cycles: int) -> Fraction:
        return Fraction(cycles, self.cycles)


@dataclass(frozen=True)
class RunUse:
    """What the layers make of the array while ``images`` of them are run."""

    layers: tuple[LayerUse, ...]
    images: int
    #: Passes of all runs, and the images that their columns could hold.
    passes: int
    room: int
    #: Cycles of all runs that belong to no layer: before the first beat and after the last.
    outside: int

    @property
    def cycles(self) -> int:
        """Busy cycles of all runs, exactly as the gateware's counter shows them."""
        return self.passes * sum(layer.cycles for layer in self.layers) + self.outside

    @property
    def column_fill(self) -> Fraction:
        """Part of the columns that hold an image."""
        return Fraction(self.images, self.room)

    def reasons(self, layer: LayerUse) -> list[str]:
        """Why ``layer`` uses less than 90 % of the array, the largest loss first; none if it uses more."""
        if layer.utilisation * self.column_fill >= _GOOD:
            return []
        empty = f"{self.images:,} of {self.room:,} columns of all passes hold an image"
        losses = {**layer.losses(), empty: 1 - self.column_fill}
        most = max(losses.values())
        named = [reason for reason, loss in losses.items() if loss >= _NOTABLE * most]
        return sorted(named, key=lambda reason: -losses[reason])

    def report(self) -> list[dict[str, Any]]:
        """JSON-ready, one entry a layer."""
        return [
            {
                "name": layer.name,
                "cycles_per_pass": layer.cycles,
                "share": self.passes * layer.cycles / self.cycles,
                "utilisation": float(layer.utilisation * self.column_fill),
                "lane_fill": float(layer.lane_fill),
                "row_fill": float(layer.row_fill),
                "time_fill": float(layer.time_fill),
                "column_fill": float(self.column_fill),
                "cycles": {
                    name: getattr(layer, name)
                    for name in ("beats", "packing", "scores", "border", "between")
                },
                "reasons": self.reasons(layer),
            }
            for layer in self.layers
        ]


def run_use(program: Program, turnaround: int, overhead: int, images: int | None = None) -> RunUse:
    """Return what running ``images`` makes of the array; ``None`` is one run of all that fit.

    ``turnaround`` and ``overhead`` are the sequencer's, as in :meth:`Program.cycles`.
    """
    cols = program.config.cols
    count = program.max_passes * cols if images is None else images
    runs = list(batches(count, cols, program.max_passes))
    passes = sum(batch.passes for batch in runs)
    steps = [step for segment in program.segments for step in segment.steps]
    return RunUse(
        layers=tuple(
            _layer_use(program, at, [step for step in steps if step.layer == at.index], turnaround)
            for at in program.places
        ),
        images=count,
        passes=passes,
        room=passes * cols,
        # The last instruction of a run has nothing to wait for.
        outside=len(runs) * len(program.segments) * (overhead - turnaround),
    )


def _layer_use(program: Program, at: LayerPlace, steps: list[Step], turnaround: int) -> LayerUse:
    config = program.config
    # Instructions without useful lanes fill the padding.
    work = [step for step in steps if step.lanes]
    beats = sum(math.prod(step.counts) for step in work)
    results = [math.prod(step.counts[_TILE:]) for step in work]
    scores = sum(
        count * step.score_bits * config.pack_cycles
        for count, step in zip(results, work, strict=True)
    )
    return LayerUse(
        name=at.layer.name,
        lanes=_lanes(at),
        rows=(at.layer.channels, at.tiles * at.rows),
        beats=beats,
        packing=_cycles(program, work) - beats - scores,
        scores=scores,
        border=_cycles(program, [step for step in steps if not step.lanes]),
        between=len(steps) * turnaround,
        instructions=len(steps),
        score_bits=work[0].score_bits,
        taken=_taken(at),
    )


def _cycles(program: Program, steps: Iterable[Step]) -> int:
    return sum(step.cycles(program.config) for step in steps)


def _lanes(at: LayerPlace) -> tuple[int, int]:
    """Inputs and lanes of one position of the kernel, which are as those of all of them."""
    return at.source.channels, at.source.words * at.source.lanes


def _taken(at: LayerPlace) -> str:
    if isinstance(at.layer, Conv) and at.windows_apart:
        height, width, channels = at.layer.weights.shape[1:]
        return f"a window of {height}x{width}x{channels}"
    if math.prod(at.kernel) == 1:
        return "its inputs"
    return "the channels of each position"
