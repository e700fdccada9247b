"""Why latent weights are or are not Gaussian: the same small network trained in two ways."""

from __future__ import annotations

import math

import numpy as np

from xnorgrid.data import Dataset, load
from xnorgrid.extras import requires
from xnorgrid.model import Input
from xnorgrid.network import BinaryMLP
from xnorgrid.nn import BinaryLinear, squared_hinge

from .latents import density
from .rows import Section, Settings, reported, within
from .vectors import angles_to_binary

with requires("train"):
    import torch

__all__ = ["training"]

_HIDDEN = (128, 128)
_EPOCHS = 60
_BATCH = 32
_RATES = (3e-3, 3e-6)

_TEXT = """
A network of two hidden layers of 128 on scikit-learn's digits is trained twice, with everything equal but
this: BinaryNet starts latent weights anywhere in ±1 and multiplies their learning rate by
√((fan-in + fan-out)/1.5), as xnorgrid does; the paper's authors start them in Glorot's narrower range and
multiply by nothing. Both clip them to ±1. Steps so much larger carry them to that limit and spread them over
all of the range. With the authors' they never reach it, stay near Gaussian, and have the paper's angles.
"""


def training(settings: Settings) -> Section:
    """Angles and spread of latent weights of a small network, by how it is trained."""
    dataset = load("digits")
    ways = {"BinaryNet": False, "the authors": True}
    trained = {name: _train(dataset, glorot, settings.seed) for name, glorot in ways.items()}
    rows, grid = [], np.linspace(-1, 1, 101)
    for name, products in trained.items():
        for number, product in enumerate(products, 1):
            weights = product.weight.detach().numpy()
            what = f"hidden layer {number}, trained like {name}"
            angle = float(np.degrees(angles_to_binary(weights)).mean())
            key = f"{'authors' if ways[name] else 'binarynet'}.{number}"
            if ways[name]:
                rows.append(
                    within(f"training.angle.{key}", f"mean angle, {what}", angle, 35, 43, unit="°",
                           paper="close correspondence with 37°")
                )  # fmt: skip
            else:
                rows.append(
                    reported(f"training.angle.{key}", f"mean angle, {what}", angle, unit="°")
                )
            rows += [
                reported(f"training.std.{key}", f"σ of the latent weights, {what}", weights.std()),
                reported(f"training.limit.{key}", f"latent weights at ±1, {what}",
                         100 * float((np.abs(weights) >= 1).mean()), unit=" %"),
            ]  # fmt: skip
    return Section(
        key="training",
        title="Control: the way of training decides the law of latent weights",
        source="the authors' code and BinaryNet's",
        text=_TEXT,
        rows=tuple(rows),
        curves={
            "grid": grid,
            "weights": {
                name: density(products[-1].weight.detach().numpy().ravel(), grid, 0.03)
                for name, products in trained.items()
            },
        },
    )


def _train(dataset: Dataset, glorot: bool, seed: int) -> list[BinaryLinear]:
    """The hidden layers after training; ``glorot`` is the authors' way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        source = Input((8, 8), "threshold", dataset.maximum, dataset.threshold)
        network = BinaryMLP((64, *_HIDDEN, len(dataset.labels)), source)
        products = [module for module in network.modules() if isinstance(module, BinaryLinear)]
        groups = []
        for product in products:
            if glorot:
                torch.nn.init.xavier_uniform_(product.weight)
            scale = 1.0 if glorot else product.rate_scale
            groups.append({"params": [product.weight], "scale": scale})
        latent = {id(product.weight) for product in products}
        rest = [parameter for parameter in network.parameters() if id(parameter) not in latent]
        optimiser = torch.optim.Adam([*groups, {"params": rest, "scale": 1.0}], lr=_RATES[0])
        images = network.encode(dataset.train_images)
        labels = torch.from_numpy(dataset.train_labels.copy())
        for epoch in range(_EPOCHS):
            rate = _RATES[0] * math.pow(_RATES[1] / _RATES[0], epoch / _EPOCHS)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["scale"]
            # Of a last, smaller batch BatchNorm's statistics would be worse.
            for chosen in torch.randperm(len(images)).split(_BATCH)[:-1]:
                loss = squared_hinge(network(images[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                network.clip()
    return products[:-1]
