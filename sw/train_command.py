"""The training command: train a recipe, fold the network, save the model with its provenance."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np

from .extras import requires
from .fold import fold
from .model import Model
from .modelfile import save
from .provenance import scores_sha256
from .recipe import RecipeError
from .train import Result, accuracy, train
from .train_options import recipe_from

with requires("train"):
    import torch

__all__ = ["run", "to_model"]


def run(arguments: argparse.Namespace, command: str) -> dict[str, Any]:
    """Train, fold and save as ``arguments`` ask; ``command`` is kept in the model's provenance.

    Returns a JSON-ready report. Raises :class:`RecipeError` and what :func:`~xnorgrid.train.train`,
    :func:`~xnorgrid.fold.fold` and :func:`~xnorgrid.modelfile.save` raise.
    """
    recipe = recipe_from(arguments)
    out = arguments.out or Path(f"{arguments.recipe}.safetensors")
    # A missing folder is better found before the training than after it.
    for path in (out, arguments.checkpoint, arguments.log):
        if path is not None and not path.absolute().parent.is_dir():
            raise RecipeError(
                f"{path} cannot be written: there is no folder {path.absolute().parent}; "
                f"create it first"
            )
    if arguments.threads is not None and arguments.threads < 1:
        raise RecipeError(f"threads must be at least 1, not {arguments.threads}")
    result = train(
        recipe,
        directory=arguments.data,
        checkpoint=arguments.checkpoint,
        resume=arguments.resume,
        log=arguments.log,
        progress=False if arguments.quiet else None,
        threads=arguments.threads,
        device=arguments.device,
    )
    if not result.best_epoch:
        raise RecipeError(
            "the training was interrupted before its first epoch ended; nothing saved"
        )
    model = to_model(result, out.stem, command)
    save(model, out)
    report = {key: value for key, value in model.provenance.items() if key != "recipe"}
    return {"model": str(out), "interrupted": result.interrupted, **report}


def to_model(result: Result, name: str, command: str) -> Model:
    """Fold ``result``'s network into a :class:`Model` called ``name`` with its provenance.

    The accuracies are of the integer scores, or of what the model's affine makes of them.
    ``scores_sha256`` is :func:`scores_sha256` of PyTorch's own scores for the whole test set, so that any
    machine can check a reference or a board against PyTorch.
    """
    dataset, network = result.dataset, result.network
    model = fold(network, name, labels=dataset.labels)
    scores = network.scores(dataset.test_images)
    provenance = {
        "command": command,
        "recipe": dataclasses.asdict(result.recipe),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": torch.__version__,
        "validation_accuracy": result.validation_accuracy,
        "train_accuracy": accuracy(network, dataset.train_images, dataset.train_labels),
        "test_accuracy": float(np.mean(model.outputs(scores).argmax(1) == dataset.test_labels)),
        "test_images": len(dataset.test_labels),
        "scores_sha256": scores_sha256(scores),
    }
    return dataclasses.replace(model, provenance=provenance)
