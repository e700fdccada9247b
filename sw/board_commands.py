"""Commands about FPGA boards and bitstreams for them: ``xnorgrid boards``, ``devices`` and ``build``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import board_options, options
from .board_text import board_text, boards_text, build_text, devices_text
from .image_choice import CommandError
from .inspection import fit
from .modelfile import load

if TYPE_CHECKING:
    from xnorgrid.boards.board import Board

__all__ = ["add_boards", "add_build", "boards", "build", "devices"]


def add_boards(parser: argparse.ArgumentParser) -> None:
    """Add the board to describe."""
    parser.add_argument(
        "board", nargs="?", metavar="BOARD", help="say more of this one: pins, programmers, array"
    )


def boards(arguments: argparse.Namespace, _: str) -> int:
    """List the FPGA boards that bitstreams can be built for."""
    from xnorgrid.boards.catalogue import BOARDS, board

    if arguments.board is not None:
        report = _describe(board(arguments.board))
        _print(arguments, report, board_text(report))
    else:
        reports = [_describe(board) for board in BOARDS.values()]
        _print(arguments, reports, boards_text(reports))
    return 0


def devices(arguments: argparse.Namespace, _: str) -> int:
    """List the FPGAs of the boards and what they have."""
    from xnorgrid.boards.devices import DEVICES

    reports = [dataclasses.asdict(device) for device in DEVICES.values()]
    _print(arguments, reports, devices_text(reports))
    return 0


def add_build(parser: argparse.ArgumentParser) -> None:
    """Add the board, changes to its configuration, and where the bitstream goes."""
    board_options.add_board(parser)
    board_options.add_config(parser)
    parser.add_argument(
        "--model", metavar="MODEL", help=f"also say how fast this runs: {options.MODEL_HELP}"
    )
    parser.add_argument(
        "--seed", type=options.natural, default=1, metavar="N",
        help="where placement starts from: another one routes a little faster or slower (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR",
        help="folder for the bitstream, report.json and logs (default: build/BOARD)",
    )  # fmt: skip


def build(arguments: argparse.Namespace, _: str) -> int:
    """Build a bitstream with tools from PyPI, and say what it takes of the FPGA and how fast it is."""
    from xnorgrid.boards.build import build as build_bitstream
    from xnorgrid.boards.catalogue import board

    from .planning import check_fits

    chosen = board(arguments.board)
    config = board_options.config(arguments, chosen)
    model = load(arguments.model) if arguments.model else None
    folder = arguments.out or Path("build") / chosen.name
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file; name a folder for the bitstream")
    # What cannot fit is said in a second, not after minutes.
    check_fits(config, chosen.device, model)
    built = build_bitstream(
        chosen, config, seed=arguments.seed, folder=folder,
        progress=False if arguments.quiet else None,
    )  # fmt: skip
    report = {**built.to_dict(), "folder": str(folder), "model": None}
    if model is not None:
        run = fit(model, config)
        report["model"] = {
            "name": model.name,
            "segments": run["segments"],
            "cycles_per_image": run["cycles_per_image"],
            "images_per_second_core": config.clock_hz / run["cycles_per_image"],
            "images_per_second_link": run["images_per_second_on_link"],
        }
    _print(arguments, report, build_text(report))
    return 0


def _describe(board: Board) -> dict[str, Any]:
    return {
        "board": board.name,
        "title": board.title,
        "device": board.device.name,
        "device_title": board.device.title,
        "oscillator_hz": board.clock_hz,
        "pins": board.pins(),
        "connection": board.connection,
        "programmers": [programmer.tool for programmer in board.programmers],
        "config": dataclasses.asdict(board.config),
    }


def _print(arguments: argparse.Namespace, report: Any, text: str) -> None:
    print(json.dumps(report, indent=2) if arguments.json else text)
