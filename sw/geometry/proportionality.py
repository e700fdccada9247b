"""Dot products before and after binarising inside a trained network, on real and on permuted activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xnorgrid.extras import requires
from xnorgrid.nn import sign

from .pairs import Pairs
from .products import pooled_moments
from .rows import Row, Section, Settings, near, reported, within
from .trained import Trained, TrainedLayer, batches

with requires("train"):
    import torch
    from torch import Tensor

__all__ = ["Measured", "measure", "permutation", "predicted", "proportionality", "through"]

#: Test images, as in the authors' code.
IMAGES = 500


@dataclass(frozen=True)
class Measured:
    """Dot products of one layer."""

    layer: TrainedLayer
    #: a_b·w_b against a_b·w_c: what the layer takes, with binary and with latent weights.
    weights: Pairs
    #: The same after all entries of a_b changed places at random.
    permuted: Pairs
    #: What ``permuted.r`` is for independent entries of their mean and variance.
    predicted: float
    #: a_c·w_b against a_b·w_b: the activations that a_b is binarised from; the first layer has none.
    activations: Pairs | None


def measure(
    trained: Trained, settings: Settings, told: Callable[[], Any] = lambda: None
) -> list[Measured]:
    """Dot products of all hidden layers on the first test images; ``told`` is called after each layer."""
    images = trained.dataset.test_images[:IMAGES]
    binary, continuous, found = trained.inputs(images), None, []
    for layer in trained.layers[:-1]:
        generator = settings.generator(f"permutation {layer.name}")
        shuffled = generator.permutation(binary.numpy().ravel())
        permuted = torch.from_numpy(shuffled).view(binary.shape)
        weights = layer.binary, layer.latent
        found.append(
            Measured(
                layer,
                through(layer, (binary, binary), weights),
                through(layer, (permuted, permuted), weights),
                predicted(layer, binary),
                None
                if continuous is None
                else through(layer, (continuous, binary), weights[:1] * 2),
            )
        )
        parts = [
            layer.normalised(layer.pooled(layer.sums(part, layer.binary)))
            for (part,) in batches(binary)
        ]
        continuous = torch.cat(parts)
        binary = sign(continuous).to(torch.int8)
        told()
    return found


def through(
    layer: TrainedLayer, inputs: tuple[Tensor, Tensor], weights: tuple[Tensor, Tensor]
) -> Pairs:
    """Dot products of the first of ``inputs`` with the first of ``weights`` against those of the second."""
    pairs: Pairs | None = None
    for parts in batches(*inputs):
        x, y = (
            layer.sums(part, weight).numpy() for part, weight in zip(parts, weights, strict=True)
        )
        if pairs is None:
            pairs = Pairs(x[0].size * len(inputs[0]))
        pairs.add(x, y)
    assert pairs is not None
    return pairs


def predicted(layer: TrainedLayer, inputs: Tensor) -> float:
    """What r of a·w_b and a·w_c is for independent entries a of the mean and variance of ``inputs``.

    Exact with padding, too, which is not random: near the border fewer entries are.
    """
    total = sum(float(part.sum(dtype=torch.float64)) for (part,) in batches(inputs))
    mean = total / inputs.numel()
    squares = sum(float((part.double() - mean).square().sum()) for (part,) in batches(inputs))
    variance = squares / inputs.numel()
    level = torch.full_like(inputs[:1], 0, dtype=torch.float32)
    binary, latent = layer.binary, layer.latent
    means = tuple(layer.sums(level + mean, weights).numpy() for weights in (binary, latent))

    def spread(one: Tensor, other: Tensor) -> np.ndarray:
        """Variance of one entry times the products of the weights of those that are random."""
        # Padding is no entry, whatever it holds.
        none = layer.sums(level, one * other)
        return variance * (layer.sums(level + 1, one * other) - none).numpy()

    return pooled_moments(
        means, (spread(binary, binary), spread(binary, latent), spread(latent, latent))
    )


_PROPORTIONALITY = """
Training pretends that the network multiplies with its latent weights w_c, though it multiplies with their
signs w_b. That is right as far as a·w_b is proportional to a·w_c: BatchNorm, which follows, takes out the
factor. r is Pearson's over all channels, positions and the first {images} test images, before pooling; a_b is
what the layer takes, pixels in the first one, binary activations in all others. The slope is that of a·w_c
on a·w_b. Signs agree unless a pair lies in a shaded quadrant. In the last rows a_c is what a_b is the sign
of: the output of BatchNorm.
"""

_PERMUTATION = """
r can be high because w_b points where w_c does, or because both respond to what varies most in the data. When
all entries of a layer's input change places at random, only the former is left: r is then the cosine of the
weights, pooled over channels. The prediction counts in that activations have a mean, and that padding stays
where it is: it is exact for independent entries.
"""


def proportionality(trained: Trained, measured: list[Measured]) -> Section:
    """Correlation, slope and equal signs of dot products with binary and with latent weights, by layer."""
    studied = {layer.name for layer in trained.studied}
    first, *later = [found for found in measured if found.layer.name in studied]
    rest = [found for found in measured if found.layer.name not in studied]
    rows = [
        within(
            f"proportionality.r.{found.layer.name}", f"r(a_b·w_b, a_b·w_c), {found.layer.name}",
            found.weights.r, 0.9, None, paper="highly correlated; figure only",
        )
        for found in later
    ]  # fmt: skip
    rows += _first(first, later)
    rows += [
        reported(f"proportionality.r.{found.layer.name}", f"r(a_b·w_b, a_b·w_c), {found.layer.name}",
                 found.weights.r)
        for found in rest
    ]  # fmt: skip
    rows += [
        within(f"proportionality.sign.{found.layer.name}", f"equal signs, {found.layer.name}",
               100 * found.weights.sign_agreement, 85, None, unit=" %", paper="figure only")
        for found in later
    ]  # fmt: skip
    rows += [
        reported(f"proportionality.sign.{found.layer.name}", f"equal signs, {found.layer.name}",
                 100 * found.weights.sign_agreement, unit=" %")
        for found in (first, *rest)
    ]  # fmt: skip
    rows += [
        reported(f"proportionality.slope.{found.layer.name}",
                 f"slope of a_b·w_c on a_b·w_b, {found.layer.name}", found.weights.slope)
        for found in measured
    ]  # fmt: skip
    rows += [
        within(f"proportionality.activations.{found.layer.name}",
               f"r(a_c·w_b, a_b·w_b), {found.layer.name}", found.activations.r, 0.7, None,
               paper="figure only")
        for found in later
        if found.activations is not None
    ]  # fmt: skip
    return Section(
        key="proportionality",
        title="Inside a trained network: dot products before and after binarising",
        source="section 3.2, figures 3 and 4",
        text=_PROPORTIONALITY.format(images=min(IMAGES, len(trained.dataset.test_images))),
        rows=tuple(rows),
        curves={
            "weights": [_curve(found.layer.name, found.weights) for found in (first, *later)],
            "activations": [
                _curve(found.layer.name, found.activations)
                for found in later
                if found.activations is not None
            ],
        },
    )


def _first(first: Measured, later: list[Measured]) -> list[Row]:
    name = first.layer.name
    what = f"r(a_b·w_b, a_b·w_c), {name}, which takes the images"
    if not later:
        return [reported(f"proportionality.r.{name}", what, first.weights.r)]
    least = min(found.weights.r for found in later)
    row = within(
        f"proportionality.r.{name}", what, first.weights.r, None, least - 0.1,
        paper="much smaller; figure only",
    )  # fmt: skip
    return [row]


def permutation(trained: Trained, measured: list[Measured]) -> Section:
    """The same correlations after permuting the activations, against their closed form."""
    studied = {layer.name for layer in trained.studied}
    found = [one for one in measured if one.layer.name in studied]
    rows = [
        near(
            f"permutation.r.{one.layer.name}", f"r of permuted activations, {one.layer.name}",
            one.permuted.r, one.predicted, 0.01, "pooled cosine of the weights",
            paper="w·v / (‖w‖·‖v‖)",
        )
        for one in found
    ]  # fmt: skip
    first, *later = found
    name = first.layer.name
    rows.append(
        within(
            f"permutation.change.{name}", f"change of r by permuting, {name}",
            first.permuted.r - first.weights.r, 0, None, paper="increases",
        )
    )  # fmt: skip
    rows += [
        within(
            f"permutation.change.{one.layer.name}", f"change of r by permuting, {one.layer.name}",
            one.permuted.r - one.weights.r, None, 0, paper="decreases substantially",
        )
        for one in later
    ]  # fmt: skip
    return Section(
        key="permutation",
        title="Inside a trained network: the same without the data's structure",
        source="section 3.3, SI 5.3",
        text=_PERMUTATION,
        rows=tuple(rows),
        curves={
            "layers": [one.layer.name for one in found],
            "r": [one.weights.r for one in found],
            "permuted": [one.permuted.r for one in found],
            "predicted": [one.predicted for one in found],
        },
    )


def _curve(name: str, pairs: Pairs) -> dict[str, Any]:
    return {
        "name": name,
        "pairs": pairs.drawn,
        "r": pairs.r,
        "slope": pairs.slope,
        "means": pairs.means,
    }
