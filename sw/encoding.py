"""What the host makes of pixels before a first layer that takes bits, or weights of several bits.

An encoding turns an image of integer pixels into the values of an :class:`~xnorgrid.model.Input` of bits or
of pixels, which is all that the array and its compiler ever see. Integers alone: every machine makes the
same values of an image. docs/model-file.md defines each encoding.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .checks import ModelError, assign, integers

__all__ = ["ENCODINGS", "Encoding", "Hadamard", "Thermometer", "WeightPlanes"]

_MAX_BITS = 1 << 10


@dataclass(frozen=True)
class Encoding:
    """How pixels u in 0 … M become values; M is the input's maximum."""

    kind: ClassVar[str]

    def check(self, shape: tuple[int, ...], maximum: int) -> None:
        """Raise :class:`ModelError` unless images of ``shape`` with pixels to ``maximum`` can be encoded."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what an image of ``shape`` becomes."""
        raise NotImplementedError

    def maximum(self, maximum: int) -> int:
        """Largest value for pixels up to ``maximum``: 1 where values are bits."""
        return 1

    def values(self, pixels: np.ndarray, maximum: int) -> np.ndarray:
        """Encode ``pixels`` (N, *shape): (N, size) values in C order, as unsigned as they need."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """The encoding's own fields, JSON-ready."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


@dataclass(frozen=True)
class Thermometer(Encoding):
    """Each pixel as ``levels`` bits, of which bit j is [u >= t_j], t_j = (2j + 1)(M + 1) // (2 levels).

    The bits of a pixel lie next to each other, where its one value was. FracBNN (Zhang et al., 2021) takes
    32 of them for each colour of 8 bits. There are at most (M + 1) / 2, so that no threshold is 0 and no two
    are equal.
    """

    kind = "thermometer"

    levels: int

    def __post_init__(self) -> None:
        (levels,) = integers("input: levels", (self.levels,))
        assign(self, levels=levels)

    def check(self, shape: tuple[int, ...], maximum: int) -> None:
        if not 1 <= self.levels <= (maximum + 1) // 2:
            raise ModelError(
                f"input: levels must be in 1 … {(maximum + 1) // 2} for pixels up to {maximum}, "
                f"not {self.levels}"
            )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _with_channels(shape, self.levels)

    def thresholds(self, maximum: int) -> np.ndarray:
        """The t_j, rising, (levels,) int64."""
        return (2 * np.arange(self.levels) + 1) * (maximum + 1) // (2 * self.levels)

    def values(self, pixels: np.ndarray, maximum: int) -> np.ndarray:
        bits = pixels[..., None] >= self.thresholds(maximum)
        return bits.reshape(len(pixels), math.prod(bits.shape[1:])).astype(np.uint8)


