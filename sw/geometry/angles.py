"""The angle between a vector and its binarisation, and the variance that the paper misprints."""

from __future__ import annotations

import math

import numpy as np

from . import theory
from .rows import Row, Section, Settings, near, within
from .vectors import cosines_to_binary, gaussian_parts

__all__ = ["DIMENSIONS", "angle", "variance"]

#: Two small ones, the paper's figure (3, 10, 27), and the fan-ins of its CIFAR-10 network.
DIMENSIONS = (2, 3, 10, 27, 100, 500, 1152, 2304, 4608)
#: Where ±5 % of a variance is asked for, and where its limit is near.
_LONG = (500, 1152, 2304, 4608)


_ANGLE = """
v has independent Gaussian entries, sign(v) is its binarisation and η the cosine between them. In two
dimensions the angle is anything up to 45°; in a thousand it is 37°, give or take half a degree.
"""

_VARIANCE = """
The paper prints Var(η) = (1 - 1/π)/n. It is **(1 - 3/π)/n**, a fifteenth of that. The paper's own exact
form is right: Var(η) = (1 - 2/π)/n + 2/π - E(η)² with E(η) = √(n/π)·Γ(n/2)/Γ((n+1)/2). The slip is in the
expansion of E(η) that follows.

Γ(z+α)/Γ(z+β) = z^(α-β)·(1 + (α-β)(α+β-1)/(2z) + …); Lemma 2 prints α+β+1. With z = n/2, α = 0 and β = ½
this is (n/2)^(-½)·(1 + 1/(4n) + …), where the paper has 1 - 1/(4n). So E(η)² = (2/π)(1 + 1/(2n) + …) and
Var(η) = (1 - 2/π - 1/π)/n = (1 - 3/π)/n = 0.0451/n. With the wrong sign the last step gives
(1 - 2/π + 1/π)/n, which is what is printed.

A check by eye: at n = 1, η = 1 > √(2/π), so E(η) falls towards its limit and the first correction is
positive. That σ falls as n^-½, which is what the paper uses, is not affected.
"""


def angle(settings: Settings) -> Section:
    """Mean and spread of the angle against dimension, measured on random vectors and held to closed forms."""
    # No limit can be taken of a computed value; at this length it is closer than the tolerance.
    far = 4_000_000
    rows = [
        near(
            "angle.limit", f"angle of the mean cosine at n = {far:,}, in radians",
            math.acos(theory.mean_cosine(far)), theory.LIMIT_ANGLE, 1e-6, "arccos √(2/π)",
            paper="arccos √(2/π) ≈ 37°",
        )
    ]  # fmt: skip
    cosines = {n: _cosines(settings, n) for n in DIMENSIONS}
    angles = {n: np.degrees(np.arccos(values)) for n, values in cosines.items()}
    for n, values in cosines.items():
        error = math.sqrt(theory.variance_of_cosine(n) / len(values))
        rows.append(
            near(
                f"angle.cosine.{n}", f"E(η), n = {n}", values.mean(), theory.mean_cosine(n),
                4 * error, "closed form, 4 standard errors", paper="√(n/π)·Γ(n/2)/Γ((n+1)/2)",
            )
        )  # fmt: skip
    moments = {n: np.degrees(theory.angle_moments(n)) for n in DIMENSIONS}
    for n, values in angles.items():
        tolerance = 0.15 if n >= 27 else 0.4
        rows.append(
            near(
                f"angle.mean.{n}", f"mean angle, n = {n}", values.mean(), moments[n][0],
                tolerance, "closed form", unit="°", paper="figure only" if n in (3, 10, 27) else None,
            )
        )  # fmt: skip
    for n, values in angles.items():
        rows.append(
            near(
                f"angle.sigma.{n}", f"σ of the angle, n = {n}", values.std(), moments[n][1],
                0.05, "closed form", unit="°", relative=True,
            )
        )  # fmt: skip
    longer = [n for n in DIMENSIONS if n >= 100]
    spreads = [angles[n].std() for n in longer]
    slope, _ = np.polyfit(np.log(longer), np.log(spreads), 1)
    rows += [
        near(
            "angle.scaling", "slope of log σ against log n, n ≥ 100", slope, -0.5, 0.02, "the paper",
            paper="σ ∝ n^-½",
        ),
        near(
            "angle.scale", "√n·σ of the angle in radians, n = 4608",
            math.sqrt(4608) * math.radians(angles[4608].std()), theory.SIGMA_OF_ANGLE,
            0.05, "√(1 - 3/π)/√(1 - 2/π)", relative=True,
        ),
        *_products(settings),
    ]  # fmt: skip
    return Section(
        key="angle",
        title="Binarisation keeps the direction of long vectors",
        source="section 3.1, figure 2, SI 5.1",
        text=_ANGLE,
        rows=tuple(rows),
        curves={"n": DIMENSIONS, "angles": angles, "moments": moments},
    )


