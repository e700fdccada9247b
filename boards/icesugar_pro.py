"""Muse Lab iCESugar-Pro: LFE5U-25F on a SO-DIMM; USB by the iCELink debugger.

Which rates iCELink keeps up with is not documented; 1 Mbaud is the slowest that this project uses.
"""

from amaranth_boards.icesugar_pro import ICESugarProPlatform

from xnorgrid.hw.config import ArrayConfig

from .board import Board, Programmer
from .devices import DEVICES

__all__ = ["BOARD"]

BOARD = Board(
    name="icesugar-pro",
    title="Muse Lab iCESugar-Pro",
    device=DEVICES["ecp5-25f"],
    package="CABGA256",
    platform=ICESugarProPlatform,
    led=("rgb_led", 0, "g"),
    # No button is wired to the FPGA.
    reset=None,
    config=ArrayConfig(
        rows=4, cols=8, lanes=88, tile_rows=4, tile_cols=4, weight_depth=1024,
        activation_depth=512, preset_depth=512, program_depth=32, accumulator_bits=11,
        clock_hz=107_500_000, baud=1_000_000,
    ),
    programmers=(
        Programmer(tool="icesprog", flash=("{bitstream}",)),
        # iCELink is a CMSIS-DAP with an identification of its own.
        Programmer(
            tool="openFPGALoader",
            load=("-c", "cmsisdap", "--vid", "0x1d50", "--pid", "0x602b", "{bitstream}"),
            flash=("-c", "cmsisdap", "--vid", "0x1d50", "--pid", "0x602b", "-f", "{bitstream}"),
        ),
    ),
    connection="USB connector of iCELink",
)  # fmt: skip
