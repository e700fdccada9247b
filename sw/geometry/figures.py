"""The report's figures: which there are, their style, and how they become files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnorgrid.extras import requires

with requires("geometry"):
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

from . import plots, trained_plots

__all__ = ["FIGURES", "Drawing", "draw", "save"]

#: For a slide of 16:9; the smallest text is a fortieth of its height.
_STYLE: Any = {
    "figure.figsize": (10.67, 6),
    "font.size": 16,
    "axes.titlesize": 18,
    "axes.labelsize": 17,
    "legend.fontsize": 15,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlepad": 12,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 2.5,
    "lines.markersize": 9,
}
_DPI = 90
#: Enough for flat colours and their edges, and a third of the bytes.
_COLOURS = 96


@dataclass(frozen=True)
class Drawing:
    """A figure of the report: a file's name, what is to be seen, and the function that draws it."""

    name: str
    caption: str
    function: Callable[[Figure, Mapping[str, Any]], None]


#: The figures of each section, by its key.
FIGURES: dict[str, tuple[Drawing, ...]] = {
    "angle": (
        Drawing("angle", "The angle to the binarisation against dimension", plots.angle),
    ),
    "variance": (
        Drawing("variance", "Variance of the cosine: measured, exact, printed", plots.variance),
    ),
    "random": (
        Drawing("pairs", "Angles of random pairs and to the binarisation", plots.pairs),
        Drawing("flips", "The angle that flipped bits make", plots.flips),
    ),
    "products": (
        Drawing("products", "Dot products with binary and continuous weights", plots.products),
    ),
    "patches": (
        Drawing("patches", "Principal components of image patches", plots.patches),
        Drawing("spectrum", "Power spectrum of CIFAR-10", plots.spectrum),
    ),
    "rotation": (
        Drawing("rotation", "Angles with and without a rotation", plots.rotation),
    ),
    "ternary": (
        Drawing("ternary", "The angle of ternary vectors against the threshold", plots.ternary),
    ),
    "dynamics": (
        Drawing("dynamics", "One binary weight: trajectory and mean sign", plots.dynamics),
    ),
    "latents": (
        Drawing("latent-angles", "Angles of the trained layers", trained_plots.angles),
        Drawing("latent-weights", "Latent weights of the trained layers", trained_plots.weights),
    ),
    "training": (
        Drawing("training", "Latent weights by the way of training", trained_plots.training),
    ),
    "proportionality": (
        Drawing(
            "proportionality", "Dot products with binary and with latent weights, by layer",
            trained_plots.proportionality,
        ),
        Drawing(
            "activations", "Dot products of activations before and after their sign, by layer",
            trained_plots.activations,
        ),
    ),
    "permutation": (
        Drawing("permutation", "r before and after permuting", trained_plots.permutation),
    ),
    "unbinarised": (
        Drawing("unbinarised", "Accuracy without binary weights", trained_plots.unbinarised),
    ),
}  # fmt: skip


def draw(drawing: Drawing, curves: Mapping[str, Any]) -> Figure:
    """The figure drawn from a section's curves."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(layout="constrained")
        drawing.function(figure, curves)
    return figure


def save(drawing: Drawing, curves: Mapping[str, Any], folder: Path) -> Path:
    """Write the figure to ``folder`` as .png and return its path."""
    path = folder / f"{drawing.name}.png"
    with matplotlib.rc_context(_STYLE):
        figure = draw(drawing, curves)
        figure.set_dpi(_DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path)
    return path
