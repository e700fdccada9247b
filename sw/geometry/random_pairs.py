"""Random vectors are at right angles: Gaussian ones, binary ones, and bits flipped at random."""

from __future__ import annotations

import math

import numpy as np

from . import theory
from .rows import Section, Settings, near, within
from .vectors import angles_between, angles_to_binary, gaussian_parts

__all__ = ["random_pairs"]

_FLIPPED_LENGTH = 4608


_TEXT = f"""
Whether 37° is much depends on what else there is: two random vectors of a thousand entries are within a few
degrees of 90°, Gaussian or binary. Flipping a share p of a binary vector's bits leaves the cosine 1 - 2p, so
binarising turns a vector as far as flipping {100 * theory.equivalent_flip_rate():.1f} % of its bits: a
yard-stick for hardware faults that follows from the paper but is not in it.
"""


def random_pairs(settings: Settings) -> Section:
    """Angles of random pairs, and how many flipped bits turn a vector as far as binarisation does."""
    rows = []
    angles, binary = {}, {}
    for n in (3, 27, 1152):
        angles[n], binary[n] = _gaussian_angles(settings, n)
        cosines, count = np.cos(angles[n]), len(angles[n])
        rows += [
            near(
                f"random.variance.{n}", f"n·Var(cos) of Gaussian pairs, n = {n}",
                n * cosines.var(), 1, 0.05, "the paper", relative=True, paper="1",
            ),
            near(
                f"random.mean.{n}", f"mean angle of Gaussian pairs, n = {n}",
                math.degrees(angles[n].mean()), 90,
                4 * math.degrees(angles[n].std()) / math.sqrt(count), "the paper, 4 standard errors",
                unit="°", paper="90°",
            ),
        ]  # fmt: skip
    count = len(angles[27])
    rows.append(
        within(
            "random.density", "largest gap between the measured and the paper's distribution of cos, n = 27",
            _gap(np.cos(angles[27]), 27), None, 1.95 / math.sqrt(count),
            paper="Γ(n/2)/(√π·Γ((n-1)/2))·(1-ρ²)^((n-3)/2)",
        )
    )  # fmt: skip
    for n in (1152, 4608):
        cosines = _binary_cosines(settings, n)
        rows.append(
            near(
                f"random.binary.{n}", f"n·Var(cos) of ±1 pairs, n = {n}", n * cosines.var(), 1,
                0.05, "the paper", relative=True, paper="σ ∼ 1/√n",
            )
        )  # fmt: skip
    rate = theory.equivalent_flip_rate()
    share, cosine = _flipped(settings, rate)
    rows += [
        near(
            "random.flip_rate", "bit-flip rate with the direction error of binarisation",
            100 * rate, 10.1, 0.05, "(1 - √(2/π))/2", unit=" %",
        ),
        near(
            "random.flipped", f"angle after flipping {100 * share:.2f} % of n = {_FLIPPED_LENGTH} bits",
            math.degrees(math.acos(cosine)), math.degrees(theory.LIMIT_ANGLE), 0.15,
            "arccos √(2/π)", unit="°",
        ),
    ]  # fmt: skip
    return Section(
        key="random",
        title="Random vectors are at right angles, and a tenth of the bits may flip",
        source="section 3.1, SI 5.1",
        text=_TEXT,
        rows=tuple(rows),
        curves={"pairs": angles, "binary": binary, "rate": rate},
    )


def _gaussian_angles(settings: Settings, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles in radians of pairs, and of the first of each pair with its own binarisation."""
    generator = settings.generator(f"pairs {n}")
    pairs, binary = [], []
    for part in gaussian_parts(generator, settings.samples, 2 * n):
        pairs.append(angles_between(part[:, :n], part[:, n:]))
        binary.append(angles_to_binary(part[:, :n]))
    return np.concatenate(pairs), np.concatenate(binary)


def _gap(cosines: np.ndarray, n: int) -> float:
    """Largest difference between the distribution function of ``cosines`` and that of Gaussian pairs."""
    grid = np.linspace(-1, 1, 20_001)
    density = theory.cosine_density(grid, n)
    steps = (density[1:] + density[:-1]) / 2 * np.diff(grid)
    expected = np.interp(np.sort(cosines), grid, np.concatenate([[0], np.cumsum(steps)]))
    ranks = np.arange(len(cosines) + 1) / len(cosines)
    return float(max(np.abs(expected - ranks[1:]).max(), np.abs(expected - ranks[:-1]).max()))


def _binary_cosines(settings: Settings, n: int) -> np.ndarray:
    """Cosines of pairs of random ±1 vectors: packed bits, XOR and popcount."""
    generator = settings.generator(f"binary {n}")
    shape = (settings.samples, n // 64)
    left, right = (generator.integers(0, 1 << 64, shape, np.uint64) for _ in range(2))
    return 1 - 2 * np.bitwise_count(left ^ right).sum(1, dtype=np.int64) / n


def _flipped(settings: Settings, rate: float) -> tuple[float, float]:
    """Share of bits flipped, and mean cosine to the flipped vectors."""
    generator = settings.generator("flips")
    vectors = generator.integers(0, 2, (200, _FLIPPED_LENGTH), np.uint8)
    flips = generator.random(vectors.shape, dtype=np.float32) < rate
    agreeing = (vectors ^ flips) == vectors
    return float(flips.mean()), float((2 * agreeing.mean(1) - 1).mean())
