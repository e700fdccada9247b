"""A network on labelled images, and what becomes of its accuracy when one layer is altered.

Everything runs on the integer reference. A network from some layer on is a model of its own, so that an
altered layer costs that layer and what follows, not the whole network.
"""

from __future__ import annotations

import dataclasses
from functools import cache, cached_property

import numpy as np

from xnorgrid.sim import reference

from .image_choice import CommandError
from .model import Conv, Input, Layer, Model

__all__ = ["Change", "Trial", "pooled", "sums_of"]

#: Bytes of all layers' sums that are held at a time, about: the reference takes 5 a sum, we 8 more of one.
_BYTES = 3 << 30


@dataclasses.dataclass(frozen=True)
class Change:
    """What an alteration does to the accuracy, in points (percent of the images)."""

    points: float
    #: Standard error: only images that it puts right or wrong tell anything.
    error: float

    @property
    def significant(self) -> bool:
        """Whether it is a gain of more than three standard errors and a point."""
        return self.points > max(1, 3 * self.error)


class Trial:
    """``model`` on ``images`` (N, …) of classes ``labels`` (N,), N from 1.

    Raises :class:`CommandError` if the sums of so many images would not fit a small computer's memory.
    """

    def __init__(self, model: Model, images: np.ndarray, labels: np.ndarray) -> None:
        self.model, self.images, self.labels = model, images, labels
        each = 13 * sum(
            layer.channels * layer.positions(model.input_shape(index))
            for index, layer in enumerate(model.layers)
        )
        if each * len(images) > _BYTES:
            raise CommandError(
                f"the sums of {len(images):,} images of model {model.name!r} would take "
                f"{each * len(images) / (1 << 30):.1f} GiB of memory; "
                f"take {max(1, _BYTES // each):,} or fewer (--count)"
            )
        self._tail = cache(self._make_tail)

    @cached_property
    def results(self) -> list[reference.LayerResult]:
        """Every layer's result as the network is."""
        return reference.layers(self.model, self.images)

    @cached_property
    def right(self) -> np.ndarray:
        """Which images (N,) the network as it is puts into their class."""
        return self.right_scores(self.results[-1].values)

    @property
    def accuracy(self) -> float:
        """Share of the images put into their class."""
        return float(self.right.mean())

    def change(self, right: np.ndarray) -> Change:
        """How an alteration that puts images ``right`` compares with the network as it is."""
        won, lost = int((right & ~self.right).sum()), int((self.right & ~right).sum())
        share = 100 / len(right)
        return Change((won - lost) * share, (won + lost) ** 0.5 * share)

    def inputs(self, index: int) -> np.ndarray:
        """What layer ``index`` takes: the images, or the bits of the layer before it."""
        return self.images if index == 0 else self.results[index - 1].values

    def from_layer(self, index: int, inputs: np.ndarray) -> list[reference.LayerResult]:
        """Results of layer ``index`` and all that follow for ``inputs`` as of :meth:`inputs`."""
        return reference.layers(self._tail(index), inputs)

    def right_with_bits(self, index: int, bits: np.ndarray) -> np.ndarray:
        """Which images are right if hidden layer ``index`` yields ``bits``."""
        return self.right_scores(reference.scores(self._tail(index + 1), bits))

    def right_with_layer(self, index: int, layer: Layer) -> np.ndarray:
        """Which images are right if ``layer`` takes the place of layer ``index``."""
        tail = self._tail(index)
        altered = dataclasses.replace(tail, layers=(layer, *tail.layers[1:]))
        return self.right_scores(reference.scores(altered, self.inputs(index)))

    def sums_with_layer(self, index: int, layer: Layer, inputs: np.ndarray) -> np.ndarray:
        """Sums, pooled, of ``layer`` in the place of hidden layer ``index``, for ``inputs`` of it."""
        tail = self._tail(index)
        altered = dataclasses.replace(tail, layers=(layer, *tail.layers[1:]))
        first = reference.layers(altered, inputs)[0]
        return pooled(sums_of(layer, first, self.model.amplitude(index)), layer)

    def values(self, index: int) -> np.ndarray:
        """What enters the sums of layer ``index``: ±1, or 2u - maximum for pixels u."""
        return reference.inputs(self._tail(index), self.inputs(index))

    def right_scores(self, scores: np.ndarray) -> np.ndarray:
        """Which images are right by ``scores`` (N, classes) of the last layer."""
        right: np.ndarray = self.model.outputs(scores).argmax(1) == self.labels
        return right

    def _make_tail(self, index: int) -> Model:
        """The network from layer ``index`` on, with bits as its input unless that is the first."""
        if index == 0:
            return self.model
        return Model(
            name=self.model.name,
            input=Input(self.model.input_shape(index)),
            layers=self.model.layers[index:],
            affine=self.model.affine,
        )


def sums_of(layer: Layer, result: reference.LayerResult, amplitude: int) -> np.ndarray:
    """Sums s (N, …, out) int64 of ``layer`` before pooling: 2p - n, with inputs up to ``amplitude``."""
    factor = 1 if layer.counts_halves else 2
    sums: np.ndarray = factor * result.agreeing.astype(np.int64) - layer.fan_in * amplitude
    return sums


def pooled(sums: np.ndarray, layer: Layer) -> np.ndarray:
    """Largest of each window of ``sums`` that ``layer`` pools.

    A pooled bit is the threshold of the largest sum: OR comes before the inversion of a falling channel.
    """
    if not isinstance(layer, Conv) or layer.pool == 1:
        return sums
    count, height, width, channels = sums.shape
    rows, columns = height // layer.pool, width // layer.pool
    cut = sums[:, : rows * layer.pool, : columns * layer.pool]
    split = cut.reshape(count, rows, layer.pool, columns, layer.pool, channels)
    return split.max((2, 4))
