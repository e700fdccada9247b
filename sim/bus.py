"""Words over a memory bus, in testbenches on Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xnorgrid.hw.protocol import Region

__all__ = ["read_words", "write_words"]


async def _transfer(ctx: Any, bus: Any, region: Region, bank: int, address: int) -> None:
    ctx.set(bus.region, region)
    ctx.set(bus.bank, bank)
    ctx.set(bus.address, address)
    ctx.set(bus.valid, 1)
    ready = 0
    while not ready:
        *_, ready = await ctx.tick().sample(bus.ready)
    ctx.set(bus.valid, 0)


async def write_words(
    ctx: Any, bus: Any, region: Region, bank: int, address: int, words: Iterable[Sequence[int]]
) -> None:
    """Write words, given as little-endian byte rows (words, bytes), from ``address`` on."""
    ctx.set(bus.write, 1)
    for offset, word in enumerate(words):
        ctx.set(bus.write_data, int.from_bytes(bytes(word), "little"))
        await _transfer(ctx, bus, region, bank, address + offset)
    ctx.set(bus.write, 0)


async def read_words(
    ctx: Any, bus: Any, region: Region, bank: int, address: int, count: int, word_bytes: int
) -> np.ndarray:
    """Read ``count`` words from ``address`` on: (count, word_bytes) uint8, little-endian."""
    words = []
    for offset in range(count):
        await _transfer(ctx, bus, region, bank, address + offset)
        valid = 0
        while not valid:
            *_, valid, data = await ctx.tick().sample(bus.read_valid, bus.read_data)
        words.append(list(int(data).to_bytes(word_bytes, "little")))
    return np.array(words, np.uint8).reshape(count, word_bytes)
