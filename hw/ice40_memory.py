"""Block RAM (4 kbit) and single-port RAM (256 kbit) of the Lattice iCE40.

Neither has an output register. The pins of the block RAM's narrow shapes are those of yosys's own mapping
(techlibs/ice40/brams_map.v); see also Lattice FPGA-TN-02002 and FPGA-TN-02022.
"""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value

from .memory_cells import Cell

__all__ = ["LATENCY", "SHAPES", "SINGLE_PORT_SHAPES", "cell_instance"]

#: Cycles from an address to its word.
LATENCY = 1
#: Only the widest has a write mask.
SHAPES = (
    Cell("SB_RAM40_4K", 16, 256, granule=1),
    Cell("SB_RAM40_4K", 8, 512, granule=8),
    Cell("SB_RAM40_4K", 4, 1024, granule=4),
    Cell("SB_RAM40_4K", 2, 2048, granule=2),
)
#: There are four of these, on the UP5K alone, and nothing is known of their contents before a write.
SINGLE_PORT_SHAPES = (Cell("SB_SPRAM256KA", 16, 16384, granule=4),)


def cell_instance(
    cell: Cell,
    read_address: Value,
    read_data: Signal,
    write_address: Value,
    write_data: Value,
    enables: list[Value],
) -> Instance:
    """Return one cell.

    ``enables`` has one bit a granule; addresses and data are as wide as the cell's. Where one is enabled, a
    single-port cell wants the write address as ``read_address``.
    """
    if cell in SINGLE_PORT_SHAPES:
        return Instance(
            cell.type,
            i_CLOCK=ClockSignal(),
            i_CHIPSELECT=Const(1),
            i_STANDBY=Const(0),
            i_SLEEP=Const(0),
            i_POWEROFF=Const(1),
            i_ADDRESS=read_address,
            i_DATAIN=write_data,
            i_WREN=Cat(enables).any(),
            i_MASKWREN=Cat(enables),
            o_DATAOUT=read_data,
        )
    mode = SHAPES.index(cell)
    # Of each 2, 4 or 8 data pins a narrow shape uses one.
    step = 16 // cell.width
    first = (step - 1) // 2
    pins_in, pins_out = [Const(0)] * 16, [Signal(name=f"unused_{i}") for i in range(16)]
    pins_in[first::step] = list(write_data)
    pins_out[first::step] = list(read_data)
    masked = len(enables) > 1 and not all(enable is enables[0] for enable in enables)
    return Instance(
        cell.type,
        p_READ_MODE=mode,
        p_WRITE_MODE=mode,
        i_RCLK=ClockSignal(),
        i_RCLKE=Const(1),
        i_RE=Const(1),
        i_RADDR=Cat(read_address, Const(0, 11))[:11],
        o_RDATA=Cat(pins_out),
        i_WCLK=ClockSignal(),
        i_WCLKE=Const(1),
        i_WE=Const(1) if masked else enables[0],
        # A mask bit of 1 keeps the old bit.
        i_MASK=~Cat(enables) if masked else Const(0, 16),
        i_WADDR=Cat(write_address, Const(0, 11))[:11],
        i_WDATA=Cat(pins_in),
    )