@dataclass(frozen=True)
class Hadamard(Encoding):
    """Generalised binarisation: the signs of each patch of the image, rotated at random.

    Anderson and Berg (2018) propose it for first layers; this rotation needs additions only: signs flipped
    at random, then a Walsh-Hadamard transform. A patch of x = 2u - M, row, column, channel, is filled with
    zeros up to d values, a power of two; bit i of draw k is 1 where Σ_j (-1)^popcount(i & j) f_kj x_j >= 0.
    The flips f, +1 for 1 and -1 for 0, are bits of SHAKE-256 of ``seed`` in 8 little-endian bytes: bit
    k·d + j, the least significant of a byte first. Each position of ``patch`` (height, width) over the image
    gives draws · d bits, draw by draw. ``padding`` rows and columns around the image hold zeros.
    """

    kind = "hadamard"

    draws: int
    seed: int
    patch: tuple[int, ...]
    padding: tuple[int, ...] = (0, 0)

    def __post_init__(self) -> None:
        draws, seed = integers("input: draws and seed", (self.draws, self.seed))
        patch = integers("input: patch", self.patch)
        padding = integers("input: padding", self.padding)
        assign(self, draws=draws, seed=seed, patch=patch, padding=padding)

    def check(self, shape: tuple[int, ...], maximum: int) -> None:
        if not 1 <= self.draws <= _MAX_BITS or not 0 <= self.seed < 1 << 64:
            raise ModelError(
                f"input: draws must be in 1 … {_MAX_BITS} and the seed in 0 … 2**64 - 1, "
                f"not {self.draws} and {self.seed}"
            )
        if len(shape) not in (2, 3):
            raise ModelError(
                f"input: patches are those of a map (height, width) or (height, width, channels), "
                f"not of shape {shape}"
            )
        if len(self.patch) != 2 or not all(
            1 <= size <= length for size, length in zip(self.patch, shape, strict=False)
        ):
            raise ModelError(
                f"input: patch must be (height, width), each from 1 to the image's {shape[:2]}, "
                f"not {self.patch}"
            )
        if len(self.padding) != 2 or not all(
            0 <= pad < size for pad, size in zip(self.padding, self.patch, strict=True)
        ):
            raise ModelError(
                f"input: padding must be (rows, columns), each from 0 to less than the patch's "
                f"{self.patch}, not {self.padding}"
            )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        height, width = (
            size + 2 * pad - length + 1
            for size, pad, length in zip(shape, self.padding, self.patch, strict=False)
        )
        return height, width, self.draws * self.size(shape)

    def size(self, shape: tuple[int, ...]) -> int:
        """d: values of a patch of an image of ``shape``, zeros included."""
        taken = math.prod(self.patch) * math.prod(shape[2:])
        return 1 << (taken - 1).bit_length()

    def additions(self, shape: tuple[int, ...]) -> int:
        """Additions that an image of ``shape`` costs the host: d log2(d) a position and draw."""
        height, width, bits = self.shape(shape)
        return height * width * bits * (self.size(shape).bit_length() - 1)

    def flips(self, shape: tuple[int, ...]) -> np.ndarray:
        """The f_kj, (draws, d) int32 of ±1."""
        count = self.draws * self.size(shape)
        stream = hashlib.shake_256(self.seed.to_bytes(8, "little")).digest(-(-count // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little")[:count]
        return (2 * bits.astype(np.int32) - 1).reshape(self.draws, -1)

    def values(self, pixels: np.ndarray, maximum: int) -> np.ndarray:
        (rows, columns), count = self.padding, len(pixels)
        channels = math.prod(pixels.shape[3:])
        maps = 2 * pixels.reshape(count, *pixels.shape[1:3], channels).astype(np.int32) - maximum
        maps = np.pad(maps, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(maps, self.patch, (1, 2))
        taken = math.prod(self.patch) * channels
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], taken)
        flips = self.flips(pixels.shape[1:])
        patches = np.pad(patches, ((0, 0), (0, 0), (0, 0), (0, flips.shape[1] - taken)))
        bits = [_walsh_hadamard(patches * flip) >= 0 for flip in flips]
        together = np.concatenate(bits, axis=3).astype(np.uint8)
        return together.reshape(count, math.prod(together.shape[1:]))


@dataclass(frozen=True)
class WeightPlanes(Encoding):
    """Each pixel ``bits`` times: u, 2u, 4u, …, what a first layer with weights of ``bits`` bits takes.

    Such a weight is Σ 2^i w_i with planes w_i of ±1. With W of them and pixels of P bits, pixels of P + W - 1
    bits carry all pairs of planes: w_i meets u shifted by i, and a sum of theirs differs from the
    weights' own by a constant of the channel, which goes into its threshold. Pixels have a maximum of a
    power of two less one, and at most 16 bits when shifted. The copies lie next to each other.
    """

    kind = "weight-planes"

    bits: int

    def __post_init__(self) -> None:
        (bits,) = integers("input: bits", (self.bits,))
        assign(self, bits=bits)

    def check(self, shape: tuple[int, ...], maximum: int) -> None:
        if maximum & (maximum + 1):
            raise ModelError(
                f"input: planes of weights go with a maximum of a power of two less one, not {maximum}"
            )
        most = 17 - maximum.bit_length()
        if not 2 <= self.bits <= most:
            raise ModelError(
                f"input: bits of weights must be in 2 … {most} for pixels up to {maximum}, not {self.bits}"
            )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _with_channels(shape, self.bits)

    def maximum(self, maximum: int) -> int:
        return (maximum + 1 << self.bits - 1) - 1

    def values(self, pixels: np.ndarray, maximum: int) -> np.ndarray:
        wide = pixels.astype(np.min_scalar_type(self.maximum(maximum)))
        copies = wide[..., None] << np.arange(self.bits, dtype=wide.dtype)
        return copies.reshape(len(copies), math.prod(copies.shape[1:]))


#: Every encoding by its kind.
ENCODINGS: dict[str, type[Encoding]] = {
    encoding.kind: encoding for encoding in (Thermometer, Hadamard, WeightPlanes)
}


def _with_channels(shape: tuple[int, ...], times: int) -> tuple[int, ...]:
    """``shape`` with so many values for each: in its channels, which a map (height, width) has one of."""
    if len(shape) == 2:
        return (*shape, times)
    return (*shape[:-1], shape[-1] * times)


def _walsh_hadamard(x: np.ndarray) -> np.ndarray:
    """Sums Σ_j (-1)^popcount(i & j) x_j over the last axis, whose length is a power of two."""
    lead, size = x.shape[:-1], x.shape[-1]
    half = 1
    while half < size:
        pairs = x.reshape(*lead, size // (2 * half), 2, half)
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        x = np.stack((low + high, low - high), axis=-2).reshape(*lead, size)
        half *= 2
    return x
