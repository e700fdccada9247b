"""The latent weights of a training's best epoch, in the layout of the model that was folded from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .checkpoint import Checkpoint, CheckpointError
from .encoding import WeightPlanes
from .model import Conv, Model

__all__ = ["latent_weights"]


def latent_weights(path: Path, model: Model) -> dict[str, np.ndarray]:
    """Return each layer's latent weights, float32, by its name, of the shape of its binary ones.

    Raises :class:`CheckpointError` if the file is none or of a network of other layers than ``model``'s, and
    for a model whose first layer has weights of several bits.
    """
    if isinstance(model.input.encoding, WeightPlanes):
        raise CheckpointError(
            f"{path}: layer {model.layers[0].name!r} of model {model.name!r} has weights of "
            f"{model.input.encoding.bits} bits, whose latent weights are not those of its planes; "
            f"diagnose it without a checkpoint"
        )
    best = Checkpoint(path).load()[1].get("best", {})
    found = {}
    count = sum(name.startswith("blocks.") and name.endswith("product.weight") for name in best)
    if count != len(model.layers) - 1 or "head.weight" not in best:
        raise CheckpointError(
            f"{path} is of another network: it has {count} hidden layers, and model {model.name!r} has "
            f"{len(model.layers) - 1}; name the checkpoint of this model's training"
        )
    for index, layer in enumerate(model.layers):
        last = index == len(model.layers) - 1
        weights = best["head.weight" if last else f"blocks.{index}.product.weight"].float().numpy()
        if isinstance(layer, Conv) and weights.ndim == 4:
            weights = weights.transpose(0, 2, 3, 1)
        if weights.shape != layer.weights.shape:
            raise CheckpointError(
                f"{path} is of another network: layer {layer.name!r} has weights {weights.shape} there and "
                f"{layer.weights.shape} in model {model.name!r}; name the checkpoint of this model's training"
            )
        found[layer.name] = np.ascontiguousarray(weights)
    return found
