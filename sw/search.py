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


@dataclass(frozen=True)
class Found:
    """What a search came to: the best candidate of each number of rows and lanes, best first."""

    candidates: list[Candidate]
    #: Configurations that were estimated.
    tried: int


def search(
    model: Model,
    board: Board,
    *,
    ceiling: float = ROUTABLE,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Rank the arrays that hold all of ``model`` on ``board`` by images/s of the core.

    Tries rows, lanes and tile shapes, each with as many columns as the device takes, with up to ``ceiling``
    of its LUTs and flip-flops. Clock and line of the configurations are those of the board's own.
    ``progress`` is told how many of how many numbers of rows are done. No candidates if the device cannot
    hold the model.
    """
    best, tried = [], 0
    widest = max(layer.channels for layer in model.layers)
    longest = max(layer.fan_in for layer in model.layers)
    device = board.device
    if weight_bits(model) > memory_bits(device):
        return Found([], 0)
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
            candidates = [
                candidate
                for ports in ((1, 2) if device.sprams else (2,))
                for candidate in _columns(
                    needed, dataclasses.replace(shape, weight_ports=ports), board, ceiling
                )
            ]
            tried += len(candidates)
            if candidates:
                best.append(max(candidates, key=lambda candidate: candidate.images_per_second))
    best.sort(key=lambda candidate: -candidate.images_per_second)
    return Found(best, tried)


def _columns(
    needed: Needs, shape: ArrayConfig, board: Board, ceiling: float
) -> Iterator[Candidate]:
    """Candidates of ``shape``'s rows and lanes: for each tile shape the most columns that fit, and fewer.

    ``shape`` has one column.
    """
    if not estimate(shape, board.device).fits:
        return
    shape = grown(shape, "activation_depth", board)
    for tile_rows, tile_cols in _TILES:
        if shape.rows % tile_rows:
            continue
        tiled = dataclasses.replace(shape, cols=tile_cols, tile_rows=tile_rows, tile_cols=tile_cols)
        most = _most(tiled, board.device, ceiling)
        for share in (1.0, 0.8, 0.6):
            tiles = int(most * share)
            if tiles:
                config = dataclasses.replace(tiled, cols=tile_cols * tiles)
                rest = timing(config)
                cycles = needed.cycles_per_image(config, rest.turnaround, rest.overhead)
                yield Candidate(config, estimate(config, board.device), cycles)


def _most(tiled: ArrayConfig, device: Device, ceiling: float) -> int:
    """Most tile columns of ``tiled``, which has one, that fit ``device`` within ``ceiling``."""

    def limit(name: str, resource: Resource) -> float:
        return resource.total * (ceiling if name in ("lut4", "flip_flop") else 1)

    def of(tiles: int) -> dict[str, Resource]:
        return estimate(dataclasses.replace(tiled, cols=tiles * tiled.tile_cols), device).resources

    one, many = of(1), of(_FAR)
    most = _FAR
    for name, resource in one.items():
        room = limit(name, resource) - resource.used
        slope = (many[name].used - resource.used) / (_FAR - 1)
        if room < 0:
            return 0
        if slope:
            most = min(most, 1 + int(room / slope))
    # Everything is linear in columns, but for rounding.
    while most and any(used.used > limit(name, used) for name, used in of(most).items()):
        most -= 1
    return most


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
