"""Where do several computations of one network first differ?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "first_difference"]


@dataclass(frozen=True)
class Difference:
    """The first neuron, in the first differing layer, on which not all agree.

    In a feature map, ``neuron`` is the channel and ``position`` its row and column; otherwise ``None``.
    """

    layer: str
    neuron: int
    position: tuple[int, int] | None
    image: int
    #: What each computed, by its name: a bit of a hidden layer, a score of the last.
    values: dict[str, int]
    #: Values of this layer that differ, over all images and neurons.
    differing: int
    compared: int

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.values.items())
        where = f"neuron {self.neuron}"
        if self.position is not None:
            where = f"channel {self.neuron}, row {self.position[0]}, column {self.position[1]}"
        return (
            f"layer {self.layer!r}, {where}, image {self.image}: {values} "
            f"({self.differing} of {self.compared} values of this layer differ)"
        )


def first_difference(
    layers: Sequence[str], results: Mapping[str, Sequence[np.ndarray]]
) -> Difference | None:
    """Compare computations layer by layer; ``None`` if all agree on everything.

    ``results`` maps each computation's name to its layers' results, integers (N, out) or
    (N, height, width, out), in the order of ``layers``. Of the first layer that differs, the lowest
    differing neuron or channel is named, on the first image on which it does, at the first such
    position there, row by row. Raises :class:`ValueError` for results that cannot be compared.
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
            by_position = differs.reshape(len(first), -1, first.shape[-1])
            neuron = int(np.flatnonzero(by_position.any(axis=(0, 1)))[0])
            image, flat = (int(k) for k in np.argwhere(by_position[:, :, neuron])[0])
            position = divmod(flat, first.shape[2]) if first.ndim == 4 else None
            at = (image, *(position or ()), neuron)
            return Difference(
                layer=layer,
                neuron=neuron,
                position=position,
                image=image,
                values={name: int(value[at]) for name, value in values.items()},
                differing=int(differs.sum()),
                compared=differs.size,
            )
    return None