def variance(settings: Settings) -> Section:
    """Var(η) measured, against the value that follows from the closed forms and the one printed."""
    measured = {n: n * _cosines(settings, n).var() for n in DIMENSIONS}
    exact = {n: n * theory.variance_of_cosine(n) for n in DIMENSIONS}
    rows = [
        near(
            f"variance.{n}", f"n·Var(η), n = {n}", measured[n], exact[n], 0.05,
            "closed form", relative=True, paper="1 - 1/π = 0.6817 (wrong)",
        )
        for n in _LONG
    ]  # fmt: skip
    far = 10_000
    rows += [
        near(
            "variance.limit", f"n·Var(η), closed form at n = {far:,}",
            far * theory.variance_of_cosine(far), theory.VARIANCE, 1e-4, "1 - 3/π",
            paper="1 - 1/π = 0.6817 (wrong)",
        ),
        near(
            "variance.expansion", f"n·(E(η)·√(π/2) - 1), closed form at n = {far:,}",
            far * (theory.mean_cosine(far) * math.sqrt(math.pi / 2) - 1), 0.25, 1e-3,
            "+1/4, by Γ's expansion", paper="-1/4 (wrong)",
        ),
        within(
            "variance.printed", "measured variance over the printed one, n = 1152",
            measured[1152] / theory.PRINTED_VARIANCE, None, 0.95, paper="1 (wrong)",
        ),
    ]  # fmt: skip
    return Section(
        key="variance",
        title="Erratum: the variance of the cosine",
        source="SI 5.1 (arXiv version 1; the ICLR version could not be read)",
        text=_VARIANCE,
        rows=tuple(rows),
        curves={"n": DIMENSIONS, "measured": measured, "exact": exact},
    )


def _cosines(settings: Settings, n: int) -> np.ndarray:
    """η of random vectors of length ``n``, the same on every call."""
    samples = settings.samples if n <= 500 else settings.samples // 2
    generator = settings.generator(f"angle {n}")
    return np.concatenate(
        [cosines_to_binary(part) for part in gaussian_parts(generator, samples, n)]
    )


def _products(settings: Settings) -> list[Row]:
    """E(|v₁v₂| / Σv²), from neighbours that no two pairs share."""
    rows = []
    for n in (100, 1152):
        generator = settings.generator(f"products {n}")
        parts = []
        for part in gaussian_parts(generator, max(1, settings.samples // 10), n):
            products = np.abs(part[:, 0::2] * part[:, 1::2]).sum(1, dtype=np.float64)
            parts.append(products / np.einsum("ij,ij->i", part, part, dtype=np.float64))
        mean = np.concatenate(parts).mean() * 2 / n
        rows.append(
            near(
                f"angle.product.{n}", f"n·E(|v₁v₂| / Σv²), n = {n}", n * mean, 2 / math.pi, 0.02,
                "the paper", relative=True, paper="2/π",
            )
        )  # fmt: skip
    return rows
