"""The figures of a trained network: one function for each, which draws a section's curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xnorgrid.extras import requires

with requires("geometry"):
    from matplotlib.axis import Axis
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from . import theory

__all__ = [
    "activations", "angles", "permutation", "proportionality", "training", "unbinarised", "weights",
]  # fmt: skip

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#1f5fa8", "#d9730d", "#2e7d4f", "#b3261e", "#6b6b6b"
_COLOURS = ("#111111", _BLUE, _GREEN, "#7a4fa3", _ORANGE, _RED)
_LIMIT = math.degrees(theory.LIMIT_ANGLE)
#: Layers that fit one figure.
_PANELS = 8

Curves = Mapping[str, Any]


def angles(figure: Figure, curves: Curves) -> None:
    """How the angles of each layer's channels lie, and their spread against the fan-in."""
    left, right = figure.subplots(1, 2)
    fan_in = np.array(list(curves["fan_in"].values()), float)
    spreads = np.array([values.std() for values in curves["angles"].values()])
    for number, (name, values) in enumerate(curves["angles"].items()):
        colour, style = _look(number)
        left.ecdf(values, color=colour, linestyle=style, label=f"{name}, n = {fan_in[number]:.0f}")
    left.axvline(_LIMIT, color=_GREY, linestyle=":", label=f"Gaussian, {_LIMIT:.1f}°")
    low, high = left.get_xlim()
    left.set(xlim=(low - 0.1 * (high - low), high), ylim=(0, 1.02))
    left.set(xlabel="angle (degrees)", ylabel="share of channels below")
    left.set_title(r"Angles between $w_c$ and $w_b$")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    ends = np.array([fan_in.min() / 1.3, fan_in.max() * 1.3])
    mean = np.exp(np.mean(np.log(spreads) + np.log(fan_in) / 2))
    right.plot(ends, mean / np.sqrt(ends), color=_BLUE, label=f"{mean:.1f}° / √n, through the mean")
    sigma = math.degrees(theory.SIGMA_OF_ANGLE)
    right.plot(ends, sigma / np.sqrt(ends), "--", color=_GREY, label=f"{sigma:.1f}° / √n, Gaussian")
    for number, (n, spread) in enumerate(zip(fan_in, spreads, strict=True)):
        right.plot(n, spread, "o", color=_look(number)[0], markersize=11)
    right.set(xscale="log", yscale="log", xlabel="fan-in n", ylabel="σ of the angle (degrees)")
    bottom, top = right.get_ylim()
    # Room for the legend above.
    right.set(ylim=(bottom, top * 2.5), xlim=ends)
    for axis in (right.xaxis, right.yaxis):
        _plain(axis)
    right.set_title("and their spread")
    right.legend(loc="upper right")


def weights(figure: Figure, curves: Curves) -> None:
    """The latent weights of each layer, on a logarithmic scale."""
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves["weights"].items()):
        colour, style = _look(number)
        axes.plot(curves["grid"], values, color=colour, linestyle=style, label=name)
    axes.set(yscale="log", xlim=(-1, 1), xlabel="latent weight", ylabel="density")
    _plain(axes.yaxis)
    axes.set_title("Latent weights, clipped to ±1")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")


def training(figure: Figure, curves: Curves) -> None:
    """Latent weights of the same network trained in two ways."""
    axes = figure.subplots()
    for (name, values), colour in zip(curves["weights"].items(), (_BLUE, _ORANGE), strict=True):
        axes.plot(curves["grid"], values, color=colour, label=f"trained like {name}")
    axes.set(xlim=(-1, 1), ylim=(0, None), xlabel="latent weight", ylabel="density")
    axes.set_title("Latent weights of one network, trained in two ways")
    axes.legend(loc="upper right")


def proportionality(figure: Figure, curves: Curves) -> None:
    """Two-dimensional histograms of dot products with binary and with latent weights, by layer."""
    _histograms(
        figure, curves["weights"], r"$a_b \cdot w_b$, binary weights",
        r"$a_b \cdot w_c$, latent weights",
    )  # fmt: skip


