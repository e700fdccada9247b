"""Commands about this machine and what is plugged into it: ``xnorgrid flash`` and ``xnorgrid doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .flash import flash as load_bitstream

__all__ = ["add_doctor", "add_flash", "doctor", "flash"]

_ENVIRONMENT = 3


def add_flash(parser: argparse.ArgumentParser) -> None:
    """Add which bitstream goes where."""
    parser.add_argument("board", metavar="BOARD", help="a board's name; xnorgrid boards lists them")
    parser.add_argument(
        "bitstream", type=Path, nargs="?", metavar="BITSTREAM",
        help="a bitstream or a build's folder (default: build/BOARD)",
    )  # fmt: skip
    memory = parser.add_mutually_exclusive_group()
    memory.add_argument(
        "--sram", dest="memory", action="store_const", const="sram",
        help="load the FPGA until its power goes (default where the board can)",
    )  # fmt: skip
    memory.add_argument(
        "--flash", dest="memory", action="store_const", const="flash",
        help="write the flash from which the FPGA starts",
    )  # fmt: skip
    parser.add_argument(
        "--cable", metavar="NAME",
        help="JTAG adapter, for boards without one or to take another: a name that openFPGALoader "
        "--list-cables lists",
    )  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="whatever report.json beside the bitstream says"
    )


def flash(arguments: argparse.Namespace, _: str) -> int:
    """Bring a bitstream onto the board that it was built for."""
    from xnorgrid.boards.catalogue import board

    report = load_bitstream(
        board(arguments.board), arguments.bitstream, arguments.memory,
        cable=arguments.cable, force=arguments.force, show=not arguments.quiet,
    )  # fmt: skip
    place = "until its power goes" if report["memory"] == "sram" else "in its flash"
    _print(
        arguments, report,
        f"{report['bitstream']} is on {report['board']}, {place} ({report['programmer']})\n"
        f"connect by: {report['connection']}\n"
        f"and use it with: --device '{report['device']}'",
    )  # fmt: skip
    return 0


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add what else the doctor hands out."""
    parser.add_argument(
        "--udev-rules", action="store_true",
        help="only print the udev rules that let users load bitstreams",
    )  # fmt: skip


def doctor(arguments: argparse.Namespace, _: str) -> int:
    """Say what of this machine works, what lacks, and the command that mends it."""
    from xnorgrid.boards.programmers import UDEV_RULES

    from .doctor import checks, report

    if arguments.udev_rules:
        print(UDEV_RULES, end="")
        return 0
    found = []
    for check in checks():
        found.append(check)
        if not arguments.json:
            print(f"{check.status:<8} {check.name}: {check.found}", flush=True)
            if check.fix:
                print(f"{'':<8} → {check.fix}", flush=True)
    result = report(found)
    works = result["simulation_works"]
    _print(
        arguments, result,
        "simulation works" if works else "not even simulation works: mend what is needed for it",
    )  # fmt: skip
    return 0 if works else _ENVIRONMENT


def _print(arguments: argparse.Namespace, report: Any, text: str) -> None:
    print(json.dumps(report, indent=2) if arguments.json else text, file=sys.stdout)
