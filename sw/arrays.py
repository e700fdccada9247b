"""What users pass as arrays of a layer, checked, as models store it. :class:`ModelError` names the layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .checks import ModelError

__all__ = ["class_affine", "flags", "weight_bits", "whole_numbers"]


def weight_bits(where: str, given: ArrayLike) -> np.ndarray:
    """Return ±1 or 0/1 ``given`` (out, in) or (out, height, width, in) as uint8 bits."""
    matrix = _array(where, "weights", given)
    if matrix.ndim not in (2, 4):
        raise ModelError(
            f"{where}: weights must be (out, in), or (out, height, width, in) for a convolution, "
            f"not of shape {matrix.shape}"
        )
    if matrix.dtype.kind not in "biuf":
        raise ModelError(f"{where}: weights must be numbers or bool, not {matrix.dtype}")
    positive = matrix == 1
    zero, negative = matrix == 0, matrix == -1
    if not (positive | zero | negative).all():
        stray = matrix[~(positive | zero | negative)][0]
        raise ModelError(
            f"{where}: weights must be all ±1 or all 0/1, but one is {stray}; binarise them first"
        )
    if zero.any() and negative.any():
        raise ModelError(f"{where}: weights must be all ±1 or all 0/1, but hold both 0 and -1")
    return positive.astype(np.uint8)


def whole_numbers(where: str, given: ArrayLike, out: int, halves: bool) -> np.ndarray:
    """Return thresholds ``given`` (out,) or scalar as int64 (out,), with ``halves`` twice as large."""
    array = _array(where, "thresholds", given)
    if array.dtype.kind not in "iuf" or array.shape not in ((), (out,)):
        raise ModelError(
            f"{where}: thresholds must be whole numbers of shape ({out},), "
            f"not {array.dtype} {array.shape}"
        )
    exact = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        scaled = exact * (1 + halves)
        stray = array[~(np.abs(exact) < 2**53) | (scaled % 1 != 0)]
    if stray.size:
        kind = "whole numbers or halves" if halves else "whole numbers"
        raise ModelError(
            f"{where}: thresholds must be {kind}, but one is {stray.flat[0]}; round up for "
            ">=, and down for inverted channels, before you pass them"
        )
    return np.broadcast_to(scaled.astype(np.int64), (out,))


def flags(where: str, given: ArrayLike | None, out: int) -> np.ndarray:
    """Return inversion flags ``given`` (out,) or scalar, bool or 0/1, as bool (out,)."""
    array = _array(where, "inverted", False if given is None else given)
    if (
        array.dtype.kind not in "biu"
        or array.shape not in ((), (out,))
        or not np.isin(array, (0, 1)).all()
    ):
        raise ModelError(
            f"{where}: inverted must be bool ({out},), not {array.dtype} {array.shape}"
        )
    return np.broadcast_to(array.astype(np.bool_), (out,))


def _array(where: str, what: str, given: ArrayLike) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{where}: {what} is no array: {error}") from None


def class_affine(given: ArrayLike) -> np.ndarray:
    """Return gains and offsets ``given`` as float32; the model checks their shape."""
    array = _array("model", "affine", given)
    if array.dtype.kind not in "iuf":
        raise ModelError(f"model: affine must be numbers, not {array.dtype}")
    return array.astype(np.float32)
