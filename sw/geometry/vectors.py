"""Vectors, their binarisation and rotations: what the experiments measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = [
    "angles_between",
    "angles_to_binary",
    "binarise",
    "cosines_to_binary",
    "gaussian_parts",
    "generalised_binarisation",
    "haar",
    "sign_flip_hadamard",
    "ternarise",
    "walsh_hadamard",
]

#: Random numbers that are held at a time.
_PART = 1 << 21


def binarise(vectors: np.ndarray) -> np.ndarray:
    """+1 where an entry is at least 0, else -1. The paper's θ has -1 at 0, which is never drawn."""
    return np.where(vectors >= 0, 1, -1).astype(vectors.dtype)


def ternarise(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """The sign of what exceeds ``threshold`` in magnitude, else 0."""
    return np.sign(vectors) * (np.abs(vectors) > threshold)


def angles_between(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Angles in radians between rows (N, n) of both, of which none may be all zeros."""
    dots = np.einsum("ij,ij->i", left, right, dtype=np.float64)
    norms = [np.einsum("ij,ij->i", side, side, dtype=np.float64) for side in (left, right)]
    return np.arccos(np.clip(dots / np.sqrt(norms[0] * norms[1]), -1, 1))


def cosines_to_binary(vectors: np.ndarray) -> np.ndarray:
    """Cosines (N,) float64 between rows (N, n) and their binarisation: Σ|v| / (√n·‖v‖)."""
    sums = np.abs(vectors).sum(1, dtype=np.float64)
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return np.minimum(1, sums / np.sqrt(squares * vectors.shape[1]))


def angles_to_binary(vectors: np.ndarray) -> np.ndarray:
    """Angles (N,) in radians between rows (N, n) and their binarisation."""
    return np.arccos(cosines_to_binary(vectors))


def gaussian_parts(generator: np.random.Generator, samples: int, n: int) -> Iterator[np.ndarray]:
    """``samples`` Gaussian vectors of length ``n``, float32, in parts that fit the memory."""
    rows = max(1, _PART // n)
    for start in range(0, samples, rows):
        yield generator.standard_normal((min(rows, samples - start), n), dtype=np.float32)


def haar(n: int, generator: np.random.Generator) -> np.ndarray:
    """A rotation or reflection (n, n), uniform over the orthogonal group: QR of a Gaussian matrix."""
    q, r = np.linalg.qr(generator.standard_normal((n, n)))
    # QR leaves the signs of R's diagonal open; fixing them makes the law uniform.
    return q * np.sign(np.diag(r))


def walsh_hadamard(vectors: np.ndarray) -> np.ndarray:
    """The orthonormal Walsh-Hadamard transform of rows (N, n): additions and one scaling.

    Raises :class:`ValueError` unless n is a power of two.
    """
    n = vectors.shape[1]
    if n < 1 or n & (n - 1):
        raise ValueError(f"rows must have a power of two of entries, not {n}; pad them with zeros")
    out, half = vectors, 1
    while half < n:
        pairs = out.reshape(len(out), -1, 2, half)
        total, difference = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        out = np.stack([total, difference], 2).reshape(len(out), n)
        half *= 2
    return out / np.sqrt(n)


def sign_flip_hadamard(vectors: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Rows (N, n) after HD for each row of ``signs`` (rounds, n), ±1: flips D, then Walsh-Hadamard H."""
    for flips in signs:
        vectors = walsh_hadamard(vectors * flips)
    return vectors


def generalised_binarisation(
    vectors: np.ndarray,
    rotate: Callable[[np.ndarray], np.ndarray],
    back: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Rᵀθ(Rx) of rows x: rotate, binarise, rotate back."""
    return back(binarise(rotate(vectors)))
