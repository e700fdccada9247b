"""Models from plain numpy arrays: networks that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .model import Dense, Input, Model, ModelError

__all__ = ["from_arrays"]


def from_arrays(
    weights: Sequence[ArrayLike],
    thresholds: Sequence[ArrayLike],
    *,
    inverted: Sequence[ArrayLike | None] | None = None,
    compare: Literal["agreeing", "sum"] = "agreeing",
    input: Input | None = None,
    name: str = "network",
    layer_names: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    provenance: dict[str, Any] | None = None,
) -> Model:
    """Return the model of a dense network given as arrays, layer by layer from the input.

    ``weights`` holds one (out, in) matrix a layer, of +1 and -1 or of bits (1 is +1, 0 is -1; bool too).
    The last layer gives the scores: the ±1 sums s of its channels. Every layer before it has an entry in
    ``thresholds``, (out,) whole numbers t (or one number for all channels), that are compared

    * with ``compare="agreeing"``, to the number p of inputs that agree with their weight, 0 … in;
    * with ``compare="sum"``, to the ±1 sum s = 2p - in.

    A channel's output is +1 if p (or s) >= t; where ``inverted`` (one (out,) bool array a hidden layer, or
    ``None`` for none) is true it is +1 if p (or s) <= t. sign(s) with sign(0) = +1 is ``compare="sum"``,
    ``t = 0``. Thresholds out of reach are allowed: such a channel is constant.

    ``input`` defaults to ``Input((in,))``: bits, 0/1 or ±1. ``layer_names`` default to "layer0",
    "layer1", … Raises :class:`ModelError` that names the layer, what it got and what it expected.
    """
    if compare not in ("agreeing", "sum"):
        raise ModelError(f"compare must be 'agreeing' or 'sum', not {compare!r}")
    weights, thresholds = list(weights), list(thresholds)
    if not weights:
        raise ModelError("weights must hold at least one matrix: the last layer gives the scores")
    hidden = len(weights) - 1
    if len(thresholds) != hidden:
        raise ModelError(
            f"{len(weights)} weight matrices need thresholds for the {hidden} layers before the last, "
            f"not {len(thresholds)}"
        )
    if inverted is None:
        inverted = [None] * hidden
    elif len(inverted) != hidden:
        raise ModelError(
            f"inverted must have an entry for each of the {hidden} layers before the last, "
            f"not {len(inverted)}"
        )
    if layer_names is None:
        layer_names = [f"layer{index}" for index in range(len(weights))]
    elif len(layer_names) != len(weights):
        raise ModelError(f"{len(weights)} layers need as many names, not {len(layer_names)}")
    layers = []
    for index, layer_name in enumerate(layer_names):
        where = f"layer {layer_name!r}"
        bits = _weight_bits(where, weights[index])
        if index == hidden:
            layers.append(Dense(layer_name, bits))
            continue
        out, fan_in = bits.shape
        flip = _flags(where, inverted[index], out)
        limits = _whole_numbers(where, thresholds[index], out)
        layers.append(
            Dense(layer_name, bits, _agreeing_limits(limits, flip, fan_in, compare), flip)
        )
    return Model(
        name=name,
        input=Input((layers[0].fan_in,)) if input is None else input,
        layers=tuple(layers),
        labels=tuple(labels),
        provenance={} if provenance is None else provenance,
    )


def _agreeing_limits(limits: np.ndarray, flip: np.ndarray, fan_in: int, compare: str) -> np.ndarray:
    """Return T with ``(p >= T) ^ flip`` for every p, clipped to 0 … fan_in + 1, as int32."""
    # Beyond these nothing changes, and the sums below cannot overflow.
    limits = np.clip(limits, -fan_in - 2, 2 * fan_in + 2)
    if compare == "sum":
        # s >= t is p >= ceil((t + n) / 2), and s <= t is p <= floor((t + n) / 2).
        limits = np.where(flip, (limits + fan_in) // 2, -((-limits - fan_in) // 2))
    # p <= T' is not (p >= T' + 1).
    return np.clip(limits + flip, 0, fan_in + 1).astype(np.int32)


def _weight_bits(where: str, given: ArrayLike) -> np.ndarray:
    """Return ±1 or 0/1 ``given`` (out, in) as uint8 bits."""
    matrix = _array(where, "weights", given)
    if matrix.ndim != 2:
        raise ModelError(
            f"{where}: weights must be a matrix (out, in), not of shape {matrix.shape}"
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


def _whole_numbers(where: str, given: ArrayLike, out: int) -> np.ndarray:
    """Return thresholds ``given`` (out,) or scalar as int64 (out,)."""
    array = _array(where, "thresholds", given)
    if array.dtype.kind not in "iuf" or array.shape not in ((), (out,)):
        raise ModelError(
            f"{where}: thresholds must be whole numbers of shape ({out},), "
            f"not {array.dtype} {array.shape}"
        )
    with np.errstate(invalid="ignore"):
        stray = array[~(np.abs(array.astype(np.float64)) < 2**53) | (array % 1 != 0)]
    if stray.size:
        raise ModelError(
            f"{where}: thresholds must be whole numbers, but one is {stray.flat[0]}; round up for "
            ">=, and down for inverted channels, before you pass them"
        )
    return np.broadcast_to(array.astype(np.int64), (out,))


def _flags(where: str, given: ArrayLike | None, out: int) -> np.ndarray:
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
