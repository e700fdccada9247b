"""Options of the training command; needs no PyTorch."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from .data import DATASETS
from .recipe import FIRST_LAYERS, LOSSES, RECIPES, SCHEDULES, Recipe

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
        "--device", choices=("cpu", "cuda"), help="where to train (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of PyTorch (default: its own)"
    )
    # What is not given stays as the recipe has it.
    changes = parser.add_argument_group("changes to the recipe", argument_default=argparse.SUPPRESS)
    changes.add_argument("--dataset", help=", ".join(DATASETS))
    changes.add_argument(
        "--features",
        type=features,
        metavar="N,N/2,…",
        help="channels of 3x3 convolutions, with /2 where 2x2 max-pooling follows; '' for none",
    )
    changes.add_argument(
        "--fill",
        type=fill,
        metavar="V",
        help="what the padding of one pixel around feature maps holds: -1, 0, 1; none: no padding",
    )
    changes.add_argument(
        "--hidden",
        type=widths,
        metavar="N,N,…",
        help="widths of the hidden dense layers; '' for none",
    )
    changes.add_argument(
        "--input-bits", type=int, metavar="N", help="bits of each pixel that are used: 1 or 8"
    )
    changes.add_argument(
        "--first-layer",
        choices=FIRST_LAYERS,
        help="what the first layer takes: bit-planes of pixels (--input-bits), a thermometer code "
        "(--levels), or signs of randomly rotated patches (--draws)",
    )
    changes.add_argument(
        "--levels", type=int, metavar="N", help="bits of each pixel's thermometer code"
    )
    changes.add_argument(
        "--draws", type=int, metavar="N", help="random rotations of each patch, with 'hadamard'"
    )
    changes.add_argument(
        "--weight-bits",
        type=int,
        metavar="N",
        help="bits of each weight of the first layer, 1 to 4; more than 1 with --input-bits 8",
    )
    changes.add_argument(
        "--class-norm",
        action=argparse.BooleanOptionalAction,
        help="a gain and an offset for each class, not one for all",
    )
    changes.add_argument("--epochs", type=int, metavar="N")
    changes.add_argument("--batch", type=int, metavar="N", help="images a step")
    changes.add_argument(
        "--validation", type=int, metavar="N", help="images set aside to choose the best epoch"
    )
    changes.add_argument("--rate", type=float, metavar="R", help="learning rate of the first epoch")
    changes.add_argument("--schedule", choices=SCHEDULES, help="how the learning rate falls")
    changes.add_argument("--loss", choices=LOSSES)
    changes.add_argument(
        "--dropout", type=float, metavar="F", help="fraction of activations zeroed in training"
    )
    changes.add_argument(
        "--shift", type=int, metavar="N", help="pixels that images are moved by in training"
    )
    changes.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="mirror half of the images in training",
    )
    changes.add_argument("--seed", type=int, metavar="N")


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """Return the named recipe with the changes in ``arguments``; raises :class:`RecipeError`."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    changes = {name: value for name, value in vars(arguments).items() if name in names}
    return dataclasses.replace(RECIPES[arguments.recipe], **changes)


def widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split(",")) if text else ()


def features(text: str) -> tuple[tuple[int, int], ...]:
    result = []
    for part in text.split(",") if text else ():
        channels, slash, pool = part.partition("/")
        result.append((int(channels), int(pool) if slash else 1))
    return tuple(result)


def fill(text: str) -> int | None:
    return None if text == "none" else int(text)
