"""Which array suits a model and a board best, by estimates: :func:`search`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xnorgrid.boards.board import Board
from xnorgrid.boards.devices import Device
from xnorgrid.boards.estimate import ROUTABLE, Estimate, estimate
from xnorgrid.boards.report import Resource
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.core import timing

from .model import Model
from .needs import Needs, needs
from .placement import ModelDoesNotFit
from .planning import memory_bits, weight_bits

__all__ = ["DEPTHS", "Candidate", "Found", "grown", "search"]

#: Rows and lanes that are tried, and tiles; more of either only make wires longer.
_ROWS = range(1, 129)
_LANES = (*range(4, 32), *range(32, 145, 2))
_TILES = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 4))
#: Tile columns at most, and how far from one the costs of a column are taken.
_FAR = 256
#: Depths of memories, with the largest that a configuration takes.
DEPTHS = {
    "weight_depth": 1 << 16, "activation_depth": 1 << 16, "preset_depth": 1 << 16,
    "program_depth": 256,
}  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A configuration that holds a model and fits a device, and what is expected of it."""

    config: ArrayConfig
    estimate: Estimate
    #: Exact, of a full run.
    cycles_per_image: float

    @property
    def images_per_second(self) -> float:
        """Of the core at the estimated clock: without the line to the host."""
        return self.estimate.clock_hz / self.cycles_per_image

    @property
    def operations_per_lut(self) -> float:
        """Binary operations (an XNOR and an addition a lane) per cycle for each LUT4 of the whole design."""
        return 2 * self.config.lane_count / self.estimate.resources["lut4"].used


@dataclass(frozen=True)
class Found:
    """What a search came to: the best candidate of each number of rows and lanes, best first."""

    candidates: list[Candidate]
    #: Configurations that were estimated.
    tried: int
    #: The fastest clock expected of any array that holds the model; ``None`` if no array does.
    fastest_hz: float | None


def search(
    model: Model,
    board: Board,
    *,
    ceiling: float = ROUTABLE,
    least_hz: float = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Rank the arrays that hold all of ``model`` on ``board`` by images/s of the core.

    Tries rows, lanes and tile shapes, each with as many columns as the device takes, with up to ``ceiling``
    of its LUTs and flip-flops and an estimated clock of ``least_hz`` or more. Clock and line of the
    configurations are those of the board's own. ``progress`` is told how many of how many numbers of rows
    are done. No candidates if the device cannot hold the model, or not at this clock.
    """
    best, tried, fastest_hz = [], 0, 0.0
    limits = _Limits(board.device, ceiling, least_hz)
    widest = max(layer.channels for layer in model.layers)
    longest = max(layer.fan_in for layer in model.layers)
    device = board.device
    if weight_bits(model) > memory_bits(device):
        return Found([], 0, None)
    rows_tried = [rows for rows in _ROWS if rows <= widest]
    for done, rows in enumerate(rows_tried):
        if progress:
            progress(done, len(rows_tried))
        for lanes in _LANES:
            if lanes > longest or rows * lanes > device.luts:
                continue
            shape = dataclasses.replace(
                board.config, rows=rows, cols=1, lanes=lanes, tile_rows=1, tile_cols=1
            )
            try:
                needed = needs(model, shape)
            except ModelDoesNotFit:
                continue
            shape = needed.smallest(shape)
            candidates: list[Candidate] = []
            for narrowest in _narrowest(shape, board):
                if limits.room_for(narrowest):
                    fastest_hz = max(fastest_hz, narrowest.clock_hz)
                    candidates += _columns(needed, narrowest, limits)
            tried += len(candidates)
            if candidates:
                best.append(max(candidates, key=lambda candidate: candidate.images_per_second))
    best.sort(key=lambda candidate: -candidate.images_per_second)
    return Found(best, tried, fastest_hz or None)


@dataclass(frozen=True)
class _Limits:
    """How much of ``device`` an array may take, and the least clock that is to be expected of it."""

    device: Device
    #: Share of LUTs and flip-flops.
    ceiling: float
    least_hz: float

    def cells(self, name: str, resource: Resource) -> float:
        """How many of ``resource`` may be used."""
        return resource.total * (self.ceiling if name in ("lut4", "flip_flop") else 1)

    def room_for(self, found: Estimate) -> bool:
        """Whether the device has room for it."""
        return all(
            resource.used <= self.cells(name, resource)
            for name, resource in found.resources.items()
        )

    def hold(self, found: Estimate) -> bool:
        """Whether the device has room for it, and it reaches the clock."""
        return found.clock_hz >= self.least_hz and self.room_for(found)


def _narrowest(shape: ArrayConfig, board: Board) -> Iterator[Estimate]:
    """Estimates of ``shape``, which has one column, with each kind of memories and tiles: one tile wide."""
    for ports in (1, 2) if board.device.sprams else (2,):
        ported = dataclasses.replace(shape, weight_ports=ports)
        if not estimate(ported, board.device).fits:
            continue
        ported = grown(ported, "activation_depth", board)
        for rows, cols in _TILES:
            if shape.rows % rows == 0:
                tiled = dataclasses.replace(ported, cols=cols, tile_rows=rows, tile_cols=cols)
                yield estimate(tiled, board.device)


def _columns(needed: Needs, narrowest: Estimate, limits: _Limits) -> Iterator[Candidate]:
    """Candidates with the tiles of ``narrowest``, which is one tile wide: the most that fit, and fewer."""
    most = _most(narrowest, limits)
    for share in (1.0, 0.8, 0.6):
        tiles = int(most * share)
        if tiles:
            found = _widened(narrowest, tiles)
            rest = timing(found.config)
            yield Candidate(
                found.config,
                found,
                needed.cycles_per_image(found.config, rest.turnaround, rest.overhead),
            )


def _most(narrowest: Estimate, limits: _Limits) -> int:
    """The most tile columns within ``limits``; 0 if ``narrowest``, which has one, is not."""
    if not limits.hold(narrowest):
        return 0
    # Resources are linear in columns, but for rounding.
    far = _widened(narrowest, _FAR).resources
    most = _FAR
    for name, resource in narrowest.resources.items():
        slope = (far[name].used - resource.used) / (_FAR - 1)
        if slope:
            room = limits.cells(name, resource) - resource.used
            most = min(most, 1 + int(room / slope))
    if limits.hold(_widened(narrowest, most)):
        return most
    # More columns take more cells, and more cells make the clock slower.
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        if limits.hold(_widened(narrowest, middle)):
            low = middle
        else:
            high = middle
    return low


def _widened(narrowest: Estimate, tiles: int) -> Estimate:
    """What ``narrowest``, which is one tile wide, comes to with this many tile columns."""
    config = narrowest.config
    return estimate(dataclasses.replace(config, cols=tiles * config.tile_cols), narrowest.device)


def grown(config: ArrayConfig, field: str, board: Board) -> ArrayConfig:
    """Return ``config`` with the largest depth, by doubling, that takes no more memories than it does."""
    memories = _memories(config, board)
    depth = 1 << (getattr(config, field) - 1).bit_length()
    while depth <= DEPTHS[field]:
        deeper = dataclasses.replace(config, **{field: depth})
        if _memories(deeper, board) != memories:
            break
        config = deeper
        depth *= 2
    return config


def _memories(config: ArrayConfig, board: Board) -> list[int]:
    used = estimate(config, board.device).resources
    return [used[name].used for name in ("block_ram", "spram") if name in used]
