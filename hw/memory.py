"""Memories of the array, with the output register that a fast clock needs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, ValueLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .library import place

__all__ = ["BankReader", "BlockMemory", "memory_cells", "place_memory"]


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
        m.submodules.words = words = memory.Memory(shape=self.width, depth=self.depth, init=[])
        read = words.read_port()
        write = words.write_port(granularity=self.width // self.parts)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(self.read_address),
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        m.d.sync += self.read_data.eq(read.data)
        return m


def memory_cells(
    technology: str, width: int, depth: int, parts: int = 1, *, single_port: bool = False
) -> dict[str, int]:
    """Return the number of cells by type that this :class:`BlockMemory` takes in ``technology``.

    Empty where the tools choose: "generic".
    """
    return {}


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


class BankReader(wiring.Component):
    """Host reads from a group of banks whose read addresses travel down a delay line.

    Accepts one read at a time, drives its address until every bank has seen it, and signals when the
    banks' data is valid.

    Parameters
    ----------
    cycles : :class:`int`
        Cycles from an address at the head of the delay line to the data of the last bank.

    Members
    -------
    request : In(1)
        A read transfer happens; ``bank`` and ``address`` are valid with it.
    bank, address : In(16)
    active : Out(1)
        ``held_address`` is to be given to the banks in place of the array's.
    held_bank, held_address : Out(16)
    valid : Out(1)
        For one cycle, ``cycles`` + 1 cycles after the transfer: the held bank's data is there.
    """

    def __init__(self, cycles: int) -> None:
        self.cycles = cycles
        super().__init__(
            {
                "request": In(1),
                "bank": In(16),
                "address": In(16),
                "active": Out(1),
                "held_bank": Out(16),
                "held_address": Out(16),
                "valid": Out(1),
            }
        )

    def serve(self, m: Module, bus: Any, write_waits: ValueLike = 0) -> None:
        """Take reads from the memory bus ``bus``, and its writes unless ``write_waits``.

        The user of the reader gives ``bus.read_data`` and carries the writes out.
        """
        m.d.comb += [
            bus.ready.eq(~self.active & ~(bus.write & write_waits)),
            self.request.eq(bus.valid & bus.ready & ~bus.write),
            self.bank.eq(bus.bank),
            self.address.eq(bus.address),
            bus.read_valid.eq(self.valid),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self.cycles + 1))
        with m.If(self.request):
            m.d.sync += [
                self.active.eq(1),
                self.held_bank.eq(self.bank),
                self.held_address.eq(self.address),
                left.eq(self.cycles),
            ]
        with m.Elif(self.active):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.comb += self.valid.eq(1)
                m.d.sync += self.active.eq(0)
        return m
