"""Colorlight 5A-75B, revision 7.0: LFE5U-25F on a receiver card for LED walls.

The card has neither USB nor a free input on its headers J1 to J8: their pins go through buffers that only
drive 5 V outwards. Key and LED on J19 are the two pins of the FPGA that come out as they are, so these are
the UART, 3.3 V, as in Amaranth's and LiteX's platforms: the card transmits on DATA_LED- (P11) and receives on
KEY+ (M13). An external 3.3 V USB adapter is needed for the UART, and a JTAG adapter at J27 to J34 for the
bitstream. The card's button and LED are those very pins, so there is no reset button and the LED shows what
is sent.
"""

from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

from xnorgrid.hw.config import ArrayConfig

from .board import Board, Programmer
from .devices import DEVICES

__all__ = ["BOARD"]

BOARD = Board(
    name="colorlight-5a75b",
    title="Colorlight 5A-75B r7.0",
    device=DEVICES["ecp5-25f"],
    package="CABGA256",
    platform=Colorlight_5A75B_R70Platform,
    led=None,
    reset=None,
    config=ArrayConfig(
        rows=4, cols=8, lanes=88, tile_rows=4, tile_cols=4, weight_depth=1024,
        activation_depth=512, preset_depth=512, program_depth=32, accumulator_bits=11,
        clock_hz=100_000_000, baud=1_000_000,
    ),
    programmers=(
        Programmer(
            tool="openFPGALoader",
            load=("-c", "ft232", "{bitstream}"),
            flash=("-c", "ft232", "-f", "--unprotect-flash", "{bitstream}"),
        ),
    ),
    connection="3.3 V USB adapter at J19: its RX to DATA_LED-, its TX to KEY+, ground to ground",
)  # fmt: skip
