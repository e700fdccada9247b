"""The command line: ``xnorgrid COMMAND``. Each command is thin over a function of :mod:`.commands`.

Exit status: 0 done, 1 the board, 2 usage, 3 the environment, 4 a model, images or data, 5 values differ, 130
interrupted.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from xnorgrid.boards.programmers import ProgrammerMissing, ProgrammingError
from xnorgrid.boards.toolchain import BuildError, MissingTool
from xnorgrid.hw.config import ConfigError, preset
from xnorgrid.sim.verilator import CompileError, NoCompiler

from . import (
    board_commands,
    commands,
    diagnose_command,
    geometry_command,
    host_commands,
    netlist_command,
    options,
    plan_commands,
    tables,
    train_options,
)
from .checks import ModelError
from .compile import ModelDoesNotFit, UnsupportedLayers
from .data import DataError
from .errors import BoardError
from .extras import MissingExtra
from .flash import BitstreamError
from .images import ImageError
from .inspection_text import inspect_text, problems_text
from .model import Model
from .modelfile import load
from .recipe import RecipeError
from .transport import TransportError

__all__ = ["main"]

#: What this machine lacks.
_LACKING = (MissingExtra, MissingTool, NoCompiler, CompileError, ProgrammerMissing)
#: Exceptions that are the user's to mend, by exit status. The first that fits counts.
_STATUS: dict[int, tuple[type[Exception], ...]] = {
    1: (BoardError, TransportError, ProgrammingError),
    3: (*_LACKING, OSError),
    4: (
        ModelError, ModelDoesNotFit, ImageError, DataError, ConfigError, RecipeError,
        commands.CommandError, BitstreamError, BuildError,
    ),
}  # fmt: skip
_USAGE = 2
_DIFFERS = 5
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit status."""
    if argv is None:
        signal.signal(signal.SIGTERM, _stop)
        argv = sys.argv[1:]
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.function is None:
        parser.print_help(sys.stderr)
        return _USAGE
    try:
        status = arguments.function(arguments, shlex.join(["xnorgrid", *argv]))
        # Whoever reads our output may be gone, which only shows when it is written.
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Nor can Python flush at its end what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # A board that cannot be opened for want of a compiler is the environment's fault.
        reason = error.__cause__ if isinstance(error.__cause__, _LACKING) else error
        for status, types in _STATUS.items():
            if isinstance(reason, types):
                print(f"error: {_text(error)}", file=sys.stderr)
                return status
        raise


def _stop(number: int, frame: FrameType | None) -> None:
    """End as shells count it, and with it what was started, such as place and route."""
    sys.exit(128 + number)


def _text(error: Exception) -> str:
    """The message, one line for each unsupported layer."""
    if not isinstance(error, UnsupportedLayers):
        return str(error)
    return problems_text(str(error), error.problems)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xnorgrid",
        description="Binary neural networks from PyTorch to an FPGA, bit for bit.",
    )
    version = importlib.metadata.version("xnorgrid")
    parser.add_argument("--version", action="version", version=f"xnorgrid {version}")
    parser.set_defaults(function=None)
    subparsers = parser.add_subparsers(metavar="COMMAND")

    def command(function: Any, name: str, help: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=help, description=function.__doc__)
        added.set_defaults(function=function)
        added.add_argument("--json", action="store_true", help="print the report as JSON")
        added.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
        return added

    added = command(_demo, "demo", "run the bundled digits network on the simulated board")
    options.add_device(added)

    added = command(_train, "train", "train a binary network with PyTorch")
    train_options.add_arguments(added)

    added = command(_inspect, "inspect", "what a model is, where it fits and how fast it would be")
    options.add_model(added)
    options.add_config(added, "every preset")

    added = command(_simulate, "simulate", "run a model on the simulated board")
    options.add_model(added)
    options.add_images(added)
    options.add_config(added, "the first preset that holds the model")
    options.add_kind(added)

    added = command(_verify, "verify", "compare PyTorch, reference and RTL layer by layer")
    options.add_model(added)
    options.add_images(added)
    options.add_device(added)
    options.add_config(added, "what the device has")
    added.add_argument(
        "--no-torch", action="store_true", help="compare the reference and the board only"
    )

    added = command(_run, "run", "scores of images from a board: .npy in, .npy out")
    options.add_model(added)
    added.add_argument("images", type=Path, metavar="IMAGES.npy")
    added.add_argument("scores", type=Path, metavar="SCORES.npy")
    options.add_device(added)

    added = command(_bench, "bench", "cycles, utilisation and images/s of models")
    added.add_argument("models", nargs="+", metavar="MODEL", help=options.MODEL_HELP)
    options.add_images(added)
    options.add_config(added, "sim")
    options.add_kind(added)
    added.add_argument(
        "--layers", type=options.positive, default=0, metavar="N",
        help="also compare every value of every layer on the first N images",
    )  # fmt: skip

    added = command(board_commands.boards, "boards", "FPGA boards that bitstreams can be built for")
    board_commands.add_boards(added)

    command(board_commands.devices, "devices", "the FPGAs of the boards and what they have")

    added = command(board_commands.build, "build", "build a bitstream for an FPGA board")
    board_commands.add_build(added)

    added = command(
        netlist_command.run, "netlist", "compare the synthesised logic with the reference"
    )
    netlist_command.add_arguments(added)

    added = command(host_commands.flash, "flash", "bring a bitstream onto a board")
    host_commands.add_flash(added)

    added = command(host_commands.doctor, "doctor", "what of this machine works, and what lacks")
    host_commands.add_doctor(added)

    added = command(plan_commands.estimate, "estimate", "what a model takes of a board, unbuilt")
    plan_commands.add_estimate(added)

    added = command(plan_commands.tune, "tune", "find the fastest array for a model on a board")
    plan_commands.add_tune(added)

    added = command(diagnose_command.run, "diagnose", "which layer of a network hurts, and why")
    diagnose_command.add_arguments(added)

    added = command(
        geometry_command.run, "geometry", "recompute the paper that xnorgrid grew out of"
    )
    geometry_command.add_arguments(added)
    return parser


