"""``xnorgrid geometry``: the paper recomputed, as a report with figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import options
from .image_choice import CommandError

__all__ = ["add_arguments", "run"]

#: Images by default: a change of accuracy then has a standard error of half a point.
_COUNT = 2000
_DIFFERS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the report goes, and what it is computed from."""
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("geometry-report"),
        help="directory of the report, made if need be (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE",
        help="checkpoint of a training: what the paper says of trained networks is measured on it",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="directory of CIFAR-10, and of what the network was trained on (default: $XNORGRID_DATA)",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=options.positive, metavar="N", default=_COUNT,
        help="test images that the trained network's accuracies are measured on (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=options.natural, metavar="N", default=0,
        help="seed of all random numbers (default: %(default)s)",
    )  # fmt: skip


def run(arguments: argparse.Namespace, _: str) -> int:
    """Recompute the geometry of binary networks and write the report: Markdown, JSON and figures.

    The exit status is 5 if a row is not accepted, and no further measurement explains it.
    """
    if arguments.out.exists() and not arguments.out.is_dir():
        raise CommandError(
            f"the report cannot be written to {arguments.out}: it is a file; name a directory"
        )
    from .geometry import report, rows, suite

    settings = rows.Settings(
        arguments.seed, arguments.data, checkpoint=arguments.checkpoint, count=arguments.count
    )
    progress = False if arguments.quiet else None
    if settings.checkpoint is None:
        sections = suite.run(settings, progress=progress)
    else:
        from .checkpoint import CheckpointError

        try:
            sections = suite.run(settings, progress=progress)
        except CheckpointError as error:
            raise CommandError(str(error)) from None
    found = report.report(sections, settings)
    report.write(found, sections, arguments.out)
    shown = f"{report.text(found)}\n{arguments.out / 'report.md'}"
    print(json.dumps(found, indent=2) if arguments.json else shown)
    return _DIFFERS if found["failed"] else 0
