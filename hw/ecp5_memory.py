"""Block RAM of the Lattice ECP5: 18 kbit with an output register.

Yosys infers these cells without their output register, which costs 4.6 ns of the clock period. The
connections are those of yosys's own mapping (techlibs/lattice/brams_map_16kd.v); see also Lattice
FPGA-TN-02204.
"""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value

from .memory_cells import Cell, port_enables

__all__ = ["LATENCY", "SHAPES", "cell_instance"]

#: Cycles from an address to its word.
LATENCY = 2
#: Each ninth bit is lost in the narrow shapes.
SHAPES = tuple(
    Cell("DP16KD", width, depth, granule=min(width, 9))
    for width, depth in ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
)


def cell_instance(
    cell: Cell,
    read_address: Value,
    read_data: Signal,
    write_address: Value,
    write_data: Value,
    enables: list[Value],
) -> Instance:
    """Return one cell that writes through port A and reads through port B.

    ``enables`` has one bit a granule; addresses and data are as wide as the cell's. A word of 36 bits uses
    the data pins of both ports, its low half those of port A.
    """
    write_enable, below = port_enables(cell, enables)
    padded_data = Cat(write_data, Const(0, 36))
    buses = {
        "i_ADA": Cat(below, write_address),
        "i_ADB": Cat(Const(0, len(below)), read_address),
        "i_DIA": padded_data[:18],
        "i_DIB": padded_data[18:36],
        "i_CSA": Const(0, 3),
        "i_CSB": Const(0, 3),
    }
    pins = {f"{name}{i}": bit for name, bus in buses.items() for i, bit in enumerate(bus)}
    outputs = [f"o_DOB{i}" for i in range(18)]
    if cell.width == 36:
        outputs = [f"o_DOA{i}" for i in range(18)] + outputs
    pins |= dict(zip(outputs, read_data, strict=False))
    return Instance(
        cell.type,
        p_DATA_WIDTH_A=cell.width,
        p_DATA_WIDTH_B=cell.width,
        p_REGMODE_A="OUTREG",
        p_REGMODE_B="OUTREG",
        p_RESETMODE="SYNC",
        p_ASYNC_RESET_RELEASE="SYNC",
        p_CSDECODE_A="0b000",
        p_CSDECODE_B="0b000",
        p_WRITEMODE_A="NORMAL",
        p_WRITEMODE_B="NORMAL",
        p_CLKAMUX="CLKA",
        p_CLKBMUX="CLKB",
        p_GSR="DISABLED",
        i_CLKA=ClockSignal(),
        i_CLKB=ClockSignal(),
        i_CEA=write_enable,
        i_CEB=Const(1),
        i_WEA=Const(1),
        i_WEB=Const(0),
        i_OCEA=Const(1),
        i_OCEB=Const(1),
        i_RSTA=Const(0),
        i_RSTB=Const(0),
        **pins,
    )