def _print(arguments: argparse.Namespace, report: Any, text: str) -> None:
    print(json.dumps(report, indent=2) if arguments.json else text)


def _progress(arguments: argparse.Namespace) -> bool | None:
    return False if arguments.quiet else None


def _chosen(arguments: argparse.Namespace, model: Model) -> commands.Images:
    return commands.images_for(
        model, images=arguments.images, directory=arguments.data, count=arguments.count
    )


def _demo(arguments: argparse.Namespace, _: str) -> int:
    """Run the whole held-out set of the bundled digits network and compare every score."""
    report = commands.demo(arguments.device, progress=_progress(arguments))
    _print(arguments, report, tables.measure_text(report))
    return _verdict(report)


def _train(arguments: argparse.Namespace, command: str) -> int:
    """Train a binary network, fold it, and save it as a model file."""
    from .checkpoint import CheckpointError
    from .fold import FoldError
    from .train_command import run

    try:
        report = run(arguments, command)
    except (CheckpointError, FoldError) as error:
        raise commands.CommandError(str(error)) from None
    _print(arguments, report, "\n".join(f"{name}: {value}" for name, value in report.items()))
    return _INTERRUPTED if report["interrupted"] else 0


def _inspect(arguments: argparse.Namespace, _: str) -> int:
    """Say what a model is, where it fits, and how fast it would be there."""
    report = commands.inspect(load(arguments.model), options.config(arguments))
    _print(arguments, report, inspect_text(report))
    return 0


def _simulate(arguments: argparse.Namespace, _: str) -> int:
    """Run images on a simulated board and compare every score with the integer reference."""
    model = load(arguments.model)
    report = commands.simulate(
        model,
        _chosen(arguments, model),
        kind=arguments.kind,
        config=options.config(arguments),
        progress=_progress(arguments),
    )
    _print(arguments, report, tables.measure_text(report))
    return _verdict(report)


def _verify(arguments: argparse.Namespace, _: str) -> int:
    """Compare PyTorch, the integer reference and a board, layer by layer."""
    model = load(arguments.model)
    report = commands.verify(
        model,
        _chosen(arguments, model),
        arguments.device,
        config=options.config(arguments),
        with_torch=not arguments.no_torch,
        progress=_progress(arguments),
    )
    _print(arguments, report, tables.verify_text(report))
    return _verdict(report)


def _run(arguments: argparse.Namespace, _: str) -> int:
    """Write the scores (N, classes) int32 of the images in a .npy file to another."""
    model = load(arguments.model)
    images = commands.images_for(model, images=arguments.images).images
    if not arguments.scores.absolute().parent.is_dir():
        raise commands.CommandError(
            f"{arguments.scores} cannot be written: there is no folder "
            f"{arguments.scores.absolute().parent}; create it first"
        )
    scores = commands.run(model, images, arguments.device, progress=_progress(arguments))
    with arguments.scores.open("wb") as file:
        np.save(file, scores)
    report = {"model": model.name, "images": len(scores), "scores": str(arguments.scores)}
    _print(arguments, report, f"{len(scores):,} images: scores in {arguments.scores}")
    return 0


def _bench(arguments: argparse.Namespace, _: str) -> int:
    """Measure models on a simulated board, and say layer by layer where its cycles and lanes go."""
    reports = commands.bench(
        [load(name) for name in arguments.models],
        images=arguments.images,
        directory=arguments.data,
        config=options.config(arguments) or preset("sim"),
        kind=arguments.kind,
        count=arguments.count,
        layers=arguments.layers,
        progress=_progress(arguments),
    )
    _print(arguments, reports, tables.bench_text(reports))
    return max(_verdict(report) for report in reports)


def _verdict(report: dict[str, Any]) -> int:
    equal = report["bit_exact"] and report.get("matches_pytorch") is not False
    layers = report.get("layers_compared")
    return 0 if equal and (layers is None or layers["bit_exact"]) else _DIFFERS


if __name__ == "__main__":
    sys.exit(main())
