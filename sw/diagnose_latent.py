"""What binarising its latent weights does to a layer: angles, and dot products before and after.

The quantities of Anderson and Berg (2018), sections 3.1 to 3.3, on real activations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .geometry.products import predicted_correlation
from .geometry.theory import LIMIT_ANGLE, SIGMA_OF_ANGLE
from .geometry.vectors import angles_between, binarise
from .layers import Conv, Layer

__all__ = ["continuous_sums", "products_compared", "weights_compared"]

#: Inputs of products that are held at a time.
_BLOCK = 1 << 23
#: Pairs of dot products that are kept to be drawn.
_PAIRS = 200_000


def weights_compared(layer: Layer, latent: np.ndarray) -> dict[str, Any]:
    """Angles in degrees between ``latent`` weights and the layer's binary ones, over its channels.

    ``angle_sigma_expected`` is that of Gaussian weights, 20.2/√n. ``differing`` is the share of binary
    weights that are not the sign of the latent ones, with sign(0) = +1. ``at_limit`` is the share of latent
    weights at ±1, where training clips them.
    """
    flat = latent.reshape(len(latent), -1)
    binary = 2.0 * layer.weights.reshape(flat.shape) - 1
    safe = np.where(flat.any(1, keepdims=True), flat, 1e-12)
    angles = np.degrees(angles_between(safe, binary))
    sigma = math.degrees(SIGMA_OF_ANGLE)
    return {
        "angle_mean": float(angles.mean()),
        "angle_sigma": float(angles.std()),
        "angle_limit": math.degrees(LIMIT_ANGLE),
        "angle_sigma_expected": sigma / math.sqrt(flat.shape[1]),
        "angles": angles,
        "differing": float((binary != binarise(flat)).mean()),
        "at_limit": float((np.abs(flat) >= 1).mean()),
    }


def products_compared(
    binary: np.ndarray, continuous: np.ndarray, layer: Layer, latent: np.ndarray
) -> dict[str, Any]:
    """Sums with the layer's ``binary`` weights against those with ``latent`` ones, on the same inputs.

    Both (N, …, out), before pooling. ``r`` is Pearson's over all of them, ``slope`` that of the regression
    of the continuous on the binary ones, ``sign_agreement`` the share of equal signs, a sum of 0 being
    positive. ``r_independent`` is what r would be if the inputs were independent ±1: the cosine.
    """
    x, y = binary.ravel().astype(np.float64), continuous.ravel().astype(np.float64)
    moments = np.cov(x, y)
    spread = math.sqrt(moments[0, 0] * moments[1, 1])
    flat = latent.reshape(len(latent), -1).astype(np.float64)
    step = max(1, len(x) // _PAIRS)
    return {
        "r": float(moments[0, 1] / spread) if spread else 0.0,
        "slope": float(moments[0, 1] / moments[0, 0]) if moments[0, 0] else 0.0,
        "sign_agreement": float(((x >= 0) == (y >= 0)).mean()),
        "r_independent": float(
            predicted_correlation(2.0 * layer.weights.reshape(flat.shape) - 1, flat)
        ),
        "pairs": np.stack((x[::step], y[::step])),
    }


def continuous_sums(
    inputs: np.ndarray, layer: Layer, latent: np.ndarray, amplitude: int
) -> np.ndarray:
    """Sums (N, …, out) float32 of ``inputs`` (N, …) with ``latent`` weights, before pooling.

    ``inputs`` are what enters the sums, ±1 or up to ``amplitude``, which padding is as well.
    """
    kernel = latent.reshape(len(latent), -1).T.astype(np.float32)
    parts = [
        (taken.reshape(-1, len(kernel)) @ kernel).reshape(*taken.shape[: len(positions) + 1], -1)
        for taken, positions in _blocks(inputs, layer, amplitude)
    ]
    return np.concatenate(parts)


def _blocks(
    inputs: np.ndarray, layer: Layer, amplitude: int
) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """What each sum takes, (N, positions …, values …) float32, a part of the images at a time."""
    positions: tuple[int, ...] = ()
    if isinstance(layer, Conv):
        positions = tuple(
            (size + 2 * pad - kernel) // layer.stride + 1
            for size, pad, kernel in zip(
                inputs.shape[1:3], layer.padding, layer.kernel, strict=True
            )
        )
    step = max(1, _BLOCK // (layer.fan_in * math.prod(positions)))
    for start in range(0, len(inputs), step):
        block = inputs[start : start + step].astype(np.float32)
        if isinstance(layer, Conv):
            rows, columns = layer.padding
            border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
            block = np.pad(block, border, constant_values=layer.fill * amplitude)
            windows = np.lib.stride_tricks.sliding_window_view(block, layer.kernel, (1, 2))
            block = windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
        else:
            block = block.reshape(len(block), -1)
        yield block, positions
