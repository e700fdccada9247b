"""Where do several computations of one network first differ?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "first_difference"]


@dataclass(frozen=True)
class Difference:
    """The first neuron, in the first differing layer, on which not all agree."""

    layer: str
    neuron: int
    image: int
    #: What each computed, by its name: a bit of a hidden layer, a score of the last.
    values: dict[str, int]
    #: Values of this layer that differ, over all images and neurons.
    differing: int
    compared: int

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.values.items())
        return (
            f"layer {self.layer!r}, neuron {self.neuron}, image {self.image}: {values} "
            f"({self.differing} of {self.compared} values of this layer differ)"
        )


def first_difference(
    layers: Sequence[str], results: Mapping[str, Sequence[np.ndarray]]
) -> Difference | None:
    """Compare computations layer by layer; ``None`` if all agree on everything.

    ``results`` maps each computation's name to its layers' results, (N, out) integers in the order of
    ``layers``. Of the first layer that differs, the lowest differing neuron is named, on the first image
    on which it does. Raises :class:`ValueError` for results that cannot be compared.
    """
    if len(results) < 2:
        raise ValueError(f"comparing takes two computations or more, not {list(results)}")
    for index, layer in enumerate(layers):
        values = {name: np.asarray(of_layers[index]) for name, of_layers in results.items()}
        shapes = {name: value.shape for name, value in values.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"layer {layer!r}: shapes differ: {shapes}")
        first, *others = values.values()
        differs = np.zeros(first.shape, bool)
        for other in others:
            differs |= first != other
        if differs.any():
            neuron = int(np.flatnonzero(differs.any(axis=0))[0])
            image = int(np.flatnonzero(differs[:, neuron])[0])
            return Difference(
                layer=layer,
                neuron=neuron,
                image=image,
                values={name: int(value[image, neuron]) for name, value in values.items()},
                differing=int(differs.sum()),
                compared=differs.size,
            )
    return None
