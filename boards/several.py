"""Several builds at a time, each in a process of its own: :func:`build_all`."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from xnorgrid.hw.config import ArrayConfig, ConfigError

from .build import TimingNotMet, build
from .catalogue import BOARDS
from .packed import pack
from .report import BuildReport, Resource
from .toolchain import BuildError

__all__ = ["Outcome", "Task", "build_all"]


@dataclass(frozen=True)
class Task:
    """A configuration to build for the board of this name, with its files in ``folder``."""

    board: str
    config: ArrayConfig
    folder: Path
    seed: int = 1
    #: Whether it is placed and routed, and not only counted.
    route: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a task: what was used, and the report, also where the clock was missed.

    Or what went wrong; there is no report of what was not routed.
    """

    task: Task
    used: dict[str, Resource]
    report: BuildReport | None = None
    problem: str | None = None


def build_all(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Build all ``tasks``, ``jobs`` at a time, and yield each outcome as it comes, in any order.

    What was built before comes from the build's cache, so an interrupted call can be repeated. When the
    caller stops early or is interrupted, running builds are stopped.
    """
    context = multiprocessing.get_context("spawn")
    # The terminal interrupts all processes; whoever asked for the builds decides what that means.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with context.Pool(max(1, min(jobs, len(tasks))), signal.signal, ignore) as pool:
        yield from pool.imap_unordered(_build, tasks)


def _build(task: Task) -> Outcome:
    # A process that is told to end while it builds first ends the tool that it runs.
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _outcome(task)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(1)


def _outcome(task: Task) -> Outcome:
    board = BOARDS[task.board]
    try:
        if not task.route:
            return Outcome(task, pack(board, task.config, task.folder))
        report = build(board, task.config, seed=task.seed, folder=task.folder, progress=False)
    except TimingNotMet as error:
        report = error.report
    except (BuildError, ConfigError, OSError) as error:
        return Outcome(task, {}, problem=str(error))
    return Outcome(task, report.resources, report)
