"""The generalised binarisation: rotate, binarise, rotate back, for vectors that lie along few axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from . import theory
from .rows import Section, Settings, near
from .vectors import angles_to_binary, haar, sign_flip_hadamard

__all__ = ["rotations", "scales"]

_DECAY = 0.1
_PADDED = 512
#: Rotations drawn for a mean, and vectors for each.
_ROTATIONS = 5
_VECTORS = 200
_NAMES = {
    "none": "no rotation",
    "Haar": "random rotation",
    "HD": "sign flips and Walsh-Hadamard",
    "(HD)²": "the same twice",
}


_TEXT = """
Entry i has standard deviation exp(0.1·(i - n/2)), so that a handful of entries carry all of the vector, and
binarising it in place destroys its direction. θ_R(x) = Rᵀθ(Rx) first turns it by a random R. A random
orthogonal matrix (Haar) restores 37°, but takes n² multiplications. The paper asks for a rotation that is
cheap: flipping signs at random (D) and a Walsh-Hadamard transform (H) take n·log₂ n additions. One round
even gives a smaller angle than Haar, because sums of few large terms with random signs are more alike in
size than Gaussian numbers; two rounds are as good as random.
"""


def scales(n: int) -> np.ndarray:
    """Standard deviations exp(k(-n/2 + i)), k = 0.1, of the authors' example."""
    return np.exp(_DECAY * (-n / 2 + np.arange(n)))


def rotations(settings: Settings) -> Section:
    """Angles of the exponential-covariance example without a rotation and with three kinds."""
    rows = []
    angles: dict[tuple[str, int], np.ndarray] = {}

    def add(name: str, n: int, measured: np.ndarray, expected: float, basis: str) -> None:
        angles[name, n] = measured
        rows.append(
            near(
                f"rotation.{name}.{n}", f"mean angle, n = {n}, {_NAMES[name]}", measured.mean(),
                math.degrees(expected), 1.5, basis, unit="°",
                paper="figure only" if n != _PADDED else None,
            )
        )  # fmt: skip

    def alone(n: int) -> None:
        measured = _measure(settings, f"none {n}", n, lambda _: lambda vectors: vectors)
        cosine = theory.mean_cosine_of_scaled(scales(n))
        add("none", n, measured, math.acos(cosine), "closed form of the mean cosine")

    for n in (10, 100, 500):
        alone(n)
        turned = _measure(settings, f"Haar {n}", n, partial(_random, n))
        add("Haar", n, turned, theory.angle_moments(n)[0], "a random direction's")
    alone(_PADDED)
    once = _measure(settings, "HD 512", _PADDED, partial(_sign_flips, 1))
    cosine = theory.mean_cosine_after_hadamard(scales(_PADDED))
    add("HD", _PADDED, once, math.acos(cosine), "closed form of the mean cosine")
    twice = _measure(settings, "(HD)² 512", _PADDED, partial(_sign_flips, 2))
    add("(HD)²", _PADDED, twice, theory.angle_moments(_PADDED)[0], "a random direction's")
    return Section(
        key="rotation",
        title="A rotation saves vectors that lie along few axes, and a cheap one is enough",
        source="section 3.3; the example is the authors' code",
        text=_TEXT,
        rows=tuple(rows),
        curves={"angles": angles},
    )


Rotation = Callable[[np.ndarray], np.ndarray]


def _measure(
    settings: Settings, name: str, n: int, draw: Callable[[np.random.Generator], Rotation]
) -> np.ndarray:
    """Angles in degrees of vectors of the example, a fifth of them under each of five rotations.

    ∠(x, Rᵀθ(Rx)) = ∠(Rx, θ(Rx)), so nothing needs to be turned back.
    """
    generator = settings.generator(f"rotation {name}")
    parts = []
    for _ in range(_ROTATIONS):
        rotate = draw(generator)
        parts.append(angles_to_binary(rotate(generator.standard_normal((_VECTORS, n)) * scales(n))))
    return np.degrees(np.concatenate(parts))


def _random(n: int, generator: np.random.Generator) -> Rotation:
    matrix = haar(n, generator)
    return lambda vectors: vectors @ matrix.T


def _sign_flips(rounds: int, generator: np.random.Generator) -> Rotation:
    signs = 2.0 * generator.integers(0, 2, (rounds, _PADDED)) - 1
    return lambda vectors: sign_flip_hadamard(vectors, signs)
