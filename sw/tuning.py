"""The fastest array for a model on a board: searched by estimates, decided by real builds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xnorgrid.boards.board import Board
from xnorgrid.boards.clocks import at_most
from xnorgrid.boards.devices import Device
from xnorgrid.boards.estimate import estimate
from xnorgrid.boards.report import BuildReport
from xnorgrid.boards.several import Outcome, Task, build_all
from xnorgrid.hw.config import ArrayConfig

from .model import Model
from .placement import ModelDoesNotFit
from .planning import figures, memory_bits, too_large, weight_bits
from .search import DEPTHS, Candidate, grown, search

__all__ = ["ClockOutOfReach", "tune"]

#: Candidates that are listed, built or not.
_LISTED = 8
#: Candidates are built for a clock above the estimated one, so that routing does not stop at the estimate.
_AIM = 1.1
#: Builds of the winner with ever slower clocks, until one is met.
_CLOCK_TRIES = 4
#: The first of them aims a little below the routed clock, which another clock's UART shifts.
_MARGIN = 0.99


class ClockOutOfReach(ModelDoesNotFit):
    """Arrays hold the model, but none is expected to reach the clock that was asked for."""


def tune(
    model: Model,
    board: Board,
    *,
    builds: int,
    jobs: int,
    folder: Path,
    ceiling: float,
    least_hz: float = 0,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Search the arrays that hold ``model`` on ``board``, build the ``builds`` best, and name the fastest.

    Only arrays within ``ceiling`` of the board's LUTs and flip-flops, and expected to reach ``least_hz``, are
    candidates. Builds go to folders below ``folder``, ``jobs`` at a time; what was built before comes from
    the cache, so that a search that was interrupted goes on where it was. Which is the fastest is decided
    by routed clocks, among those that reach ``least_hz`` if there are any. The winner is built once more with
    the fastest clock that its routing allows. Without builds it is the first by estimate. Raises
    :class:`ModelDoesNotFit` if no array of the device holds the model, and :class:`ClockOutOfReach`.
    """
    hidden = None if progress is None else not progress
    with tqdm(desc="search", unit=" rows", disable=hidden, leave=False) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = search(model, board, ceiling=ceiling, least_hz=least_hz, progress=told)
    candidates = [
        _finished(one, board) for one in _distinct(found.candidates, max(builds, _LISTED))
    ]
    if found.fastest_hz is None:
        raise ModelDoesNotFit(
            f"model {model.name!r}: no array within {ceiling:.0%} of {board.title} holds it: "
            f"{_shortage(model, board.device)}"
        )
    if not candidates:
        fastest = math.floor(found.fastest_hz / 1e5) / 10
        raise ClockOutOfReach(
            f"model {model.name!r}: of the arrays within {ceiling:.0%} of {board.title} that hold it, none "
            f"is expected to reach {least_hz / 1e6:g} MHz, the fastest {fastest:g} MHz; ask for that or less"
        )
    rows = [_described(candidate) for candidate in candidates]
    tasks = [_task(board, _aimed(board, candidate), folder) for candidate in candidates[:builds]]
    routed: list[tuple[float, Candidate]] = []
    with tqdm(desc="builds", total=len(tasks), unit="", disable=hidden, leave=False) as bar:
        for outcome in build_all(tasks, jobs) if tasks else ():
            bar.update()
            place = tasks.index(outcome.task)
            rows[place] |= _outcome(candidates[place], outcome)
            if outcome.report is not None:
                routed.append((outcome.report.clock.routed_hz, candidates[place]))
    return {
        "model": model.name,
        "board": board.name,
        "device": board.device.name,
        "least_clock_hz": least_hz or None,
        "tried": found.tried,
        "candidates": rows,
        "winner": _winner(board, routed, folder, least_hz) if builds else rows[0],
    }


def _shortage(model: Model, device: Device) -> str:
    """Why no array of ``device`` holds ``model``, and what to do."""
    bits, room = weight_bits(model), memory_bits(device)
    if bits > room:
        return too_large(model, device)
    return (
        f"its weights take {bits:,} of {room:,} bits, but with activations, thresholds and an array "
        f"there is no room; raise --ceiling, or choose a larger board"
    )


def _distinct(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """The best of each number of lanes, up to ``most``.

    Others with as many lanes differ from it by less than estimates are off.
    """
    found: dict[int, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate.config.lanes, candidate)
    return list(found.values())[:most]


def _finished(candidate: Candidate, board: Board) -> Candidate:
    """``candidate`` with all that its memories hold in use, and with the clock it is expected to reach."""
    config = candidate.config
    for field in DEPTHS:
        config = grown(config, field, board)
    config = at_most(board, config, candidate.estimate.clock_hz)
    return dataclasses.replace(candidate, config=config, estimate=estimate(config, board.device))


def _aimed(board: Board, candidate: Candidate) -> ArrayConfig:
    """The configuration of ``candidate`` with the clock that routing is to aim at."""
    return at_most(board, candidate.config, _AIM * candidate.estimate.clock_hz)


def _task(board: Board, config: ArrayConfig, folder: Path) -> Task:
    name = (
        f"{board.name}-{config.rows}x{config.cols}x{config.lanes}"
        f"-{config.tile_rows}x{config.tile_cols}-{config.clock_hz}"
    )
    return Task(board.name, config, folder / name)


def _described(candidate: Candidate) -> dict[str, Any]:
    return {
        "config": dataclasses.asdict(candidate.config),
        **figures(candidate.estimate),
        "cycles_per_image": candidate.cycles_per_image,
        "images_per_second_estimated": candidate.images_per_second,
        "operations_per_lut_per_cycle_estimated": round(candidate.operations_per_lut, 4),
    }


def _outcome(candidate: Candidate, outcome: Outcome) -> dict[str, Any]:
    """What the build of ``candidate`` adds to its row."""
    if outcome.report is None:
        return {"problem": outcome.problem}
    return _figures_routed(candidate, outcome.report)


def _figures_routed(candidate: Candidate, report: BuildReport) -> dict[str, Any]:
    clock = report.clock.routed_hz
    return {
        "routed": {name: resource.used for name, resource in report.resources.items()},
        "aimed_hz": report.clock.target_hz,
        "routed_hz": clock,
        "images_per_second_routed": clock / candidate.cycles_per_image,
        "operations_per_lut_per_cycle_routed": round(report.operations_per_lut, 4),
    }


def _winner(
    board: Board, routed: list[tuple[float, Candidate]], folder: Path, least_hz: float
) -> dict[str, Any] | None:
    """The fastest of what was routed, with a clock that it meets; ``None`` if there is none.

    Tries the fastest clock that its routing allowed, then ever slower ones.
    """
    if not routed:
        return None
    reaching = [one for one in routed if one[0] >= least_hz]
    limit, best = max(reaching or routed, key=lambda one: one[0] / one[1].cycles_per_image)
    limit *= _MARGIN
    if reaching:
        limit = max(limit, least_hz)
    for _ in range(_CLOCK_TRIES):
        config = at_most(board, best.config, limit)
        best = dataclasses.replace(best, config=config, estimate=estimate(config, board.device))
        (outcome,) = build_all([_task(board, config, folder)], 1)
        if outcome.report is None:
            break
        row = _described(best) | _figures_routed(best, outcome.report)
        row["images_per_second"] = config.clock_hz / best.cycles_per_image
        if outcome.report.clock.met:
            return row
        limit = min(outcome.report.clock.routed_hz, config.clock_hz) * _MARGIN
    return None
