"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from xnorgrid.hw.config import PRESETS, ArrayConfig, preset
from xnorgrid.sim.boards import KINDS

from .modelfile import bundled_models

__all__ = [
    "MODEL_HELP",
    "add_changes",
    "add_config",
    "add_data",
    "add_device",
    "add_images",
    "add_kind",
    "add_model",
    "config",
    "natural",
    "positive",
]


def _at_least(least: int, name: str) -> Callable[[str], int]:
    """A type for argparse: whole numbers from ``least`` on, which it calls ``name`` in its message."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError
        return value

    number.__name__ = name
    return number


natural = _at_least(0, "whole number from 0")
positive = _at_least(1, "positive whole number")

MODEL_HELP = f"a model file, or one of {', '.join(bundled_models())}"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the model to work on."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add where data sets are, and how much of them is taken."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="directory of the data sets (default: $XNORGRID_DATA)",
    )
    parser.add_argument("--count", type=positive, metavar="N", help="only the first N images")


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add images, of a file or a data set."""
    parser.add_argument(
        "--images", type=Path, metavar="FILE.npy",
        help="images (default: the test set of the data the model was trained on)",
    )  # fmt: skip
    add_data(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add a board by its name."""
    parser.add_argument(
        "--device", metavar="NAME",
        help="serial:PORT, auto, sim, compiled or pysim, the last three with :PRESET if wanted "
        "(default: $XNORGRID_DEVICE, else sim)",
    )  # fmt: skip


def add_config(parser: argparse.ArgumentParser, default: str) -> None:
    """Add an array for :func:`config`; ``default`` says what is taken without one."""
    parser.add_argument(
        "--config", metavar="PRESET", choices=PRESETS,
        help=f"array configuration: {', '.join(PRESETS)} (default: {default})",
    )  # fmt: skip
    add_changes(parser, "of sim by default,")


def add_changes(parser: argparse.ArgumentParser, whose: str) -> None:
    """Add changes of single fields of a configuration; ``whose`` says of which."""
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", type=_field, action="append", default=[],
        help=f"change a field of the configuration, {whose} such as weight_depth=4096; may be repeated; "
        f"fields: {', '.join(_FIELDS)}",
    )  # fmt: skip


_FIELDS = {field.name: field.type for field in dataclasses.fields(ArrayConfig)}


def _field(text: str) -> tuple[str, int | str]:
    """A field of the configuration and its value, from ``FIELD=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or name not in _FIELDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIELD=VALUE with one of the fields {', '.join(_FIELDS)}"
        )
    if name == "link":
        return name, value
    try:
        return name, int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} must be a whole number, not {value!r}") from None


def config(arguments: argparse.Namespace) -> ArrayConfig | None:
    """The array that ``--config`` and ``--set`` describe; ``None`` without either."""
    if arguments.config is None and not arguments.set:
        return None
    return dataclasses.replace(preset(arguments.config or "sim"), **dict(arguments.set))


def add_kind(parser: argparse.ArgumentParser) -> None:
    """Add the kind of simulated board."""
    parser.add_argument(
        "--kind", choices=KINDS, default="auto",
        help="how to simulate (default: compiled if there is a C++ compiler, else pysim)",
    )  # fmt: skip
