"""Memories of the array, with the output register that a fast clock needs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from . import ecp5_memory, gowin_memory, ice40_memory
from .library import place, technology_of
from .memory_cells import Arrangement, arrange
from .pipeline import delayed

__all__ = ["BlockMemory", "arrangement", "memory_cells", "place_memory"]

_FAMILIES: dict[str, Any] = {"ecp5": ecp5_memory, "ice40": ice40_memory, "gowin": gowin_memory}


class BlockMemory(wiring.Component):
    """One write port, one read port, zero after configuration.

    Reads every cycle; a word appears :attr:`latency` cycles after its address, because block RAM is only
    fast through its output register. A read in the cycle of a write to the same word gives nothing useful:
    the families differ there.

    Parameters
    ----------
    width, depth : :class:`int`
        Bits of a word; words.
    parts : :class:`int`
        Equal shares of a word that can be written alone. Must divide ``width``.
    single_port : :class:`bool`
        The user never reads in the cycle of a write: such a read gives nothing useful at any address. In
        return the memory may be a large one with one port, whose words are unknown until they are written.

    Members
    -------
    read_address : In(range(depth))
    read_data : Out(width)
    write : In(parts)
        Bit i writes share i, counted from the least significant.
    write_address : In(range(depth))
    write_data : In(width)
    """

    latency = 2

    def __init__(
        self, width: int, depth: int, parts: int = 1, *, single_port: bool = False
    ) -> None:
        if width % parts:
            raise ValueError(f"a word of {width} bits has no {parts} equal parts")
        self.width = width
        self.depth = depth
        self.parts = parts
        self.single_port = single_port
        super().__init__(
            {
                "read_address": In(range(depth)),
                "read_data": Out(width),
                "write": In(parts),
                "write_address": In(range(depth)),
                "write_data": In(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        technology = technology_of(platform)
        if technology == "generic":
            self._generic(m)
        else:
            self._of_cells(m, technology)
        return m

    def _generic(self, m: Module) -> None:
        m.submodules.words = words = memory.Memory(shape=self.width, depth=self.depth, init=[])
        read = words.read_port()
        write = words.write_port(granularity=self.width // self.parts)
        m.d.comb += [
            read.en.eq(1),
            # What single-port memories do, for simulation to show a user that breaks its promise.
            read.addr.eq(self._port_address() if self.single_port else self.read_address),
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        self._register(m, read.data)

    def _register(self, m: Module, data: Value) -> None:
        register = Signal(self.width, reset_less=True)
        m.d.sync += register.eq(data)
        m.d.comb += self.read_data.eq(register)

    def _port_address(self) -> Value:
        return Mux(self.write.any(), self.write_address, self.read_address)

    def _of_cells(self, m: Module, technology: str) -> None:
        family = _FAMILIES[technology]
        plan = arrangement(technology, self.width, self.depth, self.parts, self.single_port)
        cell = plan.cell
        one_port = self.single_port and technology == "ice40"
        read_address = self._port_address() if one_port else self.read_address

        share = self.width // self.parts
        padding = Const(0, plan.part_bits - share)
        shares = (self.write_data.word_select(i, share) for i in range(self.parts))
        word = Cat(*(Cat(bits, padding) for bits in shares))
        word = Cat(word, Const(0, plan.across * cell.width - len(word)))

        banks = []
        for bank in range(plan.banks):
            writes = []
            for part in range(self.parts):
                write = self.write[part]
                if plan.banks > 1:
                    here = self.write_address[cell.address_bits :] == bank
                    write = Signal(name=f"write_{bank}_{part}")
                    m.d.comb += write.eq(self.write[part] & here)
                writes.append(write)
            data = Signal(len(word), name=f"bank_{bank}")
            banks.append(data)
            for column in range(plan.across):
                first = column * cell.width
                granules = range(first, first + cell.width, cell.granule)
                m.submodules[f"cell_{bank}_{column}"] = family.cell_instance(
                    cell,
                    _resized(read_address, cell.address_bits),
                    data[first : first + cell.width],
                    _resized(self.write_address, cell.address_bits),
                    word[first : first + cell.width],
                    [writes[min(bit // plan.part_bits, self.parts - 1)] for bit in granules],
                )
        data = banks[0]
        if plan.banks > 1:
            chosen = delayed(m, self.read_address[cell.address_bits :], family.LATENCY)
            data = Array(banks)[chosen]
        data = Cat(data.word_select(i, plan.part_bits)[:share] for i in range(self.parts))
        if self.latency > family.LATENCY:
            self._register(m, data)
        else:
            m.d.comb += self.read_data.eq(data)


def _resized(address: Value, bits: int) -> Value:
    """The low ``bits`` of ``address``, with zeros above where it has fewer."""
    return Cat(address, Const(0, bits))[:bits]


def arrangement(
    technology: str, width: int, depth: int, parts: int = 1, single_port: bool = False
) -> Arrangement:
    """Return the cells that such a :class:`BlockMemory` is made of in ``technology``, not "generic"."""
    shapes = _FAMILIES[technology].SHAPES
    if single_port and technology == "ice40":
        shapes = ice40_memory.SINGLE_PORT_SHAPES
    return arrange(shapes, width, depth, parts)


def memory_cells(
    technology: str, width: int, depth: int, parts: int = 1, *, single_port: bool = False
) -> dict[str, int]:
    """Return the number of cells by type that such a :class:`BlockMemory` takes in ``technology``.

    Types are the families' primitives. Empty for "generic", where the tools behind choose.
    """
    if technology == "generic":
        return {}
    plan = arrangement(technology, width, depth, parts, single_port)
    return {plan.cell.type: plan.cells}


def place_memory(
    m: Module,
    platform: object,
    submodule: str,
    width: int,
    depth: int,
    parts: int = 1,
    *,
    single_port: bool = False,
) -> Any:
    """Add a :class:`BlockMemory` to ``m`` and return its ports; equal memories share a module."""
    kind = f"{f'_{parts}' if parts > 1 else ''}{'_single' if single_port else ''}"
    return place(
        m,
        platform,
        submodule,
        f"memory_{depth}x{width}{kind}",
        lambda: BlockMemory(width, depth, parts, single_port=single_port),
    )
