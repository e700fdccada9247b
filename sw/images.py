"""Images as the user has them to the values that enter the first layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .model import Model

__all__ = ["ImageError", "input_values"]


class ImageError(ValueError):
    """Images that the model does not take; the message says what it got and what it expects."""


def input_values(model: Model, images: ArrayLike) -> np.ndarray:
    """Return what :meth:`Input.encode` of ``model``'s input takes: (N, model.input.size), in C order.

    ``images`` is (N, *model.input.shape) or (N, size), N from 0. For a model with input kind ``"bits"``:
    bool, or numbers all 0/1 or all -1/+1. For every other: integers in 0 … maximum.
    The values are uint8 bits, of which 1 is +1; for ``"pixels"`` and encodings they are the pixels as they
    are, uint8, or uint16 if the maximum needs it. Raises :class:`ImageError` for any other shape, type or
    value: pixels are never clipped or rescaled.
    """
    source = model.input
    try:
        array = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ImageError(f"images are no array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ImageError(f"images must be numbers, not {array.dtype}")
    if array.ndim == 0 or array.shape[1:] not in (source.shape, (source.size,)):
        hint = (
            "; for a single image, add the first axis: images[None]"
            if array.shape in (source.shape, (source.size,))
            else ""
        )
        raise ImageError(
            f"images must have shape {_shape(source.shape)}"
            + (f" or {_shape((source.size,))}" if len(source.shape) > 1 else "")
            + f", not {array.shape}{hint}"
        )
    flat = array.reshape(len(array), source.size)
    return _plain_bits(flat) if source.kind == "bits" else _pixels(model, flat)


def _plain_bits(flat: np.ndarray) -> np.ndarray:
    one, zero, minus = flat == 1, flat == 0, flat == -1
    stray = ~(one | zero | minus)
    if stray.any():
        raise ImageError(f"image bits must be all 0/1 or all -1/+1, but {_first(flat, stray)}")
    if zero.any() and minus.any():
        raise ImageError("image bits must be all 0/1 or all -1/+1, but there are both 0 and -1")
    return one.astype(np.uint8)


def _pixels(model: Model, flat: np.ndarray) -> np.ndarray:
    maximum = model.input.maximum
    if flat.dtype.kind not in "iu":
        raise ImageError(
            f"pixels must be integers in 0 … {maximum}, not {flat.dtype}; "
            f"scaled images go back to integers first"
        )
    stray = (flat < 0) | (flat > maximum)
    if stray.any():
        raise ImageError(f"pixels must be in 0 … {maximum}, but {_first(flat, stray)}")
    if model.input.kind != "threshold":
        return flat.astype(np.min_scalar_type(maximum))
    return (flat >= model.input.threshold).astype(np.uint8)


def _first(flat: np.ndarray, stray: np.ndarray) -> str:
    image, position = np.argwhere(stray)[0]
    return f"image {image} has {flat[image, position]} at position {position}"


def _shape(sizes: tuple[int, ...]) -> str:
    return "(" + ", ".join(["N", *map(str, sizes)]) + ")"
