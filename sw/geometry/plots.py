"""One function for each figure: it draws a section's curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xnorgrid.extras import requires

with requires("geometry"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

from . import theory

__all__ = [
    "angle", "dynamics", "flips", "pairs", "patches", "products", "rotation", "spectrum", "ternary",
    "variance",
]  # fmt: skip

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#1f5fa8", "#d9730d", "#2e7d4f", "#b3261e", "#6b6b6b"
_LIMIT = math.degrees(theory.LIMIT_ANGLE)

Curves = Mapping[str, Any]


def angle(figure: Figure, curves: Curves) -> None:
    """Mean angle with its spread, and the spread by itself, against dimension."""
    left, right = figure.subplots(1, 2)
    n = np.array(curves["n"])
    measured = [curves["angles"][k] for k in curves["n"]]
    mean, sigma = (np.array([curves["moments"][k][part] for k in curves["n"]]) for part in (0, 1))
    left.axhline(_LIMIT, color=_GREY, linestyle="--", label="limit 37.07°")
    left.fill_between(
        n, mean - sigma, mean + sigma, color=_BLUE, alpha=0.2, linewidth=0, label="± σ"
    )
    left.plot(n, mean, color=_BLUE, label="closed form")
    left.plot(n, [values.mean() for values in measured], "o", color=_ORANGE, label="measured")
    left.set(xscale="log", xlabel="dimension n", ylabel="mean angle (degrees)", ylim=(0, 50))
    left.set_title("∠(v, sign v) tends to 37°")
    left.legend(loc="lower right")
    far = np.array([n[0], n[-1]])
    right.plot(
        far, math.degrees(theory.SIGMA_OF_ANGLE) / np.sqrt(far), color=_GREY, linestyle="--",
        label="20.2° / √n",
    )  # fmt: skip
    right.plot(n, sigma, color=_BLUE, label="closed form")
    right.plot(n, [values.std() for values in measured], "o", color=_ORANGE, label="measured")
    right.set(xscale="log", yscale="log", xlabel="dimension n", ylabel="σ of the angle (degrees)")
    right.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    right.set_title("and its spread to 0")
    right.legend(loc="lower left")


def variance(figure: Figure, curves: Curves) -> None:
    """The variance of the cosine times n against dimension, with the right and the printed limit."""
    axes = figure.subplots()
    n = list(curves["n"])
    axes.axhline(
        theory.PRINTED_VARIANCE, color=_RED, linestyle="--", label="printed: 1 - 1/π = 0.682"
    )
    axes.axhline(theory.VARIANCE, color=_GREY, linestyle="--", label="correct: 1 - 3/π = 0.0451")
    axes.plot(n, [curves["exact"][k] for k in n], color=_BLUE, label="exact, every n")
    axes.plot(n, [curves["measured"][k] for k in n], "o", color=_ORANGE, label="measured")
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(0.01, 1.2),
        xlabel="dimension n",
        ylabel="n · Var(cos ∠(v, sign v))",
    )
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_title("The variance is a fifteenth of the printed one")
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.63))


def pairs(figure: Figure, curves: Curves) -> None:
    """Distributions of the angle to another random vector and to the own binarisation, by dimension."""
    panels = figure.subplots(1, len(curves["pairs"]), sharey=True)
    for axes, n in zip(panels, curves["pairs"], strict=True):
        edges = np.linspace(0, 180, 61 if n < 10 else 181)
        for name, colour, label in (
            ("binary", _ORANGE, "∠(v, sign v)"),
            ("pairs", _BLUE, "∠(u, v)"),
        ):
            counts, _ = np.histogram(np.degrees(curves[name][n]), edges)
            axes.stairs(
                counts / counts.max(), edges, fill=True, color=colour, alpha=0.75, label=label
            )
        axes.set_title(f"n = {n}")
        axes.set(xlabel="angle (degrees)", xlim=(0, 180), xticks=(0, 45, 90, 135))
    panels[0].set_ylabel("density, its peak = 1")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def flips(figure: Figure, curves: Curves) -> None:
    """The angle a binary vector is turned by against the share of its bits that flip."""
    axes = figure.subplots()
    shares = np.linspace(0, 0.5, 200)
    axes.plot(100 * shares, np.degrees(np.arccos(1 - 2 * shares)), color=_BLUE)
    rate = 100 * curves["rate"]
    axes.plot([rate, rate, 0], [0, _LIMIT, _LIMIT], color=_GREY, linestyle="--", linewidth=1.5)
    axes.plot(rate, _LIMIT, "o", color=_ORANGE, markersize=12)
    axes.annotate(
        f"binarisation turns by {_LIMIT:.1f}°,\nas do {rate:.1f} % flipped bits", (rate, _LIMIT),
        (rate + 4, _LIMIT - 12),
    )  # fmt: skip
    axes.set(xlim=(0, 50), ylim=(0, 95), yticks=(0, 15, 30, 45, 60, 75, 90))
    axes.set(xlabel="flipped bits (%)", ylabel="angle to the unflipped vector (degrees)")
    axes.set_title("A tenth of the bits may flip for the price of binarising")


def products(figure: Figure, curves: Curves) -> None:
    """Dot products of one filter, continuous against binary."""
    axes = figure.subplots()
    axes.plot(curves["binary"], curves["continuous"], ".", color=_BLUE, alpha=0.35, markersize=5)
    slope, offset = np.polyfit(curves["binary"], curves["continuous"], 1)
    ends = np.array([curves["binary"].min(), curves["binary"].max()])
    axes.plot(
        ends, slope * ends + offset, color=_ORANGE, label=f"regression, r = {curves['r']:.2f}"
    )
    axes.set(xlabel=r"$a \cdot w_b$, binary weights", ylabel=r"$a \cdot w_c$, continuous weights")
    axes.set_title("Independent activations: r is the cosine of the weights")
    axes.legend(loc="upper left")


def patches(figure: Figure, curves: Curves) -> None:
    """Variance by number of components, and the first six components as patches."""
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    axes = left.subplots()
    shares = 100 * np.cumsum(curves["shares"])
    counts = np.arange(1, len(shares) + 1)
    axes.plot(counts, shares, "o-", color=_BLUE)
    for k in (3, 4):
        axes.plot(k, shares[k - 1], "o", color=_ORANGE, markersize=12)
        axes.text(k + 1, shares[k - 1] - 1.5, f"{k} components: {shares[k - 1]:.1f} %")
    axes.set(xlabel="principal components", ylabel="share of the variance (%)")
    axes.set_ylim(5 * (shares[0] // 5), 101)
    axes.set_title("3×3×3 patches of CIFAR-10")
    tiles = right.subplots(2, 3)
    for k, tile in enumerate(tiles.flat):
        component = curves["components"][k].reshape(3, 3, 3)
        tile.imshow(0.5 + component / (2 * np.abs(component).max()))
        tile.set_title(f"{k + 1}: {100 * curves['shares'][k]:.1f} %")
        tile.axis("off")
    right.suptitle("The first six, grey = 0", fontsize=18)


def spectrum(figure: Figure, curves: Curves) -> None:
    """Radially averaged power of grey images with a 1/f² line."""
    axes = figure.subplots()
    power = curves["power"] / curves["power"][0]
    frequencies = np.arange(1, len(power) + 1)
    axes.axvspan(1, 8, color=_GREY, alpha=0.12, linewidth=0, label="band of the fit")
    axes.plot(frequencies, frequencies**-2.0, color=_GREY, linestyle="--", label="1/f²")
    axes.plot(frequencies, power, "o-", color=_BLUE, label="CIFAR-10, grey")
    axes.set(xscale="log", yscale="log", xlabel="spatial frequency (cycles per image of 32 pixels)")
    axes.set(ylabel="power, at 1 cycle = 1", xticks=(1, 2, 4, 8, 16), xticklabels=(1, 2, 4, 8, 16))
    axes.minorticks_off()
    axes.set_title("Low frequencies dominate, more than by 1/f²")
    axes.legend(loc="lower left")


def rotation(figure: Figure, curves: Curves) -> None:
    """Mean angle and spread for each length and rotation."""
    axes = figure.subplots()
    lengths = sorted({n for _, n in curves["angles"]})
    for name, marker, colour, label, shift in (
        ("none", "s", _RED, "no rotation", -0.2),
        ("Haar", "o", _BLUE, "random rotation (Haar)", 0),
        ("HD", "^", _ORANGE, "HD: sign flips, Walsh-Hadamard", 0),
        ("(HD)²", "D", _GREEN, "(HD)²", 0.2),
    ):
        found = {n: values for (kind, n), values in curves["angles"].items() if kind == name}
        axes.errorbar(
            [lengths.index(n) + shift for n in found],
            [values.mean() for values in found.values()],
            [values.std() for values in found.values()],
            fmt=marker, color=colour, label=label, capsize=5, markersize=11,
        )  # fmt: skip
    axes.axhline(_LIMIT, color=_GREY, linestyle="--", label="limit 37.07°")
    axes.set(ylim=(0, 95), yticks=(0, 15, 30, 45, 60, 75, 90), xlabel="dimension n")
    axes.set(ylabel="angle to the binarisation (degrees)")
    axes.set_xticks(range(len(lengths)), [str(n) for n in lengths])
    axes.set_title("Exponential covariance: rotating first restores 37° (bars: ± σ)")
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.61))


def ternary(figure: Figure, curves: Curves) -> None:
    """The angle against the threshold, with the optimum and the authors' threshold."""
    axes = figure.subplots()
    thresholds = np.linspace(0, 1.5, 300)
    angles = [math.degrees(math.acos(theory.ternary_cosine(float(t)))) for t in thresholds]
    axes.plot(thresholds, angles, color=_BLUE, label="closed form")
    points = curves["points"]
    axes.plot(list(points), list(points.values()), "o", color=_ORANGE, label="measured, n = 1000")
    for threshold, place, name in (
        (curves["empirical"], (0.22, 36.5), "the authors' networks"),
        (curves["best"], (0.45, 29.5), "smallest angle"),
    ):
        degrees = math.degrees(math.acos(theory.ternary_cosine(threshold)))
        axes.annotate(
            f"{name}: {degrees:.1f}°\n{100 * theory.ternary_zeros(threshold):.0f} % zeros",
            (threshold, degrees), place,
            arrowprops={"arrowstyle": "-", "color": _GREY, "shrinkB": 6},
        )  # fmt: skip
    axes.set(
        xlabel="threshold (standard deviations)", ylabel="angle to the ternary vector (degrees)"
    )
    axes.set(xlim=(0, 1.5), ylim=(20, 45))
    axes.set_title("Zeros bring a vector closer, up to a point")
    axes.legend(loc="lower right")


def dynamics(figure: Figure, curves: Curves) -> None:
    """The latent weight for three targets, and the mean sign against the target."""
    left, right = figure.subplots(1, 2)
    for target, colour in ((1.2, _RED), (0.5, _BLUE), (-0.9, _ORANGE)):
        weights = curves["weights"][target][:601] / curves["rate"]
        left.plot(weights, color=colour, linewidth=1.8, label=f"α = {target}")
    left.set(xlabel="step", ylabel="latent weight w / ε")
    left.set_title("|α| ≤ 1 settles, 1.2 runs away")
    left.legend(loc="upper left")
    right.plot([-1, 1], [-1, 1], color=_GREY, linestyle="--", label="mean = α")
    right.plot(curves["targets"], curves["means"], "o", color=_ORANGE, label="measured")
    right.set(xlabel="target α", ylabel="mean of sign(w)")
    right.set_title("The mean sign is the target")
    right.legend(loc="upper left")
