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


_WITHOUT = Section(
    key="trained",
    title="Inside a trained network",
    source="sections 3.1 to 3.3",
    skipped="these experiments need the checkpoint of a training; name one with --checkpoint",
)


def run(settings: Settings, *, progress: bool | None = False) -> list[Section]:
    """All sections. ``progress`` shows a bar; ``None`` does on a terminal.

    Those on a trained network need the settings to name a checkpoint, and PyTorch. Raises
    :class:`~xnorgrid.data.DataError` if the settings name a directory without CIFAR-10, and what
    :func:`~xnorgrid.geometry.trained.load_trained` raises.
    """
    disable = None if progress is None else not progress
    if settings.checkpoint is None:
        inside = iter([_WITHOUT])
    else:
        from .trained_suite import sections

        inside = sections(settings, disable=disable)
    bar = tqdm(EXPERIMENTS, "experiments", disable=disable)
    # Sums of several threads round differently, and threads of matrices this small only wait.
    with threadpool_limits(1):
        found = [experiment(settings) for experiment in bar]
    return [*found, *inside]
