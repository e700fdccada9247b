"""Ternary vectors: zeros for small entries make the angle smaller, up to an optimum."""

from __future__ import annotations

import math

import numpy as np

from . import theory
from .rows import Row, Section, Settings, near, reported
from .vectors import angles_between, gaussian_parts, ternarise

__all__ = ["ternary"]

#: Weight threshold over the weights' standard deviation, in the authors' code.
_EMPIRICAL = 0.02 / 0.18
_THRESHOLDS = (0.01, _EMPIRICAL, 0.2, 0.3, 0.5)
_LENGTH = 1000


_TEXT = """
ternary(v) = sign(v) where |v| > t, else 0. For long Gaussian vectors the cosine is 2φ(t)/√(2Q(t)), with φ
the density, Q the upper tail and t in standard deviations. It is largest where φ(t) = 2t·Q(t): where t is
half the mean of the entries that exceed it. The authors' networks have t = 0.02 and weights of standard
deviation 0.18, far below the optimum.
"""


def ternary(settings: Settings) -> Section:
    """The angle between a vector and its ternarisation against the threshold, and the best threshold."""
    best = theory.ternary_optimum()
    rows = []
    points = {}
    for threshold in (*_THRESHOLDS, best):
        measured = _median(settings, threshold)
        points[threshold] = measured
        rows.append(
            near(
                f"ternary.angle.{threshold:.3f}",
                f"median angle, t = {threshold:.3f} σ, n = {_LENGTH}", measured, _degrees(threshold),
                0.3, "closed form", unit="°",
                paper="figure only" if threshold in _THRESHOLDS else None,
            )
        )  # fmt: skip
    rows += [
        near(
            "ternary.code", f"angle, closed form at t = {_EMPIRICAL:.3f} σ", _degrees(_EMPIRICAL),
            math.degrees(0.5956), 0.5, "the authors' code", unit="°", paper="0.5956 rad = 34.1°",
        ),
        near(
            "ternary.zeros", f"share of zeros, t = {_EMPIRICAL:.3f} σ, n = {_LENGTH}",
            100 * _zeros(settings), 100 * theory.ternary_zeros(_EMPIRICAL), 3, "closed form", unit=" %",
        ),
        _least(best),
        reported(
            "ternary.best.zeros", "share of zeros at the best threshold",
            100 * theory.ternary_zeros(best), unit=" %",
        ),
    ]  # fmt: skip
    return Section(
        key="ternary",
        title="Ternary weights: a smaller angle, smallest with almost half of them zero",
        source="the authors' code of the ICLR version",
        text=_TEXT,
        rows=tuple(rows),
        curves={"points": points, "best": best, "empirical": _EMPIRICAL},
    )


def _least(best: float) -> Row:
    """The optimum by its condition, held to the smallest value of a fine sweep."""
    sweep = np.arange(0.001, 1.5, 0.001)
    angles = [_degrees(float(threshold)) for threshold in sweep]
    return near(
        "ternary.best", f"smallest angle of a sweep of thresholds, at t = {sweep[np.argmin(angles)]:.3f} σ",
        min(angles), _degrees(best), 1e-3, f"φ(t) = 2t·Q(t) at t = {best:.3f} σ", unit="°",
    )  # fmt: skip


def _degrees(threshold: float) -> float:
    return math.degrees(math.acos(theory.ternary_cosine(threshold)))


def _zeros(settings: Settings) -> float:
    generator = settings.generator("ternary zeros")
    parts = gaussian_parts(generator, max(1, settings.samples // 10), _LENGTH)
    return float(np.mean([(ternarise(part, _EMPIRICAL) == 0).mean() for part in parts]))


def _median(settings: Settings, threshold: float) -> float:
    """Median angle in degrees; the authors' code takes the median for the peak."""
    generator = settings.generator(f"ternary {threshold:.3f}")
    parts = gaussian_parts(generator, max(1, settings.samples // 10), _LENGTH)
    angles = [angles_between(part, ternarise(part, threshold)) for part in parts]
    return math.degrees(float(np.median(np.concatenate(angles))))
