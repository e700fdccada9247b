"""What each layer of a model is to the array: loops, layouts, and how much memory it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xnorgrid.hw.config import ArrayConfig

from .layers import Conv, Layer
from .layout import Layout
from .model import Model
from .packing import word_count

__all__ = ["LayerPlace", "ModelDoesNotFit", "UnsupportedLayers", "place"]

#: Word 0 of weight and activation memories holds zeros.
RESERVED_WORDS = 1
#: Iterations of one loop: the nest keeps what is left with a sign.
_MAX_COUNT = 1 << 15


class ModelDoesNotFit(ValueError):
    """The model needs more than the configuration has; the message lists all that is short."""


class UnsupportedLayers(ModelDoesNotFit):
    """Layers that the array cannot run; the message lists each with the reason and what would do.

    ``problems`` holds (layer, reason and remedy) for each.
    """

    def __init__(self, message: str, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class LayerPlace:
    """A layer as the array runs it: a kernel that moves over a map, or covers it once if it is dense.

    ``source`` and ``result`` say how inputs and outputs lie in memory, from ``source_base`` and
    ``result_base`` on. A first convolution whose windows are laid out one by one (``windows_apart``) is a
    kernel of one position.
    """

    index: int
    layer: Layer
    amplitude: int
    #: Height and width of what a convolution moves over, without padding.
    map_shape: tuple[int, int]
    source: Layout
    result: Layout
    kernel: tuple[int, int]
    stride: int
    pool: int
    rows: int
    windows_apart: bool = False
    source_base: int = 0
    result_base: int = 0

    @property
    def scores(self) -> bool:
        """Whether integer sums leave the array, not bits."""
        return self.layer.thresholds is None

    @property
    def tiles(self) -> int:
        """Groups of ``rows`` output channels."""
        return word_count(self.layer.channels, self.rows)

    @property
    def tile_bits(self) -> int:
        """Result bits that one tile leaves at each position."""
        return self.result.channels // self.tiles if self.scores else self.rows

    @property
    def weight_words(self) -> int:
        """Words of weights of one channel."""
        return math.prod(self.kernel) * self.source.words

    @property
    def sum_beats(self) -> int:
        """Beats of one sum: every word of the kernel with every plane."""
        return self.weight_words * self.source.planes

    def weight_bits(self, inverted: np.ndarray) -> np.ndarray:
        """Bits (channels, weight_words * lanes) uint8 to compare with inputs of which some are ``inverted``.

        ``inverted`` is bool, one an input channel (the last axis of the source's maps).
        """
        height, width = self.kernel
        shape = (self.layer.channels, height, width, self.source.channels)
        bits = np.zeros((*shape[:3], self.source.words * self.source.lanes), np.uint8)
        bits[..., : self.source.channels] = self.layer.weights.reshape(shape) ^ inverted
        return bits.reshape(self.layer.channels, -1)

    @property
    def accumulator_bits(self) -> int:
        """Bits that the sums take: they lie in -(fan_in * amplitude + 1) … fan_in * amplitude.

        Filling a border counts the lanes of one word.
        """
        lanes = self.result.lanes if any(self.result.border) else 0
        return max(self.layer.fan_in * self.amplitude, lanes).bit_length() + 1


def place(model: Model, config: ArrayConfig) -> tuple[LayerPlace, ...]:
    """Return how ``config`` runs each layer of ``model``, without addresses.

    Raises :class:`UnsupportedLayers` that lists all layers that no size of the memories would help.
    """
    places = _places(model, config)
    problems = [(at.layer.name, text) for at in places for text in _problems(at, config)]
    if not problems:
        return places
    lines = "; ".join(f"layer {name!r}: {text}" for name, text in problems)
    array = f"{config.rows} x {config.cols} x {config.lanes} lanes"
    raise UnsupportedLayers(f"model {model.name!r}: {array} cannot run it: {lines}", problems)


def _places(model: Model, config: ArrayConfig) -> tuple[LayerPlace, ...]:
    lanes = config.lanes
    places: list[LayerPlace] = []
    source = _input_layout(model, lanes)
    for index, layer in enumerate(model.layers):
        apart = isinstance(layer, Conv) and index == 0 and _windows_apart(model, lanes)
        if isinstance(layer, Conv) and not apart:
            kernel, stride = layer.kernel, layer.stride
        elif apart:
            kernel, stride = (1, 1), 1
        else:
            kernel, stride = (source.height, source.width), 1
        height, width, channels = (1, 1, *model.shapes[index])[-3:]
        if layer.thresholds is None:
            channels = word_count(channels, config.rows) * config.rows * config.accumulator_bits
        after = model.layers[index + 1] if index + 1 < len(model.layers) else None
        border = after.padding if isinstance(after, Conv) else (0, 0)
        result = Layout(height, width, channels, lanes, border)
        places.append(
            LayerPlace(
                index=index,
                layer=layer,
                amplitude=model.amplitude(index),
                map_shape=_map_shape(model, index),
                source=source,
                result=result,
                kernel=kernel,
                stride=stride,
                pool=layer.pool if isinstance(layer, Conv) else 1,
                rows=config.rows,
                windows_apart=apart,
            )
        )
        source = result
    return tuple(places)


def _map_shape(model: Model, index: int) -> tuple[int, int]:
    """Height and width of what layer ``index`` takes; a dense layer takes one position."""
    shape = model.input_shape(index)
    return (shape[0], shape[1]) if isinstance(model.layers[index], Conv) else (1, 1)


def _windows_apart(model: Model, lanes: int) -> bool:
    """Whether laying out each window of the first convolution by itself saves words of a sum.

    It does where a position has few channels: 27 bits of a 3x3x3 window are one word of 32 lanes, not nine.
    """
    first = model.layers[0]
    assert isinstance(first, Conv)
    return word_count(first.fan_in, lanes) < math.prod(first.kernel) * word_count(
        first.weights.shape[3], lanes
    )


def _input_layout(model: Model, lanes: int) -> Layout:
    first, planes = model.layers[0], model.input.planes
    if not isinstance(first, Conv):
        return Layout(1, 1, model.input.encoded.size, lanes, planes=planes)
    if _windows_apart(model, lanes):
        height, width, _ = model.shapes[0]
        return Layout(height * first.pool, width * first.pool, first.fan_in, lanes, planes=planes)
    return Layout(*model.input.encoded.map_shape, lanes, first.padding, planes)


def _problems(at: LayerPlace, config: ArrayConfig) -> list[str]:
    """Why ``config`` cannot run a layer however large its memories, each with what would do."""
    problems = []
    if at.accumulator_bits > config.accumulator_bits:
        sums = at.layer.fan_in * at.amplitude
        reach = f"its sums reach {sums}"
        if sums.bit_length() < at.accumulator_bits - 1:
            reach = f"filling the border around its results counts {at.result.lanes} lanes"
        problems.append(
            f"{reach}, which takes {at.accumulator_bits} accumulator bits, but there are "
            f"{config.accumulator_bits}: raise accumulator_bits to {at.accumulator_bits}"
            + (", or feed it fewer bits a pixel" if at.amplitude > 1 else "")
        )
    loops = {
        "words in a row of its kernel": at.kernel[1] * at.source.words,
        "rows in its kernel": at.kernel[0],
        "rows or columns to pool": at.pool,
        "tiles of output channels": at.tiles,
        "rows or columns of its output": max(at.result.height, at.result.width),
    }
    for what, count in loops.items():
        if count > _MAX_COUNT:
            problems.append(
                f"it has {count} {what}, but a loop counts to {_MAX_COUNT}: make the layer smaller"
            )
    return problems
