"""Commands about what could be built: ``xnorgrid estimate`` and ``xnorgrid tune``."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
from pathlib import Path
from typing import Any

from . import board_options, options
from .image_choice import CommandError
from .modelfile import load
from .plan_text import estimate_text, missed_clock, tune_text

__all__ = ["add_estimate", "add_tune", "estimate", "tune"]

#: Exit status when no candidate could be built, or none that was reaches the clock asked for.
_NOTHING = 4


def add_estimate(parser: argparse.ArgumentParser) -> None:
    """Add the model, the board, and changes to the board's configuration."""
    options.add_model(parser)
    board_options.add_board(parser)
    board_options.add_config(parser)


def estimate(arguments: argparse.Namespace, _: str) -> int:
    """Say what a configuration takes of a board, and how fast a model will run on it; nothing is built."""
    from xnorgrid.boards.catalogue import board

    from . import planning

    chosen = board(arguments.board)
    report = planning.estimate(
        load(arguments.model), chosen, board_options.config(arguments, chosen)
    )
    _print(arguments, report, estimate_text(report))
    return 0


def add_tune(parser: argparse.ArgumentParser) -> None:
    """Add the model, the board, and how much is built."""
    options.add_model(parser)
    board_options.add_board(parser)
    parser.add_argument(
        "--builds", type=options.natural, default=3, metavar="N",
        help="place and route the best N; 0 goes by estimates alone (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=options.positive, default=1, metavar="J",
        help="builds at a time; a large one takes 2 to 4 GB of memory (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ceiling", type=_percent, default=80, metavar="PERCENT",
        help="share of LUTs and flip-flops to use at most; fuller devices route slowly or not at all "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--clock", type=_megahertz, default=0, metavar="MHZ",
        help="only arrays that are expected to reach this clock (default: whatever is fastest)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, default=Path("build/tune"), metavar="DIR",
        help="where builds go (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json",
        help="the winner's configuration, for xnorgrid build --config (default: MODEL-BOARD.json in DIR)",
    )  # fmt: skip


def tune(arguments: argparse.Namespace, _: str) -> int:
    """Search the array on which a model runs fastest on a board, and build the best few to be sure."""
    from xnorgrid.boards.catalogue import board

    from . import tuning

    model, chosen = load(arguments.model), board(arguments.board)
    out = arguments.out or arguments.folder / f"{model.name}-{chosen.name}.json"
    if arguments.out and not out.absolute().parent.is_dir():
        raise CommandError(
            f"{out} cannot be written: there is no folder {out.absolute().parent}; create it first"
        )
    report = tuning.tune(
        model,
        chosen,
        builds=arguments.builds,
        jobs=arguments.jobs,
        folder=arguments.folder,
        ceiling=arguments.ceiling / 100,
        least_hz=arguments.clock * 1e6,
        progress=False if arguments.quiet else None,
    )
    if report["winner"] is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report["winner"]["config"], indent=2) + "\n")
        report["file"] = str(out)
    _print(arguments, report, tune_text(report))
    return 0 if report["winner"] is not None and not missed_clock(report) else _NOTHING


def _percent(text: str) -> int:
    value = options.positive(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"{value} is more than 100 percent")
    return value


def _megahertz(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no clock in MHz")


def _print(arguments: argparse.Namespace, report: Any, text: str) -> None:
    print(json.dumps(report, indent=2) if arguments.json else text)
