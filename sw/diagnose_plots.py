"""The figures of a diagnosis: one for the ranking, one or two a layer, one for flips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .extras import requires
from .geometry.figures import Drawing
from .geometry.theory import LIMIT_ANGLE, equivalent_flip_rate

with requires("geometry"):
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

__all__ = ["FLIPS", "RANKING", "activity", "compared", "scores"]

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#1f5fa8", "#d9730d", "#2e7d4f", "#b3261e", "#6b6b6b"
#: Told apart by colour and, from the seventh on, by dashes.
_COLOURS = (_BLUE, _ORANGE, _GREEN, _RED, "#7a4fa3", "#111111")
#: A channel's sums are shown as far from its threshold as so many σ.
_REACH = 12.0

Curves = Mapping[str, Any]


def ranking(figure: Figure, curves: Curves) -> None:
    """Accuracy regained by putting each layer right, and lost by flipping bits there."""
    left, right = figure.subplots(1, 2, sharey=True)
    rows = list(reversed(curves["layers"]))
    places = np.arange(len(rows))
    colours = [_RED if row["verdict"] == "damaged" else _BLUE for row in rows]
    left.barh(
        places, [row["hurt"]["points"] for row in rows], 0.6, color=colours,
        xerr=[row["hurt"]["error"] for row in rows], capsize=4, ecolor=_GREY,
    )  # fmt: skip
    left.axvline(0, color=_GREY, linewidth=1)
    left.set_yticks(places, [row["name"] for row in rows])
    if all(row["hurt"]["repair"] is None for row in rows):
        left.set(xlim=(0, 1), xticks=(0,))
        left.text(0.5, (len(rows) - 1) / 2, "no fault found", ha="center", va="center")
    left.set(xlabel="accuracy regained (points)", ylabel="layer, the worst on top")
    left.set_title("Put right alone")
    for kind, colour, shift in (("weights", _ORANGE, 0.2), ("activations", _GREEN, -0.2)):
        lost = [max(0.0, -row["flips"].get(kind, 0.0)) for row in rows]
        right.barh(places + shift, lost, 0.36, color=colour, label=f"in its {kind}")
    right.set(xlabel="accuracy lost (points)", title=f"{_percent()} of its bits flipped")
    right.set_xlim(left=0)
    right.legend(loc="best")


def activity(figure: Figure, curves: Curves) -> None:
    """Where a layer's sums lie to its thresholds, channel by channel, and how often channels fire."""
    left, right = figure.subplots(1, 2)
    rates = curves["rates"]
    order = np.argsort(rates, kind="stable")
    low, middle, high = curves["bands"][:, order]
    channels = np.arange(1, len(order) + 1)
    left.fill_between(
        channels, low, high, step="mid", color=_BLUE, alpha=0.3, linewidth=0, label="1 to 99 %"
    )
    left.step(channels, middle, where="mid", color=_BLUE, label="median")
    left.axhline(0, color=_RED, linestyle="--", label="threshold")
    reach = min(_REACH, max(3.0, float(np.abs([low, high]).max()) * 1.05))
    # Room for the legend above.
    left.set(xlim=(0.5, len(order) + 0.5), ylim=(-reach, 1.5 * reach))
    left.set(xlabel="channel, by firing rate", ylabel="sum - threshold (σ of the sums)")
    left.set_title(f"{curves['name']}: sums")
    left.legend(loc="upper left", ncols=2, columnspacing=1)
    dead = int(((rates == 0) | (rates == 1)).sum())
    right.hist(100 * rates, np.linspace(0, 100, 41), color=_BLUE)
    right.axvline(50, color=_GREY, linestyle="--", linewidth=1.5)
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(xlim=(0, 100), xlabel="firing rate (%)", ylabel="channels")
    right.set_title(f"{dead} of {len(rates)} channels dead")


