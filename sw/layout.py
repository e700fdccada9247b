"""How feature maps lie in a column's activation memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .packing import pack, unpack, word_count

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """A feature map (height, width, channels) as words of ``lanes`` bits, row by row.

    A vector is a map of one position. Around the map lie ``border`` rows and columns of padding. A map of
    several bits a value is stored as one map a bit-plane, most significant first.
    """

    height: int
    width: int
    channels: int
    lanes: int
    border: tuple[int, int] = (0, 0)
    planes: int = 1

    @property
    def words(self) -> int:
        """Words of one position."""
        return word_count(self.channels, self.lanes)

    @property
    def row_words(self) -> int:
        """Words of one row, border included."""
        return (self.width + 2 * self.border[1]) * self.words

    @property
    def plane_words(self) -> int:
        """Words of one plane, border included."""
        return (self.height + 2 * self.border[0]) * self.row_words

    @property
    def size(self) -> int:
        """Words in all."""
        return self.planes * self.plane_words

    @property
    def origin(self) -> int:
        """Words before the first position that is no border."""
        return self.border[0] * self.row_words + self.border[1] * self.words

    def pack(self, values: np.ndarray, outside: int = 0) -> np.ndarray:
        """Return the words (N, size, word_bytes) of maps ``values`` (N, height, width, channels).

        Values lie in 0 … 2 ** planes - 1; the border holds ``outside``.
        """
        (rows, columns), count = self.border, len(values)
        border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        bordered = np.pad(values, border, constant_values=outside)
        shifts = np.arange(self.planes - 1, -1, -1, dtype=values.dtype)
        bits = (bordered[:, None] >> shifts[:, None, None, None]) & 1
        return pack(bits, self.lanes).reshape(count, self.size, -1)

    def unpack(self, words: np.ndarray) -> np.ndarray:
        """Return the bits (N, height, width, channels) uint8 of a map of one plane, without its border."""
        (rows, columns), count = self.border, len(words)
        bits = unpack(
            words.reshape(count, -1, self.width + 2 * columns, self.words, words.shape[-1]),
            self.lanes,
            self.channels,
        )
        return bits[:, rows : rows + self.height, columns : columns + self.width]
