"""Models from plain numpy arrays: networks that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .arrays import class_affine, flags, weight_bits, whole_numbers
from .checks import integers, shown
from .model import Conv, Dense, Input, Layer, Model, ModelError

__all__ = ["from_arrays"]

_OPTIONS = ("stride", "padding", "fill", "pool", "pool_of")


def from_arrays(
    weights: Sequence[ArrayLike],
    thresholds: Sequence[ArrayLike],
    *,
    inverted: Sequence[ArrayLike | None] | None = None,
    compare: Literal["agreeing", "sum"] = "agreeing",
    convolutions: Mapping[int | str, Mapping[str, Any]] | None = None,
    affine: ArrayLike | None = None,
    input: Input | None = None,
    name: str = "network",
    layer_names: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    provenance: dict[str, Any] | None = None,
) -> Model:
    """Return the model of a network given as arrays, layer by layer from the input.

    ``weights`` holds an array a layer, of +1 and -1 or of bits (1 is +1, 0 is -1; bool too): (out, in) for a
    dense layer, (out, height, width, in) for a convolution. The last layer is dense and gives the scores: the
    sums s of its channels. Every layer before it has an entry in ``thresholds``, (out,) whole numbers t (or
    one number for all channels), that are compared

    * with ``compare="agreeing"``, to the number p of inputs that agree with their weight, 0 … n;
    * with ``compare="sum"``, to the sum of weights times inputs, s = 2p - n.

    A channel's output is +1 if p (or s) >= t; where ``inverted`` (one (out,) bool array a hidden layer, or
    ``None`` for none) is true it is +1 if p (or s) <= t. sign(s) with sign(0) = +1 is ``compare="sum"``,
    ``t = 0``. Thresholds out of reach are allowed: such a channel is constant.

    ``input`` defaults to ``Input((in,))``: bits, 0/1 or ±1; a convolution needs to be told its map. Of kind
    ``"pixels"``, with the maximum M, the first layer's inputs are x = 2u - M, s is the sum of weights times
    x, and p = (s + nM) / 2 lies in 0 … nM. A network trained on x / M has M times smaller thresholds.

    ``convolutions`` has options of convolutions by the layer's index or name, for example
    ``{0: {"padding": 1, "fill": 0, "pool": 2}}``:

    * ``stride``: 1;
    * ``padding``: rows and columns on each side, one number or two; 0. With it goes
    * ``fill``: what it holds, -1, +1 or 0 (PyTorch's own padding is 0), for pixels times M. A 0 adds half to
      p, so with fill 0 ``compare="agreeing"`` takes halves, too;
    * ``pool``: the largest of ``pool`` x ``pool`` positions is taken, 1;
    * ``pool_of``: ``"sums"``, before the comparison, or ``"outputs"``, after it. The two differ for inverted
      channels.

    A dense layer takes a feature map flattened row, column, channel. So arrays in PyTorch's order, (out,
    in, height, width), come in as ``w.transpose(0, 2, 3, 1)``, and a dense layer's behind a map of (channels,
    height, width) as ``w.reshape(out, channels, height, width).transpose(0, 2, 3, 1).reshape(out, -1)``.

    ``affine`` (2, classes), rounded to float32, is a gain and an offset for each class: the class is the one
    whose gain · s + offset is largest. ``layer_names`` default to "layer0", "layer1", … Raises
    :class:`ModelError` that names the layer, what it got and what it expected.
    """
    if compare not in ("agreeing", "sum"):
        raise ModelError(f"compare must be 'agreeing' or 'sum', not {compare!r}")
    weights, thresholds = list(weights), list(thresholds)
    if not weights:
        raise ModelError("weights must hold at least one array: the last layer gives the scores")
    hidden = len(weights) - 1
    if len(thresholds) != hidden:
        raise ModelError(
            f"{len(weights)} weight arrays need thresholds for the {hidden} layers before the last, "
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
    bits = [
        weight_bits(f"layer {layer_name!r}", given)
        for layer_name, given in zip(layer_names, weights, strict=True)
    ]
    if bits[-1].ndim != 2:
        raise ModelError(
            f"layer {layer_names[-1]!r}: the last layer gives the scores and must be dense, (out, in), "
            f"not a convolution of shape {bits[-1].shape}"
        )
    if input is None:
        if bits[0].ndim != 2:
            raise ModelError(
                f"layer {layer_names[0]!r}: a convolution needs to know the shape of its map: pass "
                f"input=Input((height, width, {bits[0].shape[3]}))"
            )
        input = Input((bits[0].shape[1],))
    options = _options_by_layer(convolutions, list(layer_names), bits)
    layers = [
        _hidden_layer(
            layer_names[index],
            bits[index],
            thresholds[index],
            inverted[index],
            options[index],
            compare,
            1 if index else input.amplitude,
        )
        for index in range(hidden)
    ]
    return Model(
        name=name,
        input=input,
        layers=(*layers, Dense(layer_names[-1], bits[-1])),
        labels=tuple(labels),
        provenance={} if provenance is None else provenance,
        affine=None if affine is None else class_affine(affine),
    )


def _hidden_layer(
    name: str,
    bits: np.ndarray,
    thresholds: ArrayLike,
    inverted: ArrayLike | None,
    options: dict[str, Any] | None,
    compare: str,
    amplitude: int,
) -> Layer:
    where, out = f"layer {name!r}", len(bits)
    halves = options is not None and options["fill"] == 0
    largest = bits[0].size * amplitude
    flip = flags(where, inverted, out)
    limits = whole_numbers(where, thresholds, out, halves and compare == "agreeing")
    if options is not None and options.pop("pool_of") == "outputs":
        # An output of p <= t is the opposite weights' of n - p >= n - t, which is not inverted.
        bits = np.where(flip[:, None, None, None], 1 - bits, bits)
        total = 0 if compare == "sum" else largest * (1 + halves)
        limits, flip = np.where(flip, total - limits, limits), np.zeros_like(flip)
    limits = _stored_limits(limits, flip, largest, compare, halves)
    if options is None:
        return Dense(name, bits, limits, flip)
    return Conv(name, bits, limits, flip, **options)


def _stored_limits(
    limits: np.ndarray, flip: np.ndarray, largest: int, compare: str, halves: bool
) -> np.ndarray:
    """Return T with ``(q >= T) ^ flip`` for every count q, clipped to what counts reach.

    q is p in 0 … ``largest``, or 2p with ``halves``; so are ``limits`` for "agreeing". For "sum" they
    are compared with 2p - ``largest``.
    """
    top = largest * (1 + halves)
    # Beyond these nothing changes, and the sums below cannot overflow.
    limits = np.clip(limits, -top - 2, 2 * top + 2)
    if compare == "sum":
        limits = limits + largest
        if not halves:
            # 2p >= t + n is p >= ceil((t + n) / 2), and 2p <= t + n is p <= floor((t + n) / 2).
            limits = np.where(flip, limits // 2, -(-limits // 2))
    # q <= T' is not (q >= T' + 1).
    return np.clip(limits + flip, 0, top + 1)


def _options_by_layer(
    given: object, names: list[str], bits: list[np.ndarray]
) -> list[dict[str, Any] | None]:
    """Return the checked options of each convolution and ``None`` for dense layers."""
    if given is not None and not isinstance(given, Mapping):
        raise ModelError(
            f"convolutions must map a layer's index or name to its options, not {shown(given)}"
        )
    chosen: dict[int, object] = {}
    for key, options in (given or {}).items():
        if not (key in names if isinstance(key, str) else key in range(len(names))):
            raise ModelError(f"convolutions: there is no layer {shown(key)}")
        index = names.index(key) if isinstance(key, str) else int(key)
        if index in chosen:
            raise ModelError(f"convolutions: layer {names[index]!r} is there twice")
        if bits[index].ndim != 4:
            raise ModelError(
                f"convolutions: layer {names[index]!r} is dense: its weights are (out, in), and those of a "
                f"convolution (out, height, width, in)"
            )
        chosen[index] = options
    return [
        _options(f"layer {name!r}", chosen.get(index, {})) if array.ndim == 4 else None
        for index, (name, array) in enumerate(zip(names, bits, strict=True))
    ]


def _options(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ModelError(f"{where}: the options of a convolution are a dict, not {shown(given)}")
    options = dict(given)
    for key in options:
        if key not in _OPTIONS:
            raise ModelError(
                f"{where}: a convolution has no option {shown(key)}; there are {', '.join(_OPTIONS)}"
            )
    if options.get("pool_of", "sums") not in ("sums", "outputs"):
        raise ModelError(
            f"{where}: pool_of must be 'sums' or 'outputs', not {shown(options['pool_of'])}"
        )
    padding = options.get("padding", 0)
    if not isinstance(padding, (tuple, list)):
        padding = (padding, padding)
    padding = integers(f"{where}: padding", padding)
    numbers = (options.get("stride", 1), options.get("fill", -1), options.get("pool", 1))
    stride, fill, pool = integers(f"{where}: stride, fill and pool", numbers)
    if any(padding) and "fill" not in options:
        raise ModelError(
            f"{where}: padding needs a fill, -1, 0 or +1: what the padding holds (in PyTorch, 0)"
        )
    if not any(padding) and fill in (0, 1):
        fill = -1
    return {
        "stride": stride,
        "padding": padding,
        "fill": fill,
        "pool": pool,
        "pool_of": options.get("pool_of", "sums"),
    }
