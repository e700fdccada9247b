"""Pairs of numbers, such as dot products before and after binarising, added up a part at a time."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["Pairs"]

#: Pairs that are kept to be drawn, about.
_DRAWN = 200_000


class Pairs:
    """Moments of ``expected`` pairs (x, y) in float64, and a sample of them to be drawn."""

    def __init__(self, expected: int) -> None:
        # Odd, so that it meets all channels and positions in turn.
        self._step = max(1, expected // _DRAWN) | 1
        self.count = 0
        #: Σx, Σy, Σx², Σy², Σxy.
        self._sums = np.zeros(5)
        self._agreeing = 0
        self._parts: list[np.ndarray] = []

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add the entries of two arrays of one shape."""
        x, y = x.ravel(), y.ravel()
        start = -self.count % self._step
        self._parts.append(np.stack((x[start :: self._step], y[start :: self._step])))
        self.count += len(x)
        self._agreeing += int(((x >= 0) == (y >= 0)).sum())
        left, right = x.astype(np.float64), y.astype(np.float64)
        self._sums += left.sum(), right.sum(), left @ left, right @ right, left @ right

    @property
    def covariance(self) -> np.ndarray:
        """The covariance matrix (2, 2)."""
        x, y, xx, yy, xy = self._sums / self.count
        return np.array([[xx - x * x, xy - x * y], [xy - x * y, yy - y * y]])

    @property
    def r(self) -> float:
        """Pearson's correlation; no number if x or y does not vary."""
        (xx, xy), (_, yy) = self.covariance
        return float(xy / math.sqrt(xx * yy)) if xx * yy > 0 else math.nan

    @property
    def slope(self) -> float:
        """Slope of the regression of y on x; no number if x does not vary."""
        (xx, xy), _ = self.covariance
        return float(xy / xx) if xx > 0 else math.nan

    @property
    def means(self) -> tuple[float, float]:
        """Means of x and of y."""
        return float(self._sums[0] / self.count), float(self._sums[1] / self.count)

    @property
    def sign_agreement(self) -> float:
        """Share of pairs of equal sign, 0 being positive."""
        return self._agreeing / self.count

    @property
    def drawn(self) -> np.ndarray:
        """The sample (2, …)."""
        return np.concatenate(self._parts, 1)
