"""Dot products before and after the weights are binarised, for activations without structure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .rows import Section, Settings, near
from .vectors import binarise

__all__ = ["pooled_correlation", "pooled_moments", "predicted_correlation", "products"]

_LENGTH = 1152
_FILTERS = 64


_TEXT = """
The paper permutes the activations of a layer, so that they keep their values and lose their joint
structure; then r of a·w_b and a·w_c should be the cosine of the two weight vectors, 0.80 for Gaussian ones.
Here the activations are independent from the start. In a trained network the excess over this value is what
the data's structure contributes.
"""


def predicted_correlation(
    binary: np.ndarray, continuous: np.ndarray, mean: float = 0.0, variance: float = 1.0
) -> float:
    """Pearson's r of a·w_b and a·w_c, pooled over filters (rows), for independent entries of a.

    ``mean`` and ``variance`` are those of an activation. With mean 0 and variance 1 this is
    ΣΣ w_b·w_c / √(‖W_b‖²·‖W_c‖²).
    """
    rows = (binary, continuous)
    means = tuple(mean * weights.sum(1) for weights in rows)

    def spread(one: int, other: int) -> np.ndarray:
        dots: np.ndarray = variance * np.einsum("ij,ij->i", rows[one], rows[other])
        return dots

    return pooled_moments(means, (spread(0, 0), spread(0, 1), spread(1, 1)))


def pooled_moments(means: Sequence[np.ndarray], spreads: Sequence[np.ndarray]) -> float:
    """Pearson's r of x and y, pooled over cases of equal weight.

    ``means`` of x and y, and ``spreads``, the variance of x, the covariance and the variance of y, hold a
    number for each case.
    """
    x, y = means[0] - means[0].mean(), means[1] - means[1].mean()
    xx, xy, yy = (
        float(spread.mean() + np.mean(one * other))
        for spread, one, other in zip(spreads, (x, x, y), (x, y, y), strict=True)
    )
    return xy / math.sqrt(xx * yy)


def pooled_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's r over all entries of two arrays of one shape."""
    return float(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def products(settings: Settings) -> Section:
    """Correlations of dot products with independent random activations, as the permuted ones are."""
    generator = settings.generator("products")
    continuous = generator.standard_normal((_FILTERS, _LENGTH))
    # Filters of different norm: pooling over them is not the mean of their correlations.
    continuous *= generator.uniform(0.5, 1.5, (_FILTERS, 1))
    binary = binarise(continuous)
    count = max(2, settings.samples // 5)
    centred = 2.0 * generator.integers(0, 2, (count, _LENGTH), np.uint8) - 1
    pairs = centred @ binary.T, centred @ continuous.T
    single = pooled_correlation(pairs[0][:, 0], pairs[1][:, 0])
    cosine = predicted_correlation(binary[:1], continuous[:1])
    norm = np.linalg.norm(continuous) * np.sqrt(binary.size)
    rows = [
        near(
            "products.single", f"r of one filter, n = {_LENGTH}", single, cosine, 0.02,
            "cosine of the two weight vectors", paper="w·v / (‖w‖·‖v‖)",
        ),
        near(
            "products.pooled", f"r pooled over {_FILTERS} filters", pooled_correlation(*pairs),
            np.abs(continuous).sum() / norm, 0.01, "‖W_c‖₁ / (‖W_c‖·√(N·n))",
        ),
    ]  # fmt: skip
    mean = 0.3
    shifted = 2.0 * (generator.random((count, _LENGTH), dtype=np.float32) < (1 + mean) / 2) - 1
    rows.append(
        near(
            "products.shifted", f"r pooled, activations of mean {mean}",
            pooled_correlation(shifted @ binary.T, shifted @ continuous.T),
            predicted_correlation(binary, continuous, mean, 1 - mean**2), 0.01,
            "the same with the mean's share",
        )
    )  # fmt: skip
    return Section(
        key="products",
        title="Without structure in the data, dot products correlate like the weights",
        source="section 3.3, SI 5.3",
        text=_TEXT,
        rows=tuple(rows),
        curves={"binary": pairs[0][:, 0], "continuous": pairs[1][:, 0], "r": single},
    )
