"""Counting differences with full adders."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Popcount"]

#: Lanes of one chain of pairs at most. Every chain leaves a sum that costs full adders; a long one is
#: deep, though a LUT of four inputs passes over three pairs: the sum before them and their differences.
CHAIN_LANES = 12
#: Full-adder levels between pipeline registers.
LEVELS_PER_STAGE = 2


def _chains(width: int) -> list[tuple[int, int]]:
    """Chains of pairs as (number of equal chains side by side, lanes of each): as equal as can be."""
    pairs, odd = divmod(width, 2)
    number = -(-width // CHAIN_LANES)
    short, longer = divmod(pairs, number)
    chains = [(longer, 2 * short + 2), (number - longer, 2 * short)]
    if odd:
        chains = [(longer, 2 * short + 2), (number - longer - 1, 2 * short), (1, 2 * short + 1)]
    return [(n, lanes) for n, lanes in chains if n and lanes]


def _levels(width: int) -> int:
    """Levels of full adders until no column is higher than two bits.

    A level makes one sum and one carry of every three bits of a column.
    """
    heights = [0, 0]
    for chains, lanes in _chains(width):
        heights[0] += chains
        heights[1] += chains * (lanes // 2)
    levels = 0
    while max(heights) > 2:
        carries = [0, *(height // 3 for height in heights)]
        heights = [
            height - 2 * (height // 3) + carry
            for height, carry in zip([*heights, 0], carries, strict=True)
        ]
        levels += 1
    return levels


class Popcount(wiring.Component):
    """Count the lanes in which two words differ, pipelined.

    Takes a pair of words every cycle; their count appears :attr:`latency` cycles later. Pairs of lanes enter
    a chain in which d = x ^ y, sum' = sum ^ d and carry = d ? sum : x for the differences x and y of two
    lanes; comparing the lanes folds into the same four-input LUTs: three LUTs for two lanes. The carries are
    then added column by column with full adders. Lanes are taken as vectors, which costs nothing in LUTs
    and simulates fast.

    Parameters
    ----------
    width : :class:`int`
        Bits of each word.

    Members
    -------
    a, b : In(width)
        Words to compare.
    o : Out(range(width + 1))
        Number of lanes in which the words given :attr:`latency` cycles before differ.
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"Popcount width must be positive, not {width!r}")
        self.width = width
        super().__init__({"a": In(width), "b": In(width), "o": Out(range(width + 1))})

    @property
    def latency(self) -> int:
        """Cycles from the words to :attr:`o`: chains, stages of full adders, final addition."""
        return self.latency_of(self.width)

    @staticmethod
    def latency_of(width: int) -> int:
        """:attr:`latency` of a counter of ``width`` bits."""
        return 2 + _levels(width) // LEVELS_PER_STAGE

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def chain(lanes: list[Value]) -> tuple[Value, list[Value]]:
            """Add vectors of equal length lane by lane: one sum vector and the carries."""
            total, carries = lanes[0], []
            rest = lanes[1:]
            if len(lanes) % 2 == 0:
                total, carries = lanes[0] ^ lanes[1], [lanes[0] & lanes[1]]
                rest = lanes[2:]
            for x, y in zip(rest[::2], rest[1::2], strict=True):
                differ = x ^ y
                carries.append((differ & total) | (~differ & x))
                total = total ^ differ
            return total, carries

        def register(columns: dict[int, Value]) -> dict[int, Value]:
            registered = {}
            for weight, bits in columns.items():
                registered[weight] = stage = Signal(len(bits), reset_less=True)
                m.d.sync += stage.eq(bits)
            return registered

        def compress(columns: dict[int, Value]) -> dict[int, Value]:
            parts: dict[int, list[Value]] = {}
            for weight, bits in columns.items():
                third = len(bits) // 3
                rest = bits[3 * third :]
                if third:
                    a, b, c = (bits[k * third : (k + 1) * third] for k in range(3))
                    parts.setdefault(weight, []).append(a ^ b ^ c)
                    parts.setdefault(weight + 1, []).append((a & b) | (c & (a ^ b)))
                parts.setdefault(weight, []).append(rest)
            return {weight: Cat(*bits) for weight, bits in parts.items()}

        parts: dict[int, list[Value]] = {0: [], 1: []}
        differences = self.a ^ self.b
        offset = 0
        for chains, lanes in _chains(self.width):
            vectors = [differences[offset + k * chains :][:chains] for k in range(lanes)]
            offset += chains * lanes
            total, carries = chain(vectors)
            parts[0].append(total)
            parts[1].extend(carries)
        columns = register({weight: Cat(*bits) for weight, bits in parts.items()})
        for level in range(1, _levels(self.width) + 1):
            columns = compress(columns)
            if level % LEVELS_PER_STAGE == 0:
                columns = register(columns)
        addends = [
            Cat(
                columns[weight][k] if len(columns[weight]) > k else Const(0, 1)
                for weight in sorted(columns)
            )
            for k in range(2)
        ]
        total = Signal.like(self.o, reset_less=True)
        m.d.sync += total.eq(addends[0] + addends[1])
        m.d.comb += self.o.eq(total)
        return m
