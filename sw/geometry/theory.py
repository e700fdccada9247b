"""Closed forms for Gaussian vectors v of length n, and for binarised ones. Angles are in radians.

η is the cosine of the angle between v and sign(v): η = Σ|v_i| / (√n·√Σv_i²).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

__all__ = [
    "LIMIT_ANGLE",
    "PRINTED_VARIANCE",
    "SIGMA_OF_ANGLE",
    "VARIANCE",
    "angle_moments",
    "cosine_density",
    "equivalent_flip_rate",
    "mean_cosine",
    "mean_cosine_after_hadamard",
    "mean_cosine_of_scaled",
    "ternary_cosine",
    "ternary_optimum",
    "ternary_zeros",
    "variance_of_cosine",
]

_NORMAL = NormalDist()

#: The angle between a vector and its binarisation, n → ∞.
LIMIT_ANGLE = math.acos(math.sqrt(2 / math.pi))
#: lim n·Var(η) …
VARIANCE = 1 - 3 / math.pi
#: … and what SI 5.1 of the paper prints for it.
PRINTED_VARIANCE = 1 - 1 / math.pi
#: lim √n·σ of the angle: the delta method, d arccos η / dη = -1/√(1 - η²).
SIGMA_OF_ANGLE = math.sqrt(VARIANCE / (1 - 2 / math.pi))


def mean_cosine(n: int) -> float:
    """E(η) = √(n/π)·Γ(n/2)/Γ((n+1)/2)."""
    return math.sqrt(n / math.pi) * math.exp(math.lgamma(n / 2) - math.lgamma((n + 1) / 2))


def variance_of_cosine(n: int) -> float:
    """Var(η) = (1 - 2/π)/n + 2/π - E(η)², exact for every n."""
    return (1 - 2 / math.pi) / n + 2 / math.pi - mean_cosine(n) ** 2


def angle_moments(n: int) -> tuple[float, float]:
    """Mean and standard deviation of arccos η.

    Exact for n = 2, where the angle is uniform up to 45°, and for n = 3, where it is an integral over the
    octant. From n = 10 the second-order delta method, which misses by less than 0.1° there and less beyond.
    """
    if n == 2:
        return math.pi / 8, math.pi / 4 / math.sqrt(12)
    if n == 3:
        return _octant_moments()
    mean, variance = mean_cosine(n), variance_of_cosine(n)
    sine = math.sqrt(1 - mean**2)
    return math.acos(mean) - mean * variance / (2 * sine**3), math.sqrt(variance) / sine


def _octant_moments() -> tuple[float, float]:
    """Mean and standard deviation of the angle between a direction in an octant and its diagonal."""
    angles = _midpoints(0, math.acos(1 / math.sqrt(3)), 200_000)
    nearest = math.acos(
        math.sqrt(2 / 3)
    )  # where circles around the diagonal meet the octant's sides
    cut = np.arccos(np.minimum(1, math.tan(nearest) / np.tan(angles)))
    weights = np.sin(angles) * (2 * math.pi - 6 * cut)
    mean = float(np.average(angles, weights=weights))
    return mean, math.sqrt(float(np.average((angles - mean) ** 2, weights=weights)))


def cosine_density(cosine: np.ndarray, n: int) -> np.ndarray:
    """Density of the cosine of the angle between two Gaussian vectors, n >= 3."""
    scale = math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2)) / math.sqrt(math.pi)
    return scale * (1 - np.asarray(cosine) ** 2) ** ((n - 3) / 2)


def equivalent_flip_rate() -> float:
    """The share of flipped bits that turns a binary vector as far as binarisation turns a Gaussian one.

    Flipping a share p of the bits leaves the cosine 1 - 2p; binarising leaves √(2/π).
    """
    return (1 - math.sqrt(2 / math.pi)) / 2


def mean_cosine_of_scaled(scales: np.ndarray) -> float:
    """E(η) of a vector whose entries are Gaussian with standard deviations ``scales``.

    1/‖v‖ = π^-½ ∫ t^-½ exp(-t‖v‖²) dt makes the mean an integral over independent entries.
    """
    squares, t, weights = _damping(scales)
    damping = 1 + 2 * np.outer(t, squares)
    sums = np.sqrt(2 * squares / math.pi / damping).sum(1)
    return float(weights @ (np.exp(-np.log(damping).sum(1) / 2) * sums) / math.sqrt(len(squares)))


def mean_cosine_after_hadamard(scales: np.ndarray) -> float:
    """E(η) of such a vector after random signs and a Walsh-Hadamard transform.

    Each entry is then Σ ±v_i/√n, so that E(η) = E(|Σ v_i| / ‖v‖).
    """
    squares, t, weights = _damping(scales)
    damping = 1 + 2 * np.outer(t, squares)
    sums = np.sqrt(2 / math.pi * (squares / damping).sum(1))
    return float(weights @ (np.exp(-np.log(damping).sum(1) / 2) * sums))


def _damping(scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared scales, the largest 1, and points and weights of π^-½ ∫ t^-½ … dt on a logarithmic grid."""
    squares = (np.asarray(scales, float) / np.max(scales)) ** 2
    step = 0.05
    t = np.exp(np.arange(-40, 40, step))
    return squares, t, np.sqrt(t / math.pi) * step


def ternary_cosine(threshold: float) -> float:
    """Cosine between a long Gaussian vector and its ternarisation at ``threshold`` standard deviations."""
    beyond = _NORMAL.cdf(-threshold)
    return 2 * _NORMAL.pdf(threshold) / math.sqrt(2 * beyond)


def ternary_zeros(threshold: float) -> float:
    """The share of zeros that ``threshold`` standard deviations leave."""
    return 1 - 2 * _NORMAL.cdf(-threshold)


def ternary_optimum() -> float:
    """The threshold of the smallest angle, where φ(t) = 2t·Q(t): half the mean of what exceeds it."""
    low, high = 0.0, 2.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if _NORMAL.pdf(middle) > 2 * middle * _NORMAL.cdf(-middle):
            low = middle
        else:
            high = middle
    return low


def _midpoints(low: float, high: float, count: int) -> np.ndarray:
    return low + (high - low) * (np.arange(count) + 0.5) / count
