"""1BitSquared iCEBreaker: iCE40UP5K, USB by an FT2232H whose second channel is the UART."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from xnorgrid.hw.config import ArrayConfig

from .board import Board, Programmer
from .devices import DEVICES

__all__ = ["BOARD"]

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    device=DEVICES["up5k"],
    package="sg48",
    platform=ICEBreakerPlatform,
    led=("led_g", 0),
    reset=("button", 0),
    # Pin 35 is the PLL's own pad.
    pll_pad=True,
    config=ArrayConfig(
        rows=4, cols=4, lanes=16, tile_rows=4, tile_cols=4, weight_depth=16384, weight_ports=1,
        activation_depth=256, preset_depth=256, program_depth=16, accumulator_bits=11,
        clock_hz=36_000_000, baud=3_000_000,
    ),
    programmers=(
        Programmer(
            tool="openFPGALoader", flash=("-b", "ice40_generic", "{bitstream}"),
        ),
        Programmer(tool="iceprog", flash=("{bitstream}",)),
    ),
    connection="USB, the second serial port of the two",
)  # fmt: skip
