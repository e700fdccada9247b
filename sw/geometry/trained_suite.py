"""The experiments on a trained network, in the order of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tqdm import tqdm

from .control import training
from .latents import latents
from .proportionality import measure, permutation, proportionality
from .rows import Section, Settings
from .trained import Trained, load_trained
from .unbinarised import unbinarised

__all__ = ["sections"]


def sections(settings: Settings, *, disable: bool | None = True) -> Iterator[Section]:
    """The sections on the network that the settings name a checkpoint of, one after the other.

    The network is loaded at once, so that what is wrong with the checkpoint shows before anything is
    computed: see :func:`load_trained`. ``disable`` is that of the progress bars.
    """
    assert settings.checkpoint is not None
    trained = load_trained(settings.checkpoint, settings.directory)
    return _sections(trained, settings, disable)


def _sections(trained: Trained, settings: Settings, disable: bool | None) -> Iterator[Section]:
    section = latents(trained)
    yield dataclasses.replace(section, text=f"{trained.description}\n{section.text}")
    yield training(settings)
    hidden = len(trained.layers) - 1
    with tqdm(desc="dot products", total=hidden, disable=disable) as bar:
        measured = measure(trained, settings, bar.update)
    yield proportionality(trained, measured)
    yield permutation(trained, measured)
    with tqdm(desc="accuracies", disable=disable) as bar:
        yield unbinarised(trained, settings, bar)
