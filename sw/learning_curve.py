"""The learning curve of a training: ``python -m xnorgrid.learning_curve LOG FIGURE`` draws its log.

The log is that of ``xnorgrid train --log LOG``; FIGURE is a .png file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .extras import requires
from .geometry.figures import Drawing, save

with requires("geometry"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

__all__ = ["LogError", "main", "read"]

_BLUE, _ORANGE = "#1f5fa8", "#d9730d"


class LogError(ValueError):
    """A file is not the log of a training that has finished an epoch."""


def read(path: Path) -> dict[str, np.ndarray]:
    """The log's epochs: ``epoch``, ``loss`` and ``validation_accuracy``, each (epochs,).

    Raises :class:`LogError`, and OSError for a file that cannot be read.
    """
    names = ("epoch", "loss", "validation_accuracy")
    try:
        # The first line is the recipe.
        lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        found = {name: np.array([line[name] for line in lines], float) for name in names}
    except (KeyError, TypeError, ValueError):
        lines = []
    if not lines:
        raise LogError(
            f"{path} is no log of a training that has finished an epoch; "
            f"xnorgrid train RECIPE --log FILE writes one"
        )
    return found


def _draw(figure: Figure, curves: Mapping[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    epochs, error = curves["epoch"], 100 * (1 - curves["validation_accuracy"])
    left.plot(epochs, curves["loss"], color=_BLUE)
    left.set(yscale="log", xlabel="epoch", ylabel="loss, mean of the epoch", title="Training")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    right.plot(epochs, error, color=_BLUE)
    # Of equals the later, as the training chooses.
    best = len(error) - 1 - int(np.argmin(error[::-1]))
    right.plot(epochs[best], error[best], "o", color=_ORANGE)
    right.set_title(f"Validation: {error[best]:.2f} % (epoch {epochs[best]:.0f})")
    right.set(xlabel="epoch", ylabel="images wrong (%)")
    right.set_ylim(bottom=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m xnorgrid.learning_curve", description="Draw the log of a training."
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="written by xnorgrid train --log")
    parser.add_argument("figure", type=Path, metavar="FIGURE", help="a .png file")
    arguments = parser.parse_args(argv)
    if arguments.figure.suffix != ".png":
        print(f"error: {arguments.figure} must end in .png, the only kind drawn", file=sys.stderr)
        return 2
    try:
        curves = read(arguments.log)
        drawing = Drawing(arguments.figure.stem, "Learning curve", _draw)
        save(drawing, curves, arguments.figure.parent)
    except (LogError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