def compared(figure: Figure, curves: Curves) -> None:
    """Dot products with binary and with latent weights, and the angles between these."""
    left, right = figure.subplots(1, 2)
    binary, continuous = curves["pairs"]
    figures = curves["compared"]
    left.hist2d(binary, continuous, bins=(_edges(binary), 60), norm=LogNorm(), cmap="Blues")
    ends = np.array([binary.min(), binary.max()])
    (low, high), (bottom, top) = left.get_xlim(), left.get_ylim()
    # Where binarising changes the sign.
    for x, y in (((low, 0), (0, top)), ((0, high), (bottom, 0))):
        if x[0] < x[1] and y[0] < y[1]:
            left.fill_between(x, y[0], y[1], color=_GREY, alpha=0.2, linewidth=0)
    offset = continuous.mean() - figures["slope"] * binary.mean()
    left.plot(ends, figures["slope"] * ends + offset, color=_ORANGE)
    left.set(xlim=(low, high), ylim=(bottom, top))
    left.set(xlabel=r"$a \cdot w_b$, binary weights", ylabel=r"$a \cdot w_c$, latent weights")
    left.set_title(f"{curves['name']}: r = {figures['r']:.3f}")
    limit = math.degrees(LIMIT_ANGLE)
    right.hist(curves["angles"], 30, color=_BLUE)
    # The legend is above all of it.
    right.axvline(limit, 0, 0.78, color=_RED, linestyle="--", label=f"Gaussian: {limit:.1f}°")
    right.axvline(curves["angles"].mean(), 0, 0.78, color=_ORANGE, label="mean")
    right.set_ylim(top=right.get_ylim()[1] / 0.78)
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(xlabel="angle (degrees)", ylabel="channels")
    right.set_title("∠(latent, binary weights)")
    right.legend(loc="upper left")


def scores(figure: Figure, curves: Curves) -> None:
    """By how much the right class wins or loses."""
    axes = figure.subplots()
    margins = curves["score_margins"]
    edges = np.histogram_bin_edges(margins, 60)
    # Zero is an edge, so that no bar holds right and wrong images.
    width = edges[1] - edges[0]
    edges = np.arange(math.floor(edges[0] / width), math.ceil(edges[-1] / width) + 1) * width
    axes.hist(margins[margins >= 0], edges, color=_BLUE, label="right, or a tie")
    axes.hist(margins[margins < 0], edges, color=_RED, label="wrong")
    axes.set(xlabel="score of the right class - best other score", ylabel="images")
    axes.set_title(f"{curves['name']}: {100 * np.mean(margins < 0):.1f} % of the images go wrong")
    axes.legend(loc="best")


def flips(figure: Figure, curves: Curves) -> None:
    """Accuracy against the flip rate, a line a layer, with the rate that binarisation amounts to."""
    panels = figure.subplots(1, 2, sharey=True)
    rates = [0.0, *(100 * rate for rate in curves["rates"])]
    for axes, kind in zip(panels, ("weights", "activations"), strict=True):
        for number, row in enumerate(curves["layers"]):
            if row[kind] is None:
                continue
            values = [100 * value for value in (curves["accuracy"], *row[kind])]
            axes.plot(
                rates, values, "o-" if number < len(_COLOURS) else "s--", label=row["layer"],
                color=_COLOURS[number % len(_COLOURS)], linewidth=2, markersize=6,
            )  # fmt: skip
        rate = 100 * equivalent_flip_rate()
        axes.axvline(rate, color=_GREY, linestyle=":", linewidth=2)
        chance = 100 / curves["classes"]
        axes.text(rate + 0.7, chance + 3, f"{_percent()} = 37°", rotation=90, color=_GREY)
        axes.axhline(chance, color=_GREY, linewidth=1)
        axes.text(20, chance - 2, "chance", color=_GREY, va="top")
        axes.set(xlim=(0, 51), ylim=(0, 101), xlabel="flipped bits (%)", xticks=range(0, 51, 10))
        axes.set_title(f"in one layer's {kind}")
    panels[0].set_ylabel("accuracy (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")


RANKING = Drawing("ranking", "What each layer costs, and what faults there would cost", ranking)
FLIPS = Drawing("flips", "Accuracy against the share of flipped bits", flips)


def _percent() -> str:
    return f"{100 * equivalent_flip_rate():.1f} %"


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of some 60 bins of sums, each as wide as a whole number of the steps of two between sums."""
    low, high = values.min() - 1, values.max() + 1
    width = 2 * max(1, round((high - low) / 120))
    return np.arange(low, high + width, width)