def activations(figure: Figure, curves: Curves) -> None:
    """The same for activations before and after their sign."""
    _histograms(
        figure, curves["activations"], r"$a_c \cdot w_b$, before the sign",
        r"$a_b \cdot w_b$, binary activations",
    )  # fmt: skip


def permutation(figure: Figure, curves: Curves) -> None:
    """Correlations by layer, on images and after permuting the activations, with the prediction."""
    axes = figure.subplots()
    places = np.arange(len(curves["layers"]))
    axes.bar(places - 0.2, curves["r"], 0.38, color=_BLUE, label="on images")
    axes.bar(places + 0.2, curves["permuted"], 0.38, color=_ORANGE, label="permuted")
    axes.plot(
        places + 0.2, curves["predicted"], "_", color="#111111", markersize=42, markeredgewidth=3,
        label="permuted, predicted",
    )  # fmt: skip
    axes.set_xticks(places, curves["layers"])
    axes.set(ylim=(0, 1.02), xlabel="layer", ylabel=r"r of $a_b \cdot w_b$ and $a_b \cdot w_c$")
    axes.set_title("Permuting the activations leaves the cosine of the weights")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def unbinarised(figure: Figure, curves: Curves) -> None:
    """Changes of accuracy without binary weights, with standard errors."""
    axes = figure.subplots()
    changes = curves["changes"]
    places = np.arange(len(changes))
    axes.bar(
        places, [change.points for change in changes.values()], 0.6,
        yerr=[change.error for change in changes.values()], capsize=6, ecolor=_GREY,
        color=[_ORANGE, *[_BLUE] * (len(changes) - 1)],
    )  # fmt: skip
    axes.axhline(0, color="#111111", linewidth=1)
    axes.axhline(-3, color=_RED, linestyle="--", label="paper: -3 for all, and for the first alone")
    axes.set_xticks(places, ["all of them", *list(changes)[1:]])
    axes.set(xlabel="layer whose weights are not binarised", ylabel="change of accuracy (points)")
    axes.set_title("Latent weights instead of binary ones, BatchNorm refitted")
    axes.margins(y=0.15)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")


def _histograms(figure: Figure, found: Sequence[Curves], xlabel: str, ylabel: str) -> None:
    """A panel for each layer, with the regression line, and the quadrants where the sign changes shaded."""
    shown = found[:_PANELS]
    rows = 1 if len(shown) < 3 else 2
    panels = figure.subplots(rows, -(-len(shown) // rows), squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.remove()
    for axes, layer in zip(panels.flat, shown, strict=False):
        x, y = layer["pairs"]
        ranges = [np.quantile(values, (0.0005, 0.9995)) for values in (x, y)]
        edges = [np.linspace(*_around(low, high), 61) for low, high in ranges]
        # Whole sums of one parity: bins of less than two would be empty in turn.
        if np.array_equal(x, np.rint(x)) and edges[0][1] - edges[0][0] < 2:
            edges[0] = np.arange(np.floor(edges[0][0]) - 0.5, edges[0][-1] + 2, 2)
        axes.hist2d(x, y, bins=edges, norm=LogNorm(), cmap="Blues")
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        axes.fill_between((low, 0), 0, top, color=_GREY, alpha=0.2, linewidth=0)
        axes.fill_between((0, high), bottom, 0, color=_GREY, alpha=0.2, linewidth=0)
        ends = np.array([low, high])
        middle, height = layer["means"]
        axes.plot(ends, height + layer["slope"] * (ends - middle), color=_ORANGE, linewidth=2)
        axes.set(xlim=(low, high), ylim=(bottom, top))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_title(f"{layer['name']}: r = {layer['r']:.3f}", fontsize=17, pad=6)
    figure.supxlabel(xlabel, fontsize=17)
    figure.supylabel(ylabel, fontsize=17)


def _plain(axis: Axis) -> None:
    """Plain numbers at 1, 2 and 5 of each decade of a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _around(low: float, high: float) -> tuple[float, float]:
    """A range that has 0 inside and is no point."""
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.02 * (high - low) or 1.0
    return low - margin, high + margin


def _look(number: int) -> tuple[str, str]:
    """Colour and line of the layer of that number."""
    return _COLOURS[number % len(_COLOURS)], "-" if number < len(_COLOURS) else "--"
