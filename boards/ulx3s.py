"""Radiona ULX3S with an LFE5U-85F; USB by an FT231X, whose highest rate is 3 Mbaud."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from xnorgrid.hw.config import ArrayConfig

from .board import Board, Programmer
from .devices import DEVICES

__all__ = ["BOARD"]

BOARD = Board(
    name="ulx3s",
    title="Radiona ULX3S 85F",
    device=DEVICES["ecp5-85f"],
    package="CABGA381",
    platform=ULX3S_85F_Platform,
    led=("led", 0),
    # FIRE1.
    reset=("button_fire", 0),
    config=ArrayConfig(
        rows=20, cols=4, lanes=80, tile_rows=4, tile_cols=4, weight_depth=2048,
        activation_depth=512, preset_depth=512, program_depth=32, accumulator_bits=12,
        clock_hz=112_500_000, baud=3_000_000,
    ),
    programmers=(
        Programmer(
            tool="openFPGALoader",
            load=("-b", "ulx3s", "{bitstream}"),
            flash=("-b", "ulx3s", "-f", "{bitstream}"),
        ),
        Programmer(tool="fujprog", load=("{bitstream}",), flash=("-j", "flash", "{bitstream}")),
    ),
    connection="USB connector US1",
)  # fmt: skip
