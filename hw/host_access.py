"""Host access to the memories around the array."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus import MemoryBus
from .config import ArrayConfig
from .protocol import Region
from .responder import Responder

__all__ = ["HostAccess", "column_access_layout", "read_bits", "row_access_layout"]


def read_bits(config: ArrayConfig) -> int:
    """Width of the widest word that is read from the memories around the array."""
    return max(config.lanes, config.accumulator_bits)


def row_access_layout(config: ArrayConfig) -> data.StructLayout:
    """Host access that travels from tile row to tile row."""
    return data.StructLayout(
        {
            "write": 1,  #: store ``data``; otherwise nothing changes
            "read": 1,  #: a read goes on, here or elsewhere: only what it asks for may be collected
            "weights": 1,  #: the region is WEIGHTS
            "presets": 1,  #: the region is PRESETS
            "row": config.rows,  #: one-hot, beginning with the first row of the tile row it is at
            "address": range(max(config.weight_depth, config.preset_depth)),
            "data": read_bits(config),
        }
    )


def column_access_layout(config: ArrayConfig) -> data.StructLayout:
    """Host access that travels from tile column to tile column; a write's address travels as the packers'."""
    return data.StructLayout(
        {
            "write": 1,  #: store ``data``; otherwise nothing changes
            "read": 1,  #: a read goes on, here or elsewhere: only what it asks for may be collected
            "column": config.cols,  #: one-hot, beginning with the first column of the tile column it is at
            "data": config.lanes,
        }
    )


class HostAccess(wiring.Component):
    """Turn transfers on the memory bus into accesses that travel along the memories.

    Accesses travel with the skew of the addresses and keep their order. What is read is collected word by
    word along the edges of the array; this block waits until it has arrived.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    read_cycles : :class:`int`
        Cycles from an address to its word in ``read_data``.

    Members
    -------
    memory : In(MemoryBus(config))
        Regions WEIGHTS, PRESETS and ACTIVATIONS.
    packing : In(1)
        A word of results may be written to the columns in this cycle: a write to ACTIVATIONS waits.
    rows, columns : Out(row_access_layout(config)), Out(column_access_layout(config))
        Combinational from ``memory``.
    reading : Out(1)
        The memories are to be given the address of ``memory`` in place of the array's.
    read_data : In(read_bits(config))
        Words read, 0 from memories that are not asked.
    """

    def __init__(self, config: ArrayConfig, read_cycles: int) -> None:
        self.config = config
        self.read_cycles = read_cycles
        super().__init__(
            {
                "memory": In(MemoryBus(config)),
                "packing": In(1),
                "rows": Out(row_access_layout(config)),
                "columns": Out(column_access_layout(config)),
                "reading": Out(1),
                "read_data": In(read_bits(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.responder = responder = Responder(self.config, self.read_cycles)
        connect(m, flipped(self.memory), responder.memory)
        bus, rows, columns = self.memory, self.rows, self.columns
        # Regions are told apart by two bits: the initiator only asks for those that exist.
        region = bus.region.as_value()[:2]
        weights, presets, activations = (
            region == of.value for of in (Region.WEIGHTS, Region.PRESETS, Region.ACTIVATIONS)
        )
        m.d.comb += [
            responder.hold.eq(self.packing & activations),
            self.reading.eq(responder.reading),
            rows.write.eq(responder.store),
            rows.read.eq(responder.reading),
            rows.weights.eq(weights),
            rows.presets.eq(presets),
            rows.row.eq(1 << bus.bank[: (self.config.rows - 1).bit_length()]),
            rows.address.eq(bus.address),
            rows.data.eq(bus.write_data),
            columns.write.eq(responder.store & activations),
            columns.read.eq(responder.reading),
            columns.column.eq(
                Mux(activations, 1 << bus.bank[: (self.config.cols - 1).bit_length()], 0)
            ),
            columns.data.eq(bus.write_data),
            responder.memory.read_data.eq(self.read_data),
        ]
        return m
