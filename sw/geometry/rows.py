"""Rows of the report: what the paper says, what we find, what is accepted, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Row", "Section", "Settings", "near", "reported", "within"]


@dataclass(frozen=True)
class Row:
    """One quantity. It passes if ``low`` <= ``ours`` <= ``high``; without either it is only reported."""

    #: Unique in the report, such as ``angle.mean.1152``.
    key: str
    what: str
    ours: float
    #: What follows the number: ``"°"``, ``" %"``, or nothing.
    unit: str = ""
    #: The paper's value as it prints it; ``None`` where it has no number.
    paper: str | None = None
    #: What is accepted, for people.
    accepted: str = ""
    low: float | None = None
    high: float | None = None
    #: Standard error of ``ours``, where it is known.
    error: float | None = None
    #: Key of the row that explains it if this one does not pass: a further measurement, which must.
    because: str | None = None

    @property
    def passed(self) -> bool | None:
        """The verdict; ``None`` for a row that is only reported. A value that is no number fails."""
        if self.low is None and self.high is None:
            return None
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return bool(low <= self.ours <= high)


def near(
    key: str,
    what: str,
    ours: float,
    expected: float,
    tolerance: float,
    basis: str,
    *,
    unit: str = "",
    paper: str | None = None,
    relative: bool = False,
) -> Row:
    """A row that must be within ``tolerance`` of ``expected``, a share of it if ``relative``.

    ``basis`` says where the expected value comes from.
    """
    margin = abs(expected) * tolerance if relative else tolerance
    shown = f"{tolerance * 100:.3g} %" if relative else f"{tolerance:.2g}{unit}"
    return Row(
        key, what, float(ours), unit, paper, f"{expected:.5g}{unit} ± {shown}, {basis}",
        float(expected - margin), float(expected + margin),
    )  # fmt: skip


def within(
    key: str,
    what: str,
    ours: float,
    low: float | None,
    high: float | None,
    *,
    unit: str = "",
    paper: str | None = None,
    error: float | None = None,
    because: str | None = None,
) -> Row:
    """A row that must not be below ``low`` or above ``high``, of which one may be ``None``."""
    if low is not None and high is not None:
        accepted = f"{low:.5g} … {high:.5g}{unit}"
    else:
        accepted = f"≤ {high:.5g}{unit}" if low is None else f"≥ {low:.5g}{unit}"
    return Row(key, what, float(ours), unit, paper, accepted, low, high, error, because)


def reported(
    key: str,
    what: str,
    ours: float,
    *,
    unit: str = "",
    paper: str | None = None,
    error: float | None = None,
) -> Row:
    """A row without a verdict: there is nothing it could be held against."""
    return Row(key, what, float(ours), unit, paper, "reported only", error=error)


@dataclass(frozen=True)
class Section:
    """The rows of one part of the paper, and the curves its figures are drawn from."""

    key: str
    title: str
    #: Where in the paper.
    source: str
    #: Markdown.
    text: str = ""
    rows: tuple[Row, ...] = ()
    curves: Mapping[str, Any] = field(default_factory=dict)
    #: Why there are no rows.
    skipped: str | None = None


@dataclass(frozen=True)
class Settings:
    """What every experiment is given."""

    seed: int = 0
    #: Directory of the data sets; ``None`` is what XNORGRID_DATA names, if anything.
    directory: Path | None = None
    #: Random vectors a quantity is measured on; very long vectors get half as many.
    samples: int = 20_000
    #: Checkpoint of a training, for the experiments on a trained network.
    checkpoint: Path | None = None
    #: Test images that its accuracies are measured on.
    count: int = 2000

    def generator(self, name: str) -> np.random.Generator:
        """Random numbers of the experiment called ``name``, the same whatever else is run."""
        return np.random.default_rng([self.seed, *name.encode()])
