"""The integer reference: what the network computes, with numpy alone.

It judges the gateware and the host, so it is written from the definition of the numbers and shares
nothing with either. Inputs are +1 and -1, or 2u - maximum for pixels u, encoded if the input says so. Padding
is what the layer fills it with; s is their sum, each times its weight of ±1, and n what s is if all agree.
Then 2p = s + n, a hidden bit is [p >= T], inverted where the channel is, and a score is s.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from xnorgrid.model import Conv, Input, Layer, Model

__all__ = ["LayerResult", "inputs", "layers", "operations", "outputs", "scores"]

#: Inputs of a product that are held at a time.
_BLOCK = 1 << 21
#: Sums of one layer that are held at a time when only the last layer's are wanted.
_HELD = 1 << 23


@dataclass(frozen=True, eq=False)
class LayerResult:
    """One layer on N images: (N, out), of a convolution (N, height, width, out).

    ``agreeing`` int32 is p before pooling, or 2p where the padding is zeros. ``bits`` uint8 are a hidden
    layer's outputs, pooling and inversion included, ``scores`` int32 the last layer's sums; the other one is
    ``None``.
    """

    name: str
    agreeing: np.ndarray
    bits: np.ndarray | None
    scores: np.ndarray | None

    @property
    def values(self) -> np.ndarray:
        """``bits`` or ``scores``, whichever the layer has."""
        values = self.scores if self.bits is None else self.bits
        assert values is not None
        return values


def inputs(model: Model, images: np.ndarray) -> np.ndarray:
    """Return what the first layer takes of ``images`` (N, …): (N, *model.input_shape(0)) integers.

    They are ±1, or 2u - maximum for pixels u, which weight planes shift before. Raises :class:`ValueError`
    for images that the model's input does not take.
    """
    pixels, source = np.asarray(images), model.input
    if pixels.size != len(pixels) * source.size:
        raise ValueError(f"each image must have {source.size} values, not {pixels.shape[1:]}")
    taken = (len(pixels), *model.input_shape(0))
    values = set(np.unique(pixels).tolist())
    if source.kind == "bits":
        if not (values <= {0, 1} or values <= {-1, 1}):
            raise ValueError("image bits must be all 0/1 or all -1/+1")
        return np.where(pixels > 0, 1, -1).reshape(taken)
    if pixels.dtype.kind not in "iu" or any(not 0 <= v <= source.maximum for v in values):
        raise ValueError(f"pixels must be integers in 0 … {source.maximum}")
    return _encoded(source, pixels.astype(np.int64)).reshape(taken)


def _encoded(source: Input, pixels: np.ndarray) -> np.ndarray:
    """Integers that ``pixels`` (N, …) int64 stand for, in the order in which the first layer takes them."""
    how: Any = source.encoding
    top = source.maximum
    if source.kind == "threshold":
        return np.where(pixels < source.threshold, -1, 1)
    if source.kind == "thermometer":
        step = 2 * how.levels
        return np.stack(
            [
                np.where(pixels < (2 * j + 1) * (top + 1) // step, -1, 1).astype(np.int8)
                for j in range(how.levels)
            ],
            axis=-1,
        )
    if source.kind == "weight-planes":
        largest = 2 ** (how.bits - 1) * (top + 1) - 1
        return np.stack([2 * (pixels * 2**i) - largest for i in range(how.bits)], axis=-1)
    if source.kind == "hadamard":
        return _rotated_signs(source, 2 * pixels - top)
    return 2 * pixels - top


def _rotated_signs(source: Input, x: np.ndarray) -> np.ndarray:
    """Signs of the flipped and Walsh-Hadamard transformed patches of ``x``, (N, height, width, bits).

    From the definition: a sum over all values for each bit.
    """
    how: Any = source.encoding
    height, width, channels = source.map_shape
    (rows, columns), (tall, wide) = how.padding, how.patch
    padded = np.zeros((len(x), height + 2 * rows, width + 2 * columns, channels))
    padded[:, rows : rows + height, columns : columns + width] = x.reshape(
        len(x), height, width, channels
    )
    down, along = padded.shape[1] - tall + 1, padded.shape[2] - wide + 1
    patches = np.stack(
        [
            padded[:, r : r + down, c : c + along, channel]
            for r, c, channel in itertools.product(range(tall), range(wide), range(channels))
        ],
        axis=-1,
    )
    size = 1
    while size < patches.shape[-1]:
        size *= 2
    stream = hashlib.shake_256(how.seed.to_bytes(8, "little")).digest(how.draws * size // 8 + 1)
    whole = int.from_bytes(stream, "little")
    rotation = np.array(
        [
            [
                (-1) ** (i & j).bit_count() * (2 * (whole >> (k * size + j) & 1) - 1)
                for j in range(patches.shape[-1])
            ]
            for k in range(how.draws)
            for i in range(size)
        ],
        float,
    )
    return np.where(patches @ rotation.T < 0, -1, 1)


def layers(model: Model, images: np.ndarray) -> list[LayerResult]:
    """Return every layer's result, first to last: up to 5 bytes for each sum of each image."""
    return list(_run(model, np.asarray(images)))


