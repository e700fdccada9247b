"""The experiments in the order of the report."""

from __future__ import annotations

from collections.abc import Callable

from .angles import angle, variance
from .dynamics import dynamics
from .patches import patches
from .products import products
from .random_pairs import random_pairs
from .rotations import rotations
from .rows import Section, Settings
from .ternary import ternary

__all__ = ["EXPERIMENTS", "run"]

#: Each takes the settings and returns its section; a section's key is its function's.
EXPERIMENTS: tuple[Callable[[Settings], Section], ...] = (
    angle,
    variance,
    random_pairs,
    products,
    patches,
    rotations,
    ternary,
    dynamics,
)


def run(settings: Settings, started: Callable[[str], None] = lambda _: None) -> list[Section]:
    """All sections; ``started`` is told the name of each experiment before it begins."""
    sections = []
    for experiment in EXPERIMENTS:
        started(experiment.__name__)
        sections.append(experiment(settings))
    return sections
