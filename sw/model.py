"""A folded binary network: bits and integer thresholds, independent of any array configuration.

:func:`xnorgrid.modelfile.save` and :func:`xnorgrid.modelfile.load` keep it in a file,
:func:`xnorgrid.construct.from_arrays` makes one from plain numpy arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .checks import (
    ModelError,
    assign,
    frozen,
    integers,
    items,
    json_object,
    require_text,
    same_array,
    shown,
    type_of,
)
from .encoding import ENCODINGS, Encoding
from .layers import MAX_DIMENSION, Conv, Dense, Layer

__all__ = ["Conv", "Dense", "Input", "Layer", "Model", "ModelError", "describe"]

_PLAIN = ("bits", "threshold", "pixels")

_MAX_LAYERS = 256
#: Largest count of a layer. A score and the gain of a class then have 53 bits together: float64 is exact.
_MAX_COUNT = 1 << 29


@dataclass(frozen=True)
class Input:
    """What the network is fed.

    ``kind`` is ``"bits"`` (values 0/1, bool, or -1/+1), ``"threshold"`` (integer pixels in
    0 … ``maximum``; the bit is ``pixel >= threshold``), ``"pixels"`` (integer pixels u in
    0 … ``maximum``, a power of two less one; the input is 2u - maximum, all of its bits), or that of an
    ``encoding``, which makes values of integer pixels on the host; :attr:`encoded` says what it gives.
    Images are flattened in C order: the last axis of ``shape`` is fastest; of a feature map the axes are
    height, width and channels. Raises :class:`ModelError` for values outside these.
    """

    shape: tuple[int, ...]
    kind: str = "bits"
    maximum: int = 1
    threshold: int = 1
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        shape = integers("input: shape", self.shape)
        if not shape or min(shape) < 1 or math.prod(shape) > MAX_DIMENSION:
            raise ModelError(
                f"input: shape must be of positive sizes with a product up to {MAX_DIMENSION}, "
                f"not {shown(self.shape)}"
            )
        if self.kind not in (*_PLAIN, *ENCODINGS):
            raise ModelError(
                f"input: kind must be one of {', '.join((*_PLAIN, *ENCODINGS))}, not {shown(self.kind)}"
            )
        if not isinstance(self.encoding, ENCODINGS.get(self.kind, type(None))):
            raise ModelError(
                f"input: kind {self.kind!r} goes with "
                f"{'its' if self.kind in ENCODINGS else 'no'} encoding, not {shown(self.encoding)}"
            )
        maximum, threshold = integers(
            "input: maximum and threshold", (self.maximum, self.threshold)
        )
        if not 1 <= maximum <= 0xFFFF:
            raise ModelError(f"input: maximum must be in 1 … 65535, not {maximum}")
        if not 0 <= threshold <= maximum + 1:
            raise ModelError(
                f"input: threshold must be in 0 … {maximum + 1} (maximum + 1), not {threshold}"
            )
        if self.kind == "bits" and (maximum, threshold) != (1, 1):
            raise ModelError(
                "input: kind 'bits' goes with maximum 1 and threshold 1, "
                f"not {maximum} and {threshold}"
            )
        if self.kind == "pixels" and (maximum & (maximum + 1) or threshold != 1):
            raise ModelError(
                "input: kind 'pixels' goes with a maximum of a power of two less one and threshold 1, "
                f"not {maximum} and {threshold}"
            )
        if self.encoding is not None:
            if threshold != 1:
                raise ModelError(
                    f"input: kind {self.kind!r} goes with threshold 1, not {threshold}"
                )
            self.encoding.check(shape, maximum)
            size = math.prod(self.encoding.shape(shape))
            if size > MAX_DIMENSION:
                raise ModelError(
                    f"input: encoded, an image becomes {size} values, and the limit is {MAX_DIMENSION}"
                )
        assign(self, shape=shape, maximum=maximum, threshold=threshold)

    @property
    def encoded(self) -> Input:
        """The input as the first layer sees it: bits or pixels, of the shape that encoding gives."""
        if self.encoding is None:
            return self
        maximum = self.encoding.maximum(self.maximum)
        shape = self.encoding.shape(self.shape)
        return Input(shape) if maximum == 1 else Input(shape, "pixels", maximum)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return ``values`` (N, size), bits or pixels, as they enter the first layer: (N, encoded.size)."""
        if self.encoding is None:
            return values
        return self.encoding.values(values.reshape(-1, *self.shape), self.maximum)

    @property
    def planes(self) -> int:
        """Bits of each value that enters the first layer."""
        return self.amplitude.bit_length()

    @property
    def amplitude(self) -> int:
        """Largest absolute value that enters the first layer: 2 ** planes - 1."""
        if self.encoding is not None:
            return self.encoding.maximum(self.maximum)
        return self.maximum if self.kind == "pixels" else 1

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as a feature map.

        An image (height, width) has one channel. Raises :class:`ModelError` for any other number of axes.
        """
        if len(self.shape) not in (2, 3):
            raise ModelError(
                f"input: shape {self.shape} is no feature map; a convolution takes (height, width) or "
                f"(height, width, channels)"
            )
        height, width, channels = (*self.shape, 1)[:3]
        return height, width, channels

    @property
    def size(self) -> int:
        """Values of an image."""
        return math.prod(self.shape)

    def entry(self) -> dict[str, Any]:
        """The fields, JSON-ready, those of the encoding among them."""
        return {
            "kind": self.kind,
            "maximum": self.maximum,
            "shape": list(self.shape),
            "threshold": self.threshold,
            **({} if self.encoding is None else self.encoding.fields()),
        }


@dataclass(frozen=True, eq=False)
class Model:
    """Layers from input to scores; the last layer, and only the last, is a score layer.

    ``provenance`` is JSON-ready: how it was trained, on what, with what accuracy. ``batchnorm`` maps
    a hidden layer's name to float32 (4, out) rows weight (gamma), bias (beta), running mean and running
    variance and, with ``batchnorm_eps``, lets the PyTorch network be rebuilt; it is empty for models
    made elsewhere. ``affine`` float32 (2, classes), if not ``None``, is a gain and an offset for each class:
    the class is the one whose :meth:`outputs` is largest. ``labels`` is empty or names every class. Models
    compare equal by content. Raises :class:`ModelError` if the parts do not fit together.
    """

    name: str
    input: Input
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    batchnorm: dict[str, np.ndarray] = field(default_factory=dict)
    batchnorm_eps: float = 1e-4
    affine: np.ndarray | None = None
    #: Shape of each layer's results for one image: (height, width, channels) or (channels,).
    shapes: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_text("model: name", self.name)
        if not isinstance(self.input, Input):
            raise ModelError(f"model: input must be an Input, not {type_of(self.input)}")
        layers = tuple(items("model: layers", self.layers))
        shapes = _chain(self.input, layers)
        labels = tuple(items("model: labels", self.labels))
        for label in labels:
            require_text("model: label", label)
        if labels and len(labels) != layers[-1].channels:
            raise ModelError(
                f"model: {layers[-1].channels} classes need as many labels, not {len(labels)}"
            )
        eps = self.batchnorm_eps
        if not isinstance(eps, (int, float)) or not 0 <= eps <= 1:
            raise ModelError(f"model: batchnorm_eps must be a number in 0 … 1, not {shown(eps)}")
        assign(
            self,
            layers=layers,
            shapes=shapes,
            affine=_affine(self.affine, layers[-1].channels),
            labels=labels,
            provenance=json_object("model: provenance", self.provenance),
            batchnorm=_batchnorm(self.batchnorm, {layer.name: layer for layer in layers[:-1]}),
            batchnorm_eps=float(eps),
        )

    @property
    def classes(self) -> int:
        """Scores per image."""
        return self.layers[-1].channels

    def input_shape(self, index: int) -> tuple[int, ...]:
        """Shape of what layer ``index`` takes of one image."""
        if index:
            return self.shapes[index - 1]
        return _first_shape(self.input, self.layers[0])

    def amplitude(self, index: int) -> int:
        """Largest absolute input of layer ``index``: 1, but the pixels' maximum in the first."""
        return 1 if index else self.input.amplitude

    def operations(self, index: int) -> int:
        """XNOR lane-operations of layer ``index`` for one image.

        Padding counts as well, and each bit of a pixel is an operation.
        """
        layer, planes = self.layers[index], 1 if index else self.input.planes
        return layer.weights.size * layer.positions(self.input_shape(index)) * planes

    def outputs(self, scores: np.ndarray) -> np.ndarray:
        """Return what the class is chosen by, for ``scores`` (N, classes) int32.

        The scores themselves or, with an affine, gain · score + offset in float64, rounded once: the product
        is exact.
        """
        if self.affine is None:
            return scores
        gain, offset = self.affine.astype(np.float64)
        return scores * gain + offset

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        names = ("name", "input", "layers", "labels", "provenance", "batchnorm_eps")
        return (
            all(getattr(self, name) == getattr(other, name) for name in names)
            and same_array(self.affine, other.affine)
            and self.batchnorm.keys() == other.batchnorm.keys()
            and all(
                same_array(self.batchnorm[name], other.batchnorm[name]) for name in self.batchnorm
            )
        )

    # Equal by content, which is too long to hash; None is Python's own way to say so.
    __hash__ = None  # type: ignore[assignment]


