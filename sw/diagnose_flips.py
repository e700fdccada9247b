"""Accuracy against the share of bits that flip at random, in one layer's weights or in what it yields.

Binarising a long weight vector turns it by 37°, as far as flipping 10.1 % of its bits would: the rate that
everything is compared with (docs/diagnose.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .diagnose_trial import Change, Trial
from .geometry.theory import equivalent_flip_rate

__all__ = ["RATES", "YARD_STICK", "flip_curves", "flipped_activations", "flipped_weights"]

#: The flip rate that turns a vector as far as binarising it does: (1 - √(2/π))/2.
YARD_STICK = equivalent_flip_rate()
#: Rates of the curves.
RATES = (0.02, 0.05, YARD_STICK, 0.2, 0.3, 0.4, 0.5)
#: Draws of flips that are averaged: with few weights one draw says little.
_DRAWS = 2


def flipped_weights(trial: Trial, index: int, rate: float, seed: int) -> Change:
    """What flipping a share ``rate`` of the weights of layer ``index`` does, mean of two draws."""

    def right(generator: np.random.Generator) -> np.ndarray:
        layer = trial.model.layers[index]
        flips = generator.random(layer.weights.shape, np.float32) < rate
        altered = dataclasses.replace(layer, weights=layer.weights ^ flips.astype(np.uint8))
        return trial.right_with_layer(index, altered)

    return _mean(trial, right, [seed, index, 0])


def flipped_activations(trial: Trial, index: int, rate: float, seed: int) -> Change:
    """What flipping a share ``rate`` of the bits that hidden layer ``index`` yields does, likewise."""

    def right(generator: np.random.Generator) -> np.ndarray:
        bits = trial.results[index].values
        flips = generator.random(bits.shape, np.float32) < rate
        return trial.right_with_bits(index, bits ^ flips.astype(np.uint8))

    return _mean(trial, right, [seed, index, 1])


def flip_curves(
    trial: Trial,
    seed: int,
    told: Callable[[], Any] = lambda: None,
    rates: Sequence[float] = RATES,
) -> list[dict[str, Any]]:
    """Accuracy of each layer at ``rates``, of flips in its weights and, if hidden, its activations.

    ``told`` is called after each measurement, of which there are 2L - 1 times as many as rates for L layers.
    """
    curves = []
    for index, layer in enumerate(trial.model.layers):
        row: dict[str, Any] = {"layer": layer.name}
        for kind, flip in (("weights", flipped_weights), ("activations", flipped_activations)):
            if kind == "activations" and layer.thresholds is None:
                row[kind] = None
                continue
            row[kind] = []
            for rate in rates:
                change = flip(trial, index, rate, seed)
                row[kind].append(trial.accuracy + change.points / 100)
                told()
        curves.append(row)
    return curves


def _mean(
    trial: Trial, right: Callable[[np.random.Generator], np.ndarray], seed: list[int]
) -> Change:
    """Mean change over the draws. The same seed draws the same uniform numbers for every rate."""
    generator = np.random.default_rng(seed)
    changes = [trial.change(right(generator)) for _ in range(_DRAWS)]
    points = sum(change.points for change in changes) / _DRAWS
    return Change(points, max(change.error for change in changes))