def scores(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the last layer's sums, (N, classes) int32. Holds a few hundred MB for any N."""
    images = np.asarray(images)
    step = max(1, _HELD // max(_sums_of(model)))
    parts = []
    for start in range(0, max(1, len(images)), step):
        for result in _run(model, images[start : start + step]):
            last = result
        parts.append(last.values)
    return np.concatenate(parts)


def outputs(model: Model, images: np.ndarray) -> np.ndarray:
    """Return what the class is chosen by, (N, classes): the scores, or float64 with an affine.

    Gain times score plus offset, in rational numbers, rounded once.
    """
    sums = scores(model, images)
    if model.affine is None:
        return sums
    gain, offset = ([Fraction(float(value)) for value in row] for row in model.affine)
    exact = [
        [float(g * s + o) for g, s, o in zip(gain, row, offset, strict=True)]
        for row in sums.tolist()
    ]
    return np.array(exact, np.float64).reshape(sums.shape)


def operations(model: Model, count: int) -> int:
    """Return the useful lane-operations of ``count`` images: XNORs of one weight and one input bit.

    Positions that no pooling window takes are none, padding is, and a pixel has several bits.
    """
    total, bits = 0, int(model.input.amplitude).bit_length()
    for layer, sums in zip(model.layers, _sums_of(model), strict=True):
        total += sums * layer.weights[0].size * bits
        bits = 1
    return count * total


def _sums_of(model: Model) -> list[int]:
    """Sums that each layer needs for one image."""
    result = []
    for index, layer in enumerate(model.layers):
        positions = 1
        if isinstance(layer, Conv):
            for size, kernel, padding in zip(
                model.input_shape(index), layer.weights.shape[1:3], layer.padding, strict=False
            ):
                starts = len(range(0, size + 2 * padding - kernel + 1, layer.stride))
                positions *= starts - starts % layer.pool
        result.append(positions * len(layer.weights))
    return result


def _run(model: Model, images: np.ndarray) -> Iterator[LayerResult]:
    x, amplitude = inputs(model, images), model.input.amplitude
    for layer in model.layers:
        sums = _sums(x, layer, amplitude)
        doubled = sums + layer.weights[0].size * amplitude
        agreeing = doubled if isinstance(layer, Conv) and layer.fill == 0 else doubled // 2
        if layer.thresholds is None:
            yield LayerResult(layer.name, agreeing, None, sums)
            return
        above = agreeing >= layer.thresholds
        if isinstance(layer, Conv):
            above = _any(above, layer.pool)
        assert layer.inverted is not None
        bits = np.where(layer.inverted, ~above, above).astype(np.uint8)
        yield LayerResult(layer.name, agreeing, bits, None)
        x, amplitude = 2 * bits.astype(np.int8) - 1, 1


def _any(bits: np.ndarray, size: int) -> np.ndarray:
    """OR of each ``size`` x ``size`` window of ``bits`` (N, height, width, channels)."""
    height, width = (length - length % size for length in bits.shape[1:3])
    found = np.zeros_like(bits[:, :height:size, :width:size])
    for row in range(size):
        for column in range(size):
            found |= bits[:, row:height:size, column:width:size]
    return found


def _sums(x: np.ndarray, layer: Layer, amplitude: int) -> np.ndarray:
    """Return s (N, out) or (N, height, width, out) for inputs ``x``."""
    fan_in = layer.weights[0].size
    taken = _windows(x, layer, amplitude) if isinstance(layer, Conv) else x.reshape(len(x), fan_in)
    positions = taken.shape[1:3] if isinstance(layer, Conv) else ()
    # Floating point is exact, in any order of summation, while no sum needs more bits than a mantissa has.
    exact: type[np.floating] = np.float32 if fan_in * amplitude < 1 << 24 else np.float64
    weights: np.ndarray = (2 * layer.weights.reshape(-1, fan_in).astype(exact) - 1).T
    sums = np.empty((len(x), *positions, len(layer.weights)), np.int32)
    step = max(1, _BLOCK // (fan_in * math.prod(positions)))
    for start in range(0, len(x), step):
        block = taken[start : start + step].reshape(-1, fan_in).astype(exact)
        sums[start : start + step] = (block @ weights).reshape(-1, *sums.shape[1:])
    return sums


def _windows(x: np.ndarray, layer: Conv, amplitude: int) -> np.ndarray:
    """What each position of ``layer`` sees of ``x``: (N, height, width, kernel height and width, in)."""
    rows, columns = layer.padding
    border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    padded = np.pad(x, border, constant_values=layer.fill * amplitude)
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weights.shape[1:3], (1, 2))
    return windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
