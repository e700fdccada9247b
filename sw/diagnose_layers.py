"""What a hidden layer does on real images: firing, thresholds, and whether both are as in training.

A model file keeps each layer's BatchNorm: the mean and variance that its sums had in training, and where
between them a channel switches. That is a record to hold the layer to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .layers import Layer

__all__ = [
    "activity",
    "batchnorm_bits",
    "centred_bits",
    "correlations",
    "drift",
    "refitted_bits",
    "score_margins",
    "sums_and_thresholds",
]

#: A channel is saturated that yields one value for at least this share.
_SATURATED = 0.99
#: Results that correlations are computed from, at most.
_RESULTS = 20_000
#: A channel's divergence is not counted beyond this: dead channels would be infinitely far.
_FAR = 3.0


def activity(bits: np.ndarray) -> dict[str, Any]:
    """How the channels of ``bits`` (N, …, out) fire; rates are shares of ones, the entropy in bits.

    ``dead`` channels yield one value always, ``saturated`` ones, counted apart, for 99 % or more.
    """
    rate = bits.reshape(-1, bits.shape[-1]).mean(0)
    constant = np.maximum(rate, 1 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(rate * np.log2(rate) + (1 - rate) * np.log2(1 - rate))
    return {
        "rate_min": float(rate.min()),
        "rate_median": float(np.median(rate)),
        "rate_max": float(rate.max()),
        "dead": int((constant == 1).sum()),
        "saturated": int(((constant >= _SATURATED) & (constant < 1)).sum()),
        "entropy": float(np.nan_to_num(entropy).mean()),
    }


def correlations(bits: np.ndarray) -> dict[str, Any]:
    """How alike the channels of ``bits`` (N, …, out) are: mean |r| of pairs, and effective channels.

    Effective channels are (Σλ)²/Σλ² of the eigenvalues λ of their correlations: all of them if none
    correlate, 1 if all do. Dead channels are left out; ``None`` and 0 if fewer than two are left.
    """
    flat = bits.reshape(-1, bits.shape[-1])
    flat = flat[:: max(1, -(-len(flat) // _RESULTS))].astype(np.float32)
    alive = flat[:, flat.min(0) != flat.max(0)]
    count = alive.shape[1]
    if count < 2:
        return {"correlation": None, "effective_channels": count}
    r = np.corrcoef(alive.T)
    return {
        "correlation": float((np.abs(r).sum() - count) / (count * (count - 1))),
        "effective_channels": float(count**2 / np.square(r).sum()),
    }


def sums_and_thresholds(sums: np.ndarray, layer: Layer, amplitude: int) -> dict[str, Any]:
    """Range of the pooled ``sums`` (N, …, out), and of the sums at which the channels switch.

    ``unreachable`` thresholds are those above or below every sum of their channel on these images.
    """
    flat, switch = sums.reshape(-1, sums.shape[-1]), switching_sums(layer, amplitude)
    low, high = np.percentile(flat, (1, 99))
    unreachable = (switch > flat.max(0)) | (switch <= flat.min(0))
    return {
        "sums": {
            "min": int(flat.min()),
            "percentile_1": float(low),
            "percentile_99": float(high),
            "max": int(flat.max()),
        },
        "thresholds": {
            "min": int(switch.min()),
            "median": float(np.median(switch)),
            "max": int(switch.max()),
            "unreachable": int(unreachable.sum()),
        },
    }


def switching_sums(layer: Layer, amplitude: int) -> np.ndarray:
    """Smallest sum (out,) that reaches each channel's threshold."""
    assert layer.thresholds is not None
    factor = 1 if layer.counts_halves else 2
    switch: np.ndarray = factor * layer.thresholds.astype(np.int64) - layer.fan_in * amplitude
    return switch


def batchnorm_bits(sums: np.ndarray, rows: np.ndarray, eps: float) -> np.ndarray:
    """Bits uint8 of pooled ``sums`` by the BatchNorm ``rows`` (4, out) of training, in float64."""
    gamma, beta, mean, variance = rows.astype(np.float64)
    return (gamma * (sums - mean) / np.sqrt(variance + eps) + beta >= 0).astype(np.uint8)


def refitted_bits(sums: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The same with the mean and variance that ``sums`` have here: BatchNorm refitted."""
    axes = tuple(range(sums.ndim - 1))
    gamma, beta = rows[:2].astype(np.float64)
    spread = np.maximum(sums.std(axes), 1e-6)
    return (gamma * (sums - sums.mean(axes)) / spread + beta >= 0).astype(np.uint8)


def centred_bits(sums: np.ndarray, layer: Layer) -> np.ndarray:
    """Bits of pooled ``sums`` with each threshold at its channel's median, inversion kept."""
    middle = np.median(sums, tuple(range(sums.ndim - 1)))
    assert layer.inverted is not None
    return ((sums >= middle) ^ layer.inverted).astype(np.uint8)


def drift(sums: np.ndarray, rows: np.ndarray, eps: float, dropped: float = 0.0) -> float:
    """How far pooled ``sums`` are from those BatchNorm recorded, in nats, mean over channels.

    The Kullback-Leibler divergence of normal laws with the mean and variance of both,
    (v/σ² + (m - μ)²/σ² - 1 - ln(v/σ²))/2, a channel's cut at 3. ``dropped`` is the part of σ² that dropout
    made. The sums of N images that have not drifted are some 1/N off.
    """
    axes = tuple(range(sums.ndim - 1))
    mean, variance = rows[2:].astype(np.float64)
    variance = np.maximum(variance - dropped, variance / 10) + eps
    ratio = np.maximum(sums.var(axes) / variance, 1e-6)
    shift = np.square(sums.mean(axes) - mean) / variance
    return float(np.minimum((ratio + shift - 1 - np.log(ratio)) / 2, _FAR).mean())


def score_margins(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label's output less the largest other one, (N,); with one class, the output itself."""
    rows = np.arange(len(labels))
    right = outputs[rows, labels].astype(np.float64)
    others = outputs.astype(np.float64).copy()
    others[rows, labels] = -np.inf
    best = others.max(1)
    return np.where(np.isfinite(best), right - best, right)
