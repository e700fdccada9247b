"""Block RAM of the Gowin GW1N family: 18 kbit, used without its output register.

The GW1NR-9C's own output registers are only known to work in some shapes of its single-port RAM (Apicula,
doc/bsram-fix.md), so the register is made of logic. The connections are those of yosys's own mapping
(techlibs/gowin/brams_map.v); see also Gowin UG285.
"""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value

from .memory_cells import Cell, port_enables

__all__ = ["LATENCY", "SHAPES", "cell_instance"]

#: Cycles from an address to its word.
LATENCY = 1
SHAPES = tuple(
    Cell("SDPX9B", width, depth, granule=9) for width, depth in ((36, 512), (18, 1024), (9, 2048))
)


def cell_instance(
    cell: Cell,
    read_address: Value,
    read_data: Signal,
    write_address: Value,
    write_data: Value,
    enables: list[Value],
) -> Instance:
    """Return one cell: port A writes and port B reads.

    ``enables`` has one bit a granule; addresses and data are as wide as the cell's.
    """
    write_enable, below = port_enables(cell, enables)
    unused = Signal(36 - cell.width)
    # Contents that are not named do not get into the bitstream.
    contents = {f"p_INIT_RAM_{i:02X}": Const(0, 288) for i in range(64)}
    return Instance(
        cell.type,
        p_READ_MODE=Const(0, 1),
        p_BIT_WIDTH_0=cell.width,
        p_BIT_WIDTH_1=cell.width,
        p_BLK_SEL_0=Const(0, 3),
        p_BLK_SEL_1=Const(0, 3),
        p_RESET_MODE="SYNC",
        i_CLKA=ClockSignal(),
        i_CLKB=ClockSignal(),
        i_CEA=write_enable,
        # Without an output register, its enable has to equal that of the port.
        i_CEB=Const(1),
        i_OCE=Const(1),
        i_RESETA=Const(0),
        i_RESETB=Const(0),
        i_BLKSELA=Const(0, 3),
        i_BLKSELB=Const(0, 3),
        i_ADA=Cat(below, write_address),
        i_ADB=Cat(Const(0, len(below)), read_address),
        i_DI=Cat(write_data, Const(0, 36))[:36],
        o_DO=Cat(read_data, unused),
        **contents,
    )