def describe(model: Model) -> dict[str, Any]:
    """Return a JSON-ready summary: shapes, weight bits and XNOR lane-operations, per layer and in all."""
    layers = [
        {
            "name": layer.name,
            "op": layer.op,
            "shape": list(layer.weights.shape),
            "output_shape": list(model.shapes[index]),
            **(
                {
                    "stride": layer.stride,
                    "padding": list(layer.padding),
                    "fill": layer.fill,
                    "pool": layer.pool,
                }
                if isinstance(layer, Conv)
                else {}
            ),
            "result": "scores" if layer.thresholds is None else "bits",
            "weight_bits": layer.weights.size,
            "operations": model.operations(index),
            "inverted_channels": 0 if layer.inverted is None else int(layer.inverted.sum()),
        }
        for index, layer in enumerate(model.layers)
    ]
    return {
        "name": model.name,
        "input": model.input.entry(),
        "layers": layers,
        "classes": model.classes,
        "labels": list(model.labels),
        "weight_bits": sum(layer.weights.size for layer in model.layers),
        "operations_per_image": sum(model.operations(k) for k in range(len(model.layers))),
        "has_affine": model.affine is not None,
        "has_batchnorm": bool(model.batchnorm),
        "provenance": model.provenance,
    }


def _chain(source: Input, layers: tuple[Any, ...]) -> tuple[tuple[int, ...], ...]:
    """Shapes of the layers' results, if every layer suits what is before it."""
    if not 1 <= len(layers) <= _MAX_LAYERS:
        raise ModelError(f"model: a model has 1 … {_MAX_LAYERS} layers, not {len(layers)}")
    seen: set[str] = set()
    shapes: list[tuple[int, ...]] = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, (Dense, Conv)):
            raise ModelError(f"layer {index}: must be a Dense or Conv, not {type_of(layer)}")
        if layer.name in seen:
            raise ModelError(f"layer {index}: the name {layer.name!r} is taken by another layer")
        seen.add(layer.name)
        if shapes:
            shape, giver = shapes[-1], f"layer {layers[index - 1].name!r}"
        else:
            shape, giver = _first_shape(source, layer), "the input"
        shapes.append(layer.output_shape(shape, giver))
        last = index == len(layers) - 1
        if last != (layer.thresholds is None):
            problem = (
                "is not the last and needs thresholds"
                if not last
                else "is the last and must give scores, which only a dense layer does"
                if isinstance(layer, Conv)
                else "is the last and must give scores, so it takes no thresholds"
            )
            raise ModelError(f"layer {layer.name!r}: {problem}")
        amplitude = 1 if index else source.amplitude
        if layer.fan_in * amplitude > _MAX_COUNT:
            raise ModelError(
                f"layer {layer.name!r}: {layer.fan_in} inputs of up to {amplitude} count to more than "
                f"{_MAX_COUNT}; use fewer inputs or pixels of fewer bits"
            )
        layer.check_thresholds(amplitude)
    return tuple(shapes)


