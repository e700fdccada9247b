"""``xnorgrid diagnose``: which layer hurts, by how much, and why."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import options
from .diagnose import diagnose
from .diagnose_flips import RATES, flip_curves
from .diagnose_text import text
from .diagnose_trial import Trial
from .image_choice import CommandError, images_for, read_npy
from .images import input_values
from .model import Model
from .modelfile import load

__all__ = ["add_arguments", "run"]

#: Images by default: accuracies then have a standard error of a point or two.
_COUNT = 500
_DAMAGED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, labelled images, what is known of the training, and where the report goes."""
    options.add_model(parser)
    options.add_images(parser)
    parser.add_argument(
        "--labels", type=Path, metavar="FILE.npy", help="classes of the images of --images, from 0"
    )
    parser.set_defaults(count=_COUNT)
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE",
        help="checkpoint of the training: its latent weights are compared with the binary ones",
    )  # fmt: skip
    parser.add_argument(
        "--flip", action="store_true",
        help="also measure the accuracy against the share of flipped bits, layer by layer",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=options.natural, metavar="N", default=0,
        help="seed of the flips (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="write the report with a figure for each layer into this directory, made if need be",
    )  # fmt: skip


def run(arguments: argparse.Namespace, command: str) -> int:
    """Find the layers that hurt: hold every layer to the record of its training, on labelled images.

    Of the images, the first 500 are taken unless --count says otherwise. The exit status is 5 if a layer is
    damaged.
    """
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise CommandError(
            f"the report cannot be written to {arguments.out}: it is a file; name a directory"
        )
    if arguments.out is not None:
        # Without what draws the figures this fails, better now than after all is measured.
        from .diagnose_files import write
    model = load(arguments.model)
    images, labels = _labelled(arguments, model)
    latent = None if arguments.checkpoint is None else _latent(arguments.checkpoint, model)
    trial = Trial(model, images, labels)
    with tqdm(
        desc="layers", total=len(model.layers), disable=True if arguments.quiet else None
    ) as bar:
        report, curves = diagnose(trial, latent, seed=arguments.seed, told=bar.update)
    report = {"command": command, **report}
    if arguments.flip:
        total = (2 * len(model.layers) - 1) * len(RATES)
        with tqdm(desc="flips", total=total, disable=True if arguments.quiet else None) as bar:
            layers = flip_curves(trial, arguments.seed, bar.update)
        report["flips"] = {"rates": list(RATES), "classes": model.classes, "layers": layers}
    report = _rounded(report)
    shown = text(report)
    if arguments.out is not None:
        write(report, curves, arguments.out)
        shown += f"\n{arguments.out / 'report.md'}"
    print(json.dumps(report, indent=2) if arguments.json else shown)
    return _DAMAGED if report["damaged"] else 0


def _labelled(arguments: argparse.Namespace, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Images with their classes; raises :class:`CommandError` if there are none of either."""
    if (arguments.images is None) != (arguments.labels is None):
        raise CommandError(
            "a diagnosis needs the classes of the images: give --images and --labels together, or neither "
            "for the data the model was trained on"
        )
    chosen = images_for(
        model, images=arguments.images, directory=arguments.data, count=arguments.count
    )
    if arguments.labels is None:
        assert chosen.labels is not None
        images, labels = chosen.images, np.asarray(chosen.labels)
    else:
        images, labels = chosen.images, read_npy(arguments.labels)[: arguments.count]
        input_values(model, images)
        _check_labels(arguments.labels, labels, len(images), model.classes)
    if not len(images):
        raise CommandError("there are no images to diagnose with: name a file with one or more")
    return images, labels


def _check_labels(path: Path, labels: np.ndarray, images: int, classes: int) -> None:
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise CommandError(
            f"{path} must hold one whole number for each of the {images} images, "
            f"not {labels.dtype} {labels.shape}"
        )
    if images and (labels.min() < 0 or labels.max() >= classes):
        raise CommandError(
            f"{path} must hold classes 0 … {classes - 1}, but some are {labels.min()} … {labels.max()}"
        )


def _latent(path: Path, model: Model) -> dict[str, np.ndarray]:
    from .checkpoint import CheckpointError
    from .latent import latent_weights

    try:
        return latent_weights(path, model)
    except CheckpointError as error:
        raise CommandError(str(error)) from None


def _rounded(value: Any) -> Any:
    """``value`` with its floats to six digits: more would be another machine's rounding."""
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(member) for member in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value
