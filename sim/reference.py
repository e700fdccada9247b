"""The integer reference: what the network computes, with numpy alone.

It judges the gateware and the host, so it is written from the definition of the numbers and shares
nothing with either: with p the agreeing lanes of a channel's n weights and inputs, a hidden bit is
[p >= T], inverted where the channel is, and a score is s = 2p - n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xnorgrid.model import Dense, Model

__all__ = ["LayerResult", "input_bits", "layers", "operations", "scores"]

#: Comparisons of one word of images with one word of weights that are held at a time: fits a cache.
_BLOCK = 1 << 17


@dataclass(frozen=True, eq=False)
class LayerResult:
    """One layer on N images: ``agreeing`` (N, out) int32 is p; of the others one is ``None``.

    ``bits`` (N, out) uint8 are a hidden layer's outputs, inversion included; ``scores`` (N, out) int32
    the last layer's sums.
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


def input_bits(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the first layer's input (N, fan_in) uint8 of ``images`` (N, …).

    Raises :class:`ValueError` for images that the model's input does not take.
    """
    pixels = np.asarray(images)
    if pixels.size != len(pixels) * model.input.size:
        raise ValueError(f"each image must have {model.input.size} values, not {pixels.shape[1:]}")
    pixels = pixels.reshape(len(pixels), model.input.size)
    values = set(np.unique(pixels).tolist())
    if model.input.kind == "bits":
        if not (values <= {0, 1} or values <= {-1, 1}):
            raise ValueError("image bits must be all 0/1 or all -1/+1")
        return np.where(pixels > 0, 1, 0).astype(np.uint8)
    if pixels.dtype.kind not in "iu" or any(not 0 <= v <= model.input.maximum for v in values):
        raise ValueError(f"pixels must be integers in 0 … {model.input.maximum}")
    return 1 - (pixels < model.input.threshold).astype(np.uint8)


def layers(model: Model, images: np.ndarray) -> list[LayerResult]:
    """Return every layer's result, first to last. Takes 5 bytes an image and channel."""
    return list(_run(model, input_bits(model, images)))


def scores(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the last layer's sums, (N, classes) int32. One layer's results are held at a time."""
    last = None
    for result in _run(model, input_bits(model, images)):
        last = result
    assert last is not None
    return last.values


def operations(model: Model, count: int) -> int:
    """Return the useful lane-operations (one XNOR of one weight and one input bit) of ``count`` images."""
    return count * sum(
        out * fan_in for out, fan_in in (layer.weights.shape for layer in model.layers)
    )


def _run(model: Model, bits: np.ndarray) -> Iterator[LayerResult]:
    for layer in model.layers:
        agreeing = _agreeing(bits, layer)
        if layer.thresholds is None:
            yield LayerResult(layer.name, agreeing, None, 2 * agreeing - layer.weights.shape[1])
            return
        assert layer.inverted is not None
        above = agreeing >= layer.thresholds
        bits = np.where(layer.inverted, ~above, above).astype(np.uint8)
        yield LayerResult(layer.name, agreeing, bits, None)


def _agreeing(bits: np.ndarray, layer: Dense) -> np.ndarray:
    """Return p (N, out) int32 for ``bits`` (N, in)."""
    out, fan_in = layer.weights.shape
    weight_words = _words(layer.weights).T.copy()
    image_words = _words(bits)
    agreeing = np.empty((len(bits), out), np.int32)
    step = max(1, _BLOCK // out)
    for start in range(0, len(bits), step):
        block = image_words[start : start + step]
        different = np.zeros((len(block), out), np.int32)
        for index, weights in enumerate(weight_words):
            different += np.bitwise_count(block[:, index, None] ^ weights)
        agreeing[start : start + step] = fan_in - different
    return agreeing


def _words(bits: np.ndarray) -> np.ndarray:
    """Return ``bits`` (rows, n) in 64-bit words (rows, ceil(n / 64)); their order within is immaterial.

    Unused bits are 0 on both sides of the comparison, so they never differ.
    """
    rows, n = bits.shape
    padded = np.zeros((rows, -(-n // 64) * 64), np.uint8)
    padded[:, :n] = bits
    return np.packbits(padded, axis=1).view(np.uint64)
