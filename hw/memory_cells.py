"""Words of any width and depth from memory cells of a few shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Value

__all__ = ["Arrangement", "Cell", "arrange", "port_enables"]


@dataclass(frozen=True)
class Cell:
    """One shape in which a memory cell can be used."""

    #: Name of the primitive.
    type: str
    width: int
    depth: int
    #: Bits that one of the cell's write enables covers: divides ``width``.
    granule: int

    @property
    def address_bits(self) -> int:
        """Bits of an address within the cell."""
        return (self.depth - 1).bit_length()


@dataclass(frozen=True)
class Arrangement:
    """Equal cells side by side, for width, and in banks, for depth."""

    cell: Cell
    #: Bits that each part of a word takes: its own, and unused ones up to a granule.
    part_bits: int
    #: Cells that make up a word.
    across: int
    #: Cells that share a bit of the word; the address bits above the cell's choose among them.
    banks: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.across * self.banks


def arrange(shapes: Sequence[Cell], width: int, depth: int, parts: int) -> Arrangement:
    """Return the arrangement with the fewest cells, of those the one with the fewest banks.

    Banks cost a multiplexer behind the cells and lengthen the path from them. Ties go to the first shape.
    """

    def arrangement(cell: Cell) -> Arrangement:
        part_bits = width // parts
        if parts > 1:
            part_bits = -(-part_bits // cell.granule) * cell.granule
        return Arrangement(
            cell, part_bits, -(-part_bits * parts // cell.width), -(-depth // cell.depth)
        )

    return min(map(arrangement, shapes), key=lambda option: (option.cells, option.banks))


def port_enables(cell: Cell, enables: Sequence[Value]) -> tuple[Value, Value]:
    """Return the enable of a write port of 18 kbit, and what its address pins below the word's are given.

    The port's address of 14 bits is that of a bit; of wide words the pins below are byte enables. One enable
    for the whole cell is the port's, with all byte enables at 1: three wires less.
    """
    shared = all(enable is enables[0] for enable in enables)
    bytes_enabled = [Const(1)] * len(enables) if shared else enables
    byte_enables = Cat(*bytes_enabled) if cell.width >= 18 else Const(0, 0)
    below = 14 - cell.address_bits
    return (
        enables[0] if shared else Const(1),
        Cat(byte_enables, Const(0, below - len(byte_enables))),
    )
