"""Angles between the latent and the binary weights of a trained network, layer by layer."""

from __future__ import annotations

import math

import numpy as np

from .rows import Row, Section, near, reported, within
from .trained import Trained, TrainedLayer
from .vectors import angles_to_binary

__all__ = ["density", "latents", "mode"]

#: As in the authors' code: radians of the angles' kernel, and kernel and count of the weights'.
_BANDWIDTH = 0.01
_WEIGHT_BANDWIDTH = 0.1
_WEIGHTS = 10_000


_TEXT = """
The angle between the latent weights w_c of a channel and their signs w_b, over the channels of each layer.
The mode is that of a density with a Gaussian kernel of 0.01 radians. Latent weights are clipped to ±1.

Where the angle is not that of Gaussian weights, the rows on independent weights tell why: they have the angle
arccos(E|w|/√E w²) of the layer's own histogram. It is 37.1° for a Gaussian one, 30° for a uniform one, and
smaller still where clipping has piled weights up at ±1. That it is the way of training that makes one or the
other is shown by the control that follows.
"""


def density(values: np.ndarray, grid: np.ndarray, bandwidth: float) -> np.ndarray:
    """Density of ``values`` on ``grid``, smoothed by a Gaussian kernel of σ ``bandwidth``."""
    distances = (grid[:, None] - values) / bandwidth
    kernel = np.exp(-np.square(distances) / 2).mean(1)
    return np.asarray(kernel / (bandwidth * math.sqrt(2 * math.pi)))


def mode(angles: np.ndarray) -> float:
    """Where the density of ``angles``, in degrees, is largest."""
    grid = np.linspace(0, 90, 3601)
    return float(grid[density(angles, grid, math.degrees(_BANDWIDTH)).argmax()])


def latents(trained: Trained) -> Section:
    """Angles, their spread against the fan-in, and the histograms of the latent weights."""
    layers = trained.layers[:-1]
    studied = trained.studied
    angles = {layer.name: _angles(layer) for layer in layers}
    first, later = studied[0], studied[1:]
    rows = [
        within(
            f"latents.mode.{layer.name}", f"mode of the angle, {_of(layer)}",
            mode(angles[layer.name]), 35, 43, unit="°",
            paper="close correspondence with 37°", because=f"latents.law.{layer.name}",
        )
        for layer in later
    ]  # fmt: skip
    rows.append(
        reported(f"latents.mode.{first.name}", f"mode of the angle, {_of(first)}",
                 mode(angles[first.name]), unit="°", paper="figure only")
    )  # fmt: skip
    rows += [
        reported(f"latents.mean.{layer.name}", f"mean angle, {_of(layer)}",
                 angles[layer.name].mean(), unit="°")
        for layer in layers
    ]  # fmt: skip
    rows += [_law(layer, angles[layer.name]) for layer in later]
    rows += [
        reported(f"latents.sigma.{layer.name}", f"σ of the angle, {_of(layer)}",
                 angles[layer.name].std(), unit="°")
        for layer in layers
    ]  # fmt: skip
    rows += _scaling(studied, angles)
    rows += [
        near(f"latents.positive.{layer.name}", f"share of +1 weights, {layer.name}",
             float((layer.filters >= 0).mean()), 0.5, 0.1, "as many of either sign")
        for layer in later
    ]  # fmt: skip
    rows += [
        reported(f"latents.std.{layer.name}", f"σ of the latent weights, {layer.name}",
                 layer.filters.std(), paper="0.18, code of the ternary version")
        for layer in later
    ]  # fmt: skip
    rows += [
        reported(f"latents.limit.{layer.name}", f"latent weights at ±1, {layer.name}",
                 100 * float((np.abs(layer.filters) >= 1).mean()), unit=" %")
        for layer in studied
    ]  # fmt: skip
    grid = np.linspace(-1, 1, 101)
    return Section(
        key="latents",
        title="Inside a trained network: angles between latent and binary weights",
        source="section 3.1, figure 2",
        text=_TEXT,
        rows=tuple(rows),
        curves={
            "angles": {layer.name: angles[layer.name] for layer in studied},
            "fan_in": {layer.name: layer.product.fan_in for layer in studied},
            "grid": grid,
            "weights": {
                layer.name: density(layer.filters.ravel()[:_WEIGHTS], grid, _WEIGHT_BANDWIDTH)
                for layer in studied
            },
        },
    )


def _of(layer: TrainedLayer) -> str:
    return f"{layer.name}, n = {layer.product.fan_in}"


def _angles(layer: TrainedLayer) -> np.ndarray:
    return np.degrees(angles_to_binary(layer.filters))


def _law(layer: TrainedLayer, angles: np.ndarray) -> Row:
    """The mean angle, held to that of independent weights with the layer's histogram."""
    weights = layer.filters.astype(np.float64)
    cosine = np.abs(weights).mean() / math.sqrt(np.square(weights).mean())
    return near(
        f"latents.law.{layer.name}", f"mean angle, {layer.name}, by its histogram", angles.mean(),
        math.degrees(math.acos(min(1, cosine))), 0.5, "independent weights", unit="°",
    )  # fmt: skip


def _scaling(studied: list[TrainedLayer], angles: dict[str, np.ndarray]) -> list[Row]:
    """How σ falls with the fan-in, if there are two of these, and all have a spread."""
    fan_in = [layer.product.fan_in for layer in studied]
    spreads = [angles[layer.name].std() for layer in studied]
    if len(set(fan_in)) < 2 or min(spreads) == 0:
        return []
    slope, _ = np.polyfit(np.log(fan_in), np.log(spreads), 1)
    return [
        near(
            "latents.scaling", "slope of log σ of the angle against log n", slope, -0.5, 0.2,
            "the paper", paper="σ ∝ n^-½",
        )
    ]  # fmt: skip
