"""How one binary weight learns a value between -1 and +1, and why a larger one makes it diverge."""

from __future__ import annotations

import numpy as np

from .rows import Section, Settings, near, within

__all__ = ["dynamics", "trajectories"]

_RATE = 1e-3
_STEPS = 100_000
_BURN_IN = 10_000
_START = 0.1
_INSIDE = tuple(round(0.1 * k, 1) for k in range(-9, 10))
_OUTSIDE = 1.2


_TEXT = f"""
Linear regression with a binary weight on whitened input moves the latent weight by ε(α - θ(w)), α being the
weight that least squares would give. It settles into an oscillation around 0 whose mean sign is α. Beyond
±1 no mean sign can be α and the latent weight runs away: batch normalisation, or a scale, is not optional.
ε = {_RATE:g}, {_STEPS:,} steps, of which {_BURN_IN:,} are burn-in.
"""


def trajectories(targets: np.ndarray, steps: int, rate: float, start: float) -> np.ndarray:
    """Weights (steps + 1, targets) under w ← w + rate·(target - sign(w)), from ``start``."""
    weights = np.empty((steps + 1, len(targets)))
    weights[0] = start
    up, down = rate * (targets + 1), rate * (targets - 1)
    for step in range(steps):
        weights[step + 1] = weights[step] + np.where(weights[step] >= 0, down, up)
    return weights


def dynamics(settings: Settings) -> Section:
    """Mean sign, amplitude and divergence of the latent weight; nothing here is random."""
    targets = np.array([*_INSIDE, _OUTSIDE])
    weights = trajectories(targets, _STEPS, _RATE, _START)
    settled = weights[_BURN_IN:-1]
    means = np.where(settled >= 0, 1, -1).mean(0)
    inside = np.arange(len(_INSIDE))
    positive = (settled >= 0).mean(0)[inside]
    rows = [
        within(
            "dynamics.mean", f"largest |mean θ(w) - α|, α = {_INSIDE[0]}, -0.8 … {_INSIDE[-1]}",
            np.abs(means[inside] - targets[inside]).max(), None, 2e-3, paper="E θ(w) = α",
        ),
        within(
            "dynamics.positive", "largest |P(θ = +1) - (1+α)/2|, the same",
            np.abs(positive - (1 + targets[inside]) / 2).max(), None, 1e-3, paper="P = (1+α)/2",
        ),
        within(
            "dynamics.amplitude", "largest |w|/ε after burn-in, the same",
            np.abs(settled[:, inside]).max() / _RATE, None, 2, paper="≤ 2",
        ),
        near(
            "dynamics.divergence", f"growth of w a step over ε, α = {_OUTSIDE}",
            (weights[-1, -1] - weights[_BURN_IN, -1]) / (_STEPS - _BURN_IN) / _RATE,
            _OUTSIDE - 1, 1e-6, "α - 1, for ever", paper="diverges for |α| > 1",
        ),
    ]  # fmt: skip
    return Section(
        key="dynamics",
        title="One binary weight: right on average, if it is within reach",
        source="SI 5.2",
        text=_TEXT,
        rows=tuple(rows),
        curves={
            "targets": targets[inside],
            "means": means[inside],
            "weights": {float(target): weights[:, k] for k, target in enumerate(targets)},
            "rate": _RATE,
        },
    )