def _first_shape(source: Input, layer: Layer) -> tuple[int, ...]:
    """Shape of one image as the first layer takes it."""
    encoded = source.encoded
    return encoded.map_shape if isinstance(layer, Conv) else (encoded.size,)


def _affine(given: object, classes: int) -> np.ndarray | None:
    if given is None:
        return None
    if (
        not isinstance(given, np.ndarray)
        or given.dtype != np.float32
        or given.shape != (2, classes)
    ):
        raise ModelError(f"model: affine must be float32 (2, {classes}), not {type_of(given)}")
    if not np.isfinite(given).all():
        raise ModelError("model: affine must be finite")
    return frozen(given, np.float32)


def _batchnorm(given: object, hidden: dict[str, Layer]) -> dict[str, np.ndarray]:
    if not isinstance(given, dict):
        raise ModelError(f"model: batchnorm must be a dict, not {type_of(given)}")
    result = {}
    for name, values in given.items():
        if name not in hidden:
            raise ModelError(f"model: batchnorm for {shown(name)}, which is no hidden layer")
        shape = (4, hidden[name].channels)
        if (
            not isinstance(values, np.ndarray)
            or values.dtype != np.float32
            or values.shape != shape
        ):
            raise ModelError(
                f"layer {name!r}: batchnorm must be float32 {shape}, not {type_of(values)}"
            )
        if not np.isfinite(values).all() or (values[3] < 0).any():
            raise ModelError(
                f"layer {name!r}: batchnorm must be finite with variances from 0 upwards"
            )
        result[name] = frozen(values, np.float32)
    return result
