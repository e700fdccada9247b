"""``xnorgrid netlist``: the logic that a bitstream is made of, simulated and compared with the reference."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

from xnorgrid.boards.devices import FAMILIES
from xnorgrid.hw.config import ArrayConfig, preset
from xnorgrid.sim.netlist_board import open_netlist

from . import options
from .commands import compare
from .driver import Board
from .image_choice import CommandError, Images, images_for
from .model import Model
from .modelfile import load
from .tables import verify_text

__all__ = ["add_arguments", "check", "run"]

#: The smallest preset that holds the digits.
_PRESET = "small"
_COUNT = 8
_DIFFERS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to map the accelerator to, its configuration, a model and images."""
    parser.add_argument(
        "target", metavar="TARGET",
        help=f"a family ({', '.join(FAMILIES)}), with the preset {_PRESET}, or a board, with its own array",
    )  # fmt: skip
    options.add_changes(parser, "of that array,")
    parser.add_argument(
        "--model", default="digits", metavar="MODEL",
        help=f"{options.MODEL_HELP} (default: %(default)s)",
    )  # fmt: skip
    options.add_images(parser)
    parser.set_defaults(count=_COUNT)


def run(arguments: argparse.Namespace, _: str) -> int:
    """Synthesise the accelerator, simulate the netlist and compare every value with the reference."""
    from xnorgrid.boards.catalogue import BOARDS

    if arguments.target in FAMILIES:
        family, config = arguments.target, preset(_PRESET)
    elif arguments.target in BOARDS:
        board = BOARDS[arguments.target]
        family, config = board.device.family, board.config
    else:
        raise CommandError(
            f"no family or board is called {arguments.target!r}; known: {', '.join((*FAMILIES, *BOARDS))}"
        )
    config = dataclasses.replace(config, **dict(arguments.set))
    model = load(arguments.model)
    images = images_for(
        model, images=arguments.images, directory=arguments.data, count=arguments.count
    )
    report = check(
        config, family, model, images, progress=False if arguments.quiet else None
    )  # fmt: skip
    print(json.dumps(report, indent=2) if arguments.json else _text(report))
    return 0 if report["bit_exact"] else _DIFFERS


def check(
    config: ArrayConfig, family: str, model: Model, images: Images, *, progress: bool | None = None
) -> dict[str, Any]:
    """Compare every value of every layer of ``model`` between reference and netlist, JSON-ready.

    ``cells`` are those of the netlist by type, ``seconds`` how long each step took.
    """
    from xnorgrid.boards.netlist import netlist

    images.require_some()
    started = time.perf_counter()
    found = netlist(config, family, progress=progress)
    synthesised = time.perf_counter()
    transport = open_netlist(found.verilog, family, config)
    compiled = time.perf_counter()
    with Board(transport, config=config) as device:
        compared = compare(device, model, images.images, progress, {})
        counters = device.counters
    return {
        "family": family,
        "config": dataclasses.asdict(config),
        "cells": dict(sorted(found.cells.items())),
        "model": model.name,
        **compared,
        "cycles": transport.cycles,
        "useful_lanes": counters.useful_lanes,
        "seconds": {
            "synthesis": round(synthesised - started, 1),
            "compiling": round(compiled - synthesised, 1),
            "simulation": round(time.perf_counter() - compiled, 1),
        },
    }


def _text(report: dict[str, Any]) -> str:
    cells = ", ".join(f"{count:,} {name}" for name, count in report["cells"].items())
    steps = ", ".join(f"{step} {seconds:g} s" for step, seconds in report["seconds"].items())
    return (
        f"netlist: {cells}\n{verify_text(report)}\n"
        f"{report['cycles']:,} cycles simulated; {steps} (nearly nothing where cached)"
    )
