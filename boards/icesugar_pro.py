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
        rows=4, cols=4, lanes=72, tile_rows=2, tile_cols=2, weight_depth=2048,
        activation_depth=1024, preset_depth=512, accumulator_bits=12, clock_hz=100_000_000,
        baud=1_000_000,
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
