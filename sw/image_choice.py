"""Images for a command: from a file, or those of the data a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import data
from .images import input_values
from .model import Model

__all__ = ["CommandError", "Images", "images_for", "read_npy"]


class CommandError(ValueError):
    """Arguments that do not go together; the message says which."""


@dataclass(frozen=True)
class Images:
    """Images (N, …) and, where known, their labels (N,). ``whole`` says that it is a whole test set."""

    images: np.ndarray
    labels: np.ndarray | None
    whole: bool

    def require_some(self) -> None:
        """Raise :class:`CommandError` if there are none."""
        if not len(self.images):
            raise CommandError("there are no images to compare: name a file with one or more")


def images_for(
    model: Model,
    *,
    images: Path | None = None,
    directory: Path | None = None,
    count: int | None = None,
) -> Images:
    """Return images for ``model``: a .npy file, or the test set of the data set it was trained on.

    Raises :class:`CommandError` or :class:`~xnorgrid.data.DataError` if there are none, and
    :class:`~xnorgrid.images.ImageError` if ``model`` does not take them, before any board is opened.
    """
    if images is not None:
        array = read_npy(images)
        input_values(model, array)
        return Images(array[:count], None, whole=False)
    recipe = model.provenance.get("recipe")
    name = recipe.get("dataset") if isinstance(recipe, dict) else None
    if not isinstance(name, str):
        raise CommandError(
            f"model {model.name!r} does not say which data set it was trained on: simulate or verify it "
            f"with a .npy file of images (--images)"
        )
    dataset = data.load(name, directory)
    input_values(model, dataset.test_images)
    taken = slice(count)
    whole = count is None or count >= len(dataset.test_labels)
    return Images(dataset.test_images[taken], dataset.test_labels[taken], whole)


def read_npy(path: Path) -> np.ndarray:
    """Return the array in a .npy file; raises :class:`CommandError` if it cannot be read as one."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        raise CommandError(f"{path} cannot be read as a .npy file: {error}") from None
