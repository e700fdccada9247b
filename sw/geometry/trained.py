"""A trained network with its latent weights, layer by layer: what the experiments on one measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xnorgrid.checkpoint import Checkpoint, CheckpointError
from xnorgrid.data import Dataset, load
from xnorgrid.extras import requires
from xnorgrid.fold_checks import layer_names
from xnorgrid.network import BinaryNetwork
from xnorgrid.nn import BinaryConv2d, BinaryLinear, Block, ClassNorm, sign
from xnorgrid.recipe import Recipe
from xnorgrid.train import build_network

with requires("train"):
    import torch
    from torch import Tensor, nn

__all__ = ["BATCH", "Statistics", "Trained", "TrainedLayer", "batches", "load_trained"]

#: Images that go through a layer at a time.
BATCH = 100
#: Mean and variance of a layer's sums, by channel.
Statistics = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainedLayer:
    """A layer: what multiplies, and the block that normalises and pools; the last one has none."""

    name: str
    product: BinaryLinear | BinaryConv2d
    block: Block | None

    @property
    def latent(self) -> Tensor:
        """The weights that training moves, w_c: (out, …) float32."""
        return self.product.weight.detach()

    @property
    def binary(self) -> Tensor:
        """Their signs, w_b: the weights that the network multiplies with."""
        return sign(self.latent)

    @cached_property
    def filters(self) -> np.ndarray:
        """The latent weights as one row a channel: (out, fan-in) float32."""
        return self.latent.flatten(1).numpy()

    def sums(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Dot products of ``inputs`` with ``weights`` of the layer's shape, before pooling.

        ``inputs`` is what the layer takes: (N, in), or a map (N, channels, height, width), which is padded
        as in the network. The result is (N, out), or a map.
        """
        x, product = inputs.float(), self.product
        if isinstance(product, BinaryLinear):
            if x.ndim == 4:
                x = x.permute(0, 2, 3, 1).flatten(1)
            return nn.functional.linear(x, weights)
        rows, columns = map(int, product.padding)
        x = nn.functional.pad(
            x, (columns, columns, rows, rows), value=product.fill * product.amplitude
        )
        return nn.functional.conv2d(x, weights, None, product.stride)

    def pooled(self, sums: Tensor) -> Tensor:
        """``sums`` as BatchNorm takes them: the largest of each window, if pooling comes before it."""
        if self.block is not None and self.block.pool == "products":
            return nn.functional.max_pool2d(sums, 2)
        return sums

    def normalised(self, pooled: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Activations a_c that are not yet binarised; :func:`sign` of them is what the block yields.

        BatchNorm has the mean and variance of training, or ``statistics``.
        """
        assert self.block is not None
        norm = self.block.norm
        mean, variance = statistics or (norm.running_mean, norm.running_var)
        # One channel a column, as in the network: the same kernel, the same rounding.
        last = pooled.movedim(1, -1)
        flat = nn.functional.batch_norm(
            last.reshape(-1, last.shape[-1]), mean, variance, norm.weight, norm.bias, eps=norm.eps
        )
        activations = flat.view(last.shape).movedim(-1, 1)
        if self.block.pool == "activations":
            # The largest before the sign has the sign of the largest after it.
            activations = nn.functional.max_pool2d(activations, 2)
        return activations


@dataclass(frozen=True)
class Trained:
    """The network of a training's best epoch so far, in eval mode, and the data of the training."""

    network: BinaryNetwork
    recipe: Recipe
    dataset: Dataset
    #: The best epoch, and those that are done.
    epoch: int
    epochs: int

    @cached_property
    def layers(self) -> list[TrainedLayer]:
        """All layers; the last, which yields the scores, is called so."""
        blocks: list[Any] = list(self.network.blocks)
        names = layer_names(self.network)
        layers = [
            TrainedLayer(name, block.product, block)
            for name, block in zip(names, blocks, strict=True)
        ]
        return [*layers, TrainedLayer("scores", self.network.head, None)]

    @cached_property
    def studied(self) -> list[TrainedLayer]:
        """What the paper speaks of: the convolutions, or without any all hidden layers."""
        hidden = self.layers[:-1]
        return [layer for layer in hidden if isinstance(layer.product, BinaryConv2d)] or hidden

    @property
    def description(self) -> str:
        """The network in a sentence or two."""
        recipe = self.recipe
        maps = ", ".join(f"{out}{' pooled' if pool > 1 else ''}" for out, pool in recipe.features)
        widths = ", ".join(map(str, recipe.hidden))
        parts = [f"3x3 convolutions {maps}"] if recipe.features else []
        parts += [f"dense layers {widths}"] if recipe.hidden else []
        return (
            f"The network: {'; '.join(parts)}; trained on {recipe.dataset} for {self.epochs} of "
            f"{recipe.epochs} epochs, as it was after epoch {self.epoch}, the best on validation images."
        )

    def inputs(self, images: np.ndarray) -> Tensor:
        """``images`` as the first layer takes them."""
        return self.network.shaped(self.network.encode(images))

    def outputs(self, scores: Tensor, statistics: Statistics | None = None) -> Tensor:
        """What the class is chosen by for ``scores`` (N, classes), with other ``statistics`` if given."""
        norm = self.network.norm
        if not isinstance(norm, ClassNorm):
            return scores
        mean, variance = statistics or (norm.running_mean, norm.running_var)
        return nn.functional.batch_norm(
            scores, mean, variance, norm.weight, norm.bias, eps=norm.eps
        )


def load_trained(path: Path, directory: Path | None = None) -> Trained:
    """The network of the training that ``path`` is a checkpoint of; ``directory`` has its data set.

    Raises :class:`CheckpointError`, for a recipe that this version does not know as well,
    :class:`~xnorgrid.recipe.RecipeError` and :class:`~xnorgrid.data.DataError`.
    """
    facts, groups = Checkpoint(path).load()
    try:
        fields = dict(facts["recipe"])
        fields["hidden"] = tuple(fields["hidden"])
        fields["features"] = tuple(tuple(feature) for feature in fields["features"])
        recipe = Recipe(**fields)
        epoch, epochs, best = int(facts["best_epoch"]), int(facts["epoch"]), groups["best"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is of no training that this version of xnorgrid knows: {error}; "
            f"use the version that wrote it"
        ) from None
    if recipe.weight_bits > 1:
        raise CheckpointError(
            f"{path} is of a network whose first layer has weights of {recipe.weight_bits} bits, and the "
            f"geometry is that of binary ones; name the checkpoint of a network with weight_bits 1"
        )
    dataset = load(recipe.dataset, directory)
    with torch.random.fork_rng(devices=[]):
        network = build_network(recipe, dataset)
    try:
        network.load_state_dict(best)
    except RuntimeError:
        raise CheckpointError(
            f"{path} does not hold the weights of the network that its recipe describes; "
            f"delete it and train anew"
        ) from None
    return Trained(network.eval().requires_grad_(False), recipe, dataset, epoch, epochs)


def batches(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Equal parts of ``tensors`` of one length, as many images at a time as memory is made for."""
    return zip(*(tensor.split(BATCH) for tensor in tensors), strict=True)
