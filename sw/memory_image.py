"""What lies in a board's memories, as requests that write, check and read it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import MAX_DATA_BYTES, Op, Region

from .compile import Segment
from .link import Call
from .packing import word_bytes as bytes_of_word

__all__ = ["MemoryImage", "program_image", "read_calls", "weight_images", "zero_words"]

#: Cycles of a checksum per byte, on the slower lines, and per word besides.
_CHECKSUM_CYCLES_PER_BYTE = 4
_CHECKSUM_CYCLES = 8
_CHECKSUM_BYTES = 4
_MAX_CHECKSUM_WORDS = 1 << 8


@dataclass(frozen=True)
class MemoryImage:
    """Words (n, word_bytes) uint8, or anything of more axes that flattens to them, from ``address`` on."""

    region: Region
    bank: int
    address: int
    words: np.ndarray

    def writes(self) -> Iterator[Call]:
        """The requests that write it."""
        word_bytes = self.words.shape[-1]
        data = np.ascontiguousarray(self.words).tobytes()
        per_frame = MAX_DATA_BYTES // word_bytes
        for start in range(0, len(data) // word_bytes, per_frame):
            part = data[start * word_bytes : (start + per_frame) * word_bytes]
            words = len(part) // word_bytes
            yield Call(
                Op.WRITE, self.region, self.bank, self.address + start, length=words - 1, data=part
            )

    def checks(self) -> Iterator[tuple[Call, int]]:
        """The requests that check it, and the CRC-32 that each has to answer."""
        word_bytes = self.words.shape[-1]
        data = np.ascontiguousarray(self.words).tobytes()
        total = len(data) // word_bytes
        for start in range(0, total, _MAX_CHECKSUM_WORDS):
            count = min(_MAX_CHECKSUM_WORDS, total - start)
            call = Call(
                Op.CHECKSUM,
                self.region,
                self.bank,
                self.address + start,
                length=count - 1,
                reply_bytes=_CHECKSUM_BYTES,
                cycles=count * (word_bytes * _CHECKSUM_CYCLES_PER_BYTE + _CHECKSUM_CYCLES),
            )
            yield call, zlib.crc32(data[start * word_bytes : (start + count) * word_bytes])


def read_calls(
    region: Region, bank: int, address: int, count: int, word_bytes: int
) -> Iterator[Call]:
    """Requests that read ``count`` words."""
    per_frame = MAX_DATA_BYTES // word_bytes
    for start in range(0, count, per_frame):
        words = min(per_frame, count - start)
        size = words * word_bytes
        yield Call(Op.READ, region, bank, address + start, length=words - 1, reply_bytes=size)


def zero_words(config: ArrayConfig) -> list[MemoryImage]:
    """Word 0 of each weight and activation memory, which is zero."""
    zero = np.zeros((1, bytes_of_word(config.lanes)), np.uint8)
    return [
        *(MemoryImage(Region.WEIGHTS, row, 0, zero) for row in range(config.rows)),
        *(MemoryImage(Region.ACTIVATIONS, column, 0, zero) for column in range(config.cols)),
    ]


def weight_images(segment: Segment) -> list[MemoryImage]:
    """Weights and presets of a segment."""
    return [
        *(
            MemoryImage(Region.WEIGHTS, row, segment.weight_base, words)
            for row, words in enumerate(segment.weights)
        ),
        *(
            MemoryImage(Region.PRESETS, row, segment.preset_base, words)
            for row, words in enumerate(segment.presets)
        ),
    ]


def program_image(segment: Segment) -> MemoryImage:
    """Layer instructions of a segment."""
    words = np.frombuffer(segment.instructions, np.uint8).reshape(-1, 4)
    return MemoryImage(Region.PROGRAM, 0, 0, words)
