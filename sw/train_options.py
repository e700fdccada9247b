"""Options of the training command; needs no PyTorch."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from .recipe import RECIPES, Recipe

__all__ = ["add_arguments", "recipe_from"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options that :func:`xnorgrid.train_command.run` reads."""
    parser.add_argument(
        "recipe",
        nargs="?",
        default="digits",
        choices=RECIPES,
        help="what to train; the options below change it (default: digits)",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="directory of the data sets (default: $XNORGRID_DATA)"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="model file (default: RECIPE.safetensors)"
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, help="state, written after every epoch"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    parser.add_argument("--log", metavar="FILE", type=Path, help="one JSON object a line and epoch")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of PyTorch (default: its own)"
    )
    parser.add_argument("--dataset", help="digits, mnist or fashion-mnist")
    parser.add_argument(
        "--hidden", type=widths, metavar="N,N,…", help="widths of the hidden layers"
    )
    parser.add_argument("--epochs", type=int, metavar="N")
    parser.add_argument("--batch", type=int, metavar="N", help="images a step")
    parser.add_argument(
        "--validation", type=int, metavar="N", help="images set aside to choose the best epoch"
    )
    parser.add_argument("--rate", type=float, metavar="R", help="learning rate of the first epoch")
    parser.add_argument(
        "--dropout", type=float, metavar="F", help="fraction of activations zeroed in training"
    )
    parser.add_argument(
        "--shift", type=int, metavar="N", help="pixels that images are moved by in training"
    )
    parser.add_argument("--seed", type=int, metavar="N")


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """Return the named recipe with the changes in ``arguments``; raises :class:`RecipeError`."""
    names = ("dataset", "hidden", "epochs", "batch", "validation", "rate", "dropout", "shift",
             "seed")  # fmt: skip
    changes = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    return dataclasses.replace(RECIPES[arguments.recipe], **changes)


def widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split(","))
