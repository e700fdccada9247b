"""Bit order, decided here and nowhere else: bits to memory words, words to bytes, and back.

Channel 0 is the least significant bit of word 0; a word of ``width`` bits takes ``ceil(width / 8)``
bytes, least significant byte first; unused bits are zero. Signed words are two's complement.
Feature maps are flattened row, column, channel (channel fastest) before they come here.
"""

from __future__ import annotations

import numpy as np

from xnorgrid.hw.protocol import data_bytes

__all__ = [
    "pack",
    "pack_signed",
    "signed_from_planes",
    "unpack",
    "unpack_signed",
    "word_bytes",
    "word_count",
]


def word_bytes(width: int) -> int:
    """Bytes that a word of ``width`` bits takes."""
    _require_width(width)
    return data_bytes(width)


def word_count(n: int, width: int) -> int:
    """Words of ``width`` bits that ``n`` bits take."""
    _require_width(width)
    return -(-n // width)


def pack(bits: np.ndarray, width: int) -> np.ndarray:
    """Pack ``bits`` (…, n), values 0/1 or bool, into words: (…, word_count, word_bytes) uint8.

    Bit i lands in word i // width at position i % width. Raises :class:`ValueError` for values other
    than 0 and 1, no axis, or a width below 1.
    """
    _require_width(width)
    bits = np.asarray(bits)
    if bits.ndim == 0:
        raise ValueError("bits to pack need at least one axis, not a single value")
    if bits.dtype != np.bool_:
        if bits.dtype.kind not in "iu":
            raise ValueError(f"bits to pack must be integers or bool, not {bits.dtype}")
        if bits.size and (bits.min() < 0 or bits.max() > 1):
            raise ValueError(f"bits to pack must be 0 or 1, not in {bits.min()} … {bits.max()}")
    *lead, n = bits.shape
    words = word_count(n, width)
    padded = np.zeros((*lead, words * width), np.uint8)
    padded[..., :n] = bits
    return np.packbits(padded.reshape(*lead, words, width), axis=-1, bitorder="little")


def unpack(words: np.ndarray, width: int, n: int) -> np.ndarray:
    """Return the first ``n`` bits of ``words`` (…, words, word_bytes) uint8 as (…, n) uint8.

    Raises :class:`ValueError` for another dtype or byte count, too few words, or a set bit at or above
    ``width``. Whole-word bits from ``n`` on are ignored.
    """
    words = _require_words(words, width)
    if words.ndim < 2:
        raise ValueError(f"words to unpack need axes (…, words, bytes), not {words.shape}")
    *lead, count, _ = words.shape
    if not 0 <= n <= count * width:
        raise ValueError(f"{count} words of {width} bits do not hold {n} bits")
    bits = np.unpackbits(words, axis=-1, bitorder="little")
    if bits[..., width:].any():
        raise ValueError(f"a word of {width} bits has a bit set at or above bit {width}")
    return np.ascontiguousarray(bits[..., :width].reshape(*lead, count * width)[..., :n])


def pack_signed(values: np.ndarray, width: int) -> np.ndarray:
    """Store integers ``values`` (…) as two's complement words of 1 … 64 bits: (…, word_bytes) uint8.

    Raises :class:`ValueError` for values that do not fit.
    """
    _require_signed_width(width)
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise ValueError(f"signed words take integers, not {values.dtype}")
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(
            f"a signed word of {width} bits holds {low} … {high}, "
            f"not {values.min()} … {values.max()}"
        )
    mask = np.uint64((1 << width) - 1)
    raw = (values.astype(np.int64).view(np.uint64) & mask).astype("<u8")
    stored = raw.reshape(*values.shape, 1).view(np.uint8)
    return np.ascontiguousarray(stored[..., : word_bytes(width)])


def unpack_signed(words: np.ndarray, width: int) -> np.ndarray:
    """Return the two's complement ``words`` (…, word_bytes) uint8 of 1 … 64 bits as (…) int64.

    Raises :class:`ValueError` for another dtype or byte count, or a set bit at or above ``width``.
    """
    _require_signed_width(width)
    words = _require_words(words, width)
    padded = np.zeros((*words.shape[:-1], 8), np.uint8)
    padded[..., : words.shape[-1]] = words
    raw = padded.view("<u8")[..., 0].astype(np.uint64)
    if width < 64 and (raw >> np.uint64(width)).any():
        raise ValueError(f"a word of {width} bits has a bit set at or above bit {width}")
    # Left-align, then shift back arithmetically: this copies the sign bit upwards.
    shift = 64 - width
    return (raw << np.uint64(shift)).view(np.int64) >> np.int64(shift)


def signed_from_planes(planes: np.ndarray) -> np.ndarray:
    """Return the two's complement numbers whose bits are ``planes`` (width, …), most significant first.

    This is the order in which sums leave the array. Result (…) int64; width is 1 … 64.
    """
    planes = np.asarray(planes)
    if planes.ndim == 0:
        raise ValueError("planes need at least one axis, not a single value")
    _require_signed_width(len(planes))
    if planes.size and (planes.min() < 0 or planes.max() > 1):
        raise ValueError(f"planes must hold 0 or 1, not {planes.min()} … {planes.max()}")
    value = -planes[0].astype(np.int64)
    for plane in planes[1:]:
        value = 2 * value + plane.astype(np.int64)
    return value


def _require_width(width: int) -> None:
    if width < 1:
        raise ValueError(f"a word needs at least 1 bit, not {width}")


def _require_signed_width(width: int) -> None:
    if not 1 <= width <= 64:
        raise ValueError(f"a signed word has 1 … 64 bits, not {width}")


def _require_words(words: np.ndarray, width: int) -> np.ndarray:
    words = np.asarray(words)
    expected = word_bytes(width)
    if words.dtype != np.uint8 or words.ndim == 0 or words.shape[-1] != expected:
        raise ValueError(
            f"words of {width} bits are uint8 with a last axis of {expected} bytes, "
            f"not {words.dtype} {words.shape}"
        )
    return np.ascontiguousarray(words)
