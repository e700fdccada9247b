"""Sipeed Tang Nano 9K: GW1NR-9C, USB by a BL702 that acts as an FT2232 with the UART second."""

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from xnorgrid.hw.config import ArrayConfig

from .board import Board, Programmer
from .devices import DEVICES

__all__ = ["BOARD"]

BOARD = Board(
    name="tang-nano-9k",
    title="Sipeed Tang Nano 9K",
    device=DEVICES["gw1nr-9c"],
    package="QFN88P",
    platform=TangNano9kPlatform,
    led=("led", 0),
    reset=("button", 1),
    config=ArrayConfig(
        rows=2, cols=3, lanes=36, tile_rows=2, weight_depth=4905, activation_depth=512,
        preset_depth=512, program_depth=32, accumulator_bits=11, clock_hz=90_000_000,
        baud=3_000_000,
    ),
    programmers=(
        Programmer(
            tool="openFPGALoader",
            load=("-b", "tangnano9k", "{bitstream}"),
            flash=("-b", "tangnano9k", "-f", "{bitstream}"),
        ),
    ),
    connection="USB, the second serial port of the two",
)  # fmt: skip
