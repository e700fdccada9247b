"""The experiments in the order of the report."""

from __future__ import annotations

from collections.abc import Callable

from tqdm import tqdm

from xnorgrid.extras import requires

with requires("geometry"):
    from threadpoolctl import threadpool_limits

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


def run(settings: Settings, *, progress: bool | None = False) -> list[Section]:
    """All sections. ``progress`` shows a bar; ``None`` does on a terminal.

    Raises :class:`~xnorgrid.data.DataError` if the settings name a directory without CIFAR-10.
    """
    bar = tqdm(EXPERIMENTS, "experiments", disable=None if progress is None else not progress)
    # Sums of several threads round differently, and threads of matrices this small only wait.
    with threadpool_limits(1):
        return [experiment(settings) for experiment in bar]
