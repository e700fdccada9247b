"""A folded binary network: bits and integer thresholds, independent of any array configuration.

:func:`xnorgrid.modelfile.save` and :func:`xnorgrid.modelfile.load` keep it in a file,
:func:`xnorgrid.construct.from_arrays` makes one from plain numpy arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .checks import (
    ModelError,
    assign,
    frozen,
    integers,
    items,
    json_object,
    require_text,
    shown,
    type_of,
)

__all__ = ["Dense", "Input", "Model", "ModelError", "describe"]

_MAX_LAYERS = 256
_MAX_DIMENSION = 1 << 20


@dataclass(frozen=True)
class Input:
    """What the network is fed.

    ``kind`` is ``"bits"`` (values 0/1, bool, or -1/+1) or ``"threshold"`` (integer pixels in
    0 … ``maximum``; the bit is ``pixel >= threshold``). Images are flattened in C order: the last
    axis of ``shape`` is fastest. Raises :class:`ModelError` for values outside these.
    """

    shape: tuple[int, ...]
    kind: str = "bits"
    maximum: int = 1
    threshold: int = 1

    def __post_init__(self) -> None:
        shape = integers("input: shape", self.shape)
        if not shape or min(shape) < 1 or math.prod(shape) > _MAX_DIMENSION:
            raise ModelError(
                f"input: shape must be of positive sizes with a product up to {_MAX_DIMENSION}, "
                f"not {shown(self.shape)}"
            )
        if self.kind not in ("bits", "threshold"):
            raise ModelError(f"input: kind must be 'bits' or 'threshold', not {shown(self.kind)}")
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
        assign(self, shape=shape, maximum=maximum, threshold=threshold)

    @property
    def size(self) -> int:
        """Bits per image: the fan-in of the first layer."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Dense:
    """Fully connected binary layer.

    ``weights`` (out, in) uint8, 1 is +1 and 0 is -1. With p the number of agreeing lanes, a threshold
    layer's bit is ``(p >= thresholds[c]) ^ inverted[c]``, ``thresholds`` (out,) int32 in 0 … in+1 and
    ``inverted`` (out,) bool (default: none). A score layer (``thresholds is None``) yields s = 2p - in
    as int32. The arrays are copied and made read-only. Raises :class:`ModelError` for others.
    """

    op: ClassVar[str] = "dense"

    name: str
    weights: np.ndarray
    thresholds: np.ndarray | None = None
    inverted: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_text("layer: name", self.name)
        where = f"layer {self.name!r}"
        weights = self.weights
        if not isinstance(weights, np.ndarray) or weights.dtype != np.uint8 or weights.ndim != 2:
            raise ModelError(f"{where}: weights must be uint8 (out, in), not {type_of(weights)}")
        if not (
            1 <= weights.shape[0] <= _MAX_DIMENSION and 1 <= weights.shape[1] <= _MAX_DIMENSION
        ):
            raise ModelError(
                f"{where}: weights need 1 … {_MAX_DIMENSION} channels and inputs, "
                f"not shape {weights.shape}"
            )
        if weights.max() > 1:
            raise ModelError(f"{where}: weights must be 0 or 1, but one is {weights.max()}")
        assign(self, weights=frozen(weights, np.uint8))
        if self.thresholds is None:
            if self.inverted is not None:
                raise ModelError(f"{where}: a score layer (no thresholds) has no inverted channels")
            return
        out, fan_in = weights.shape
        thresholds = self.thresholds
        if (
            not isinstance(thresholds, np.ndarray)
            or thresholds.dtype.kind not in "iu"
            or thresholds.shape != (out,)
        ):
            raise ModelError(
                f"{where}: thresholds must be int32 ({out},), one a channel, not {type_of(thresholds)}"
            )
        outside = np.flatnonzero((thresholds < 0) | (thresholds > fan_in + 1))
        if outside.size:
            raise ModelError(
                f"{where}: thresholds must be in 0 … {fan_in + 1} (fan-in + 1), "
                f"but channel {outside[0]} has {thresholds[outside[0]]}"
            )
        inverted = np.zeros(out, np.bool_) if self.inverted is None else self.inverted
        if (
            not isinstance(inverted, np.ndarray)
            or inverted.dtype != np.bool_
            or inverted.shape != (out,)
        ):
            raise ModelError(
                f"{where}: inverted must be bool ({out},), one a channel, not {type_of(inverted)}"
            )
        assign(self, thresholds=frozen(thresholds, np.int32), inverted=frozen(inverted, np.bool_))

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weights.shape[0]

    @property
    def fan_in(self) -> int:
        """Inputs of each channel: n in s = 2p - n."""
        return self.weights.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dense):
            return NotImplemented
        return self.name == other.name and all(
            _same(getattr(self, name), getattr(other, name))
            for name in ("weights", "thresholds", "inverted")
        )

    # Equal by content, which is too long to hash; None is Python's own way to say so.
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Model:
    """Layers from input to scores; the last layer, and only the last, is a score layer.

    ``provenance`` is JSON-ready: how it was trained, on what, with what accuracy. ``batchnorm`` maps
    a hidden layer's name to float32 (4, out) rows weight (gamma), bias (beta), running mean and running
    variance and, with ``batchnorm_eps``, lets the PyTorch network be rebuilt; it is empty for models
    made elsewhere. ``labels`` is empty or names every class. Models compare equal by content. Raises
    :class:`ModelError` if the parts do not fit together.
    """

    name: str
    input: Input
    layers: tuple[Dense, ...]
    labels: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    batchnorm: dict[str, np.ndarray] = field(default_factory=dict)
    batchnorm_eps: float = 1e-4

    def __post_init__(self) -> None:
        require_text("model: name", self.name)
        if not isinstance(self.input, Input):
            raise ModelError(f"model: input must be an Input, not {type_of(self.input)}")
        layers = tuple(items("model: layers", self.layers))
        _require_chain(self.input, layers)
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
            labels=labels,
            provenance=json_object("model: provenance", self.provenance),
            batchnorm=_batchnorm(self.batchnorm, {layer.name: layer for layer in layers[:-1]}),
            batchnorm_eps=float(eps),
        )

    @property
    def classes(self) -> int:
        """Scores per image."""
        return self.layers[-1].channels

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        names = ("name", "input", "layers", "labels", "provenance", "batchnorm_eps")
        return (
            all(getattr(self, name) == getattr(other, name) for name in names)
            and self.batchnorm.keys() == other.batchnorm.keys()
            and all(_same(self.batchnorm[name], other.batchnorm[name]) for name in self.batchnorm)
        )

    # Equal by content, which is too long to hash; None is Python's own way to say so.
    __hash__ = None  # type: ignore[assignment]


def describe(model: Model) -> dict[str, Any]:
    """Return a JSON-ready summary: shapes, weight bits and XNOR lane-operations, per layer and in all."""
    layers = [
        {
            "name": layer.name,
            "op": layer.op,
            "shape": [layer.channels, layer.fan_in],
            "result": "scores" if layer.thresholds is None else "bits",
            "weight_bits": layer.weights.size,
            "operations": layer.weights.size,
            "inverted_channels": 0 if layer.inverted is None else int(layer.inverted.sum()),
        }
        for layer in model.layers
    ]
    return {
        "name": model.name,
        "input": {
            "shape": list(model.input.shape),
            "kind": model.input.kind,
            "maximum": model.input.maximum,
            "threshold": model.input.threshold,
        },
        "layers": layers,
        "classes": model.classes,
        "labels": list(model.labels),
        "weight_bits": sum(layer.weights.size for layer in model.layers),
        "operations_per_image": sum(layer.weights.size for layer in model.layers),
        "has_batchnorm": bool(model.batchnorm),
        "provenance": model.provenance,
    }


def _require_chain(source: Input, layers: tuple[Any, ...]) -> None:
    if not 1 <= len(layers) <= _MAX_LAYERS:
        raise ModelError(f"model: a model has 1 … {_MAX_LAYERS} layers, not {len(layers)}")
    seen: set[str] = set()
    size, before = source.size, "the input"
    for index, layer in enumerate(layers):
        if not isinstance(layer, Dense):
            raise ModelError(f"layer {index}: must be a Dense, not {type_of(layer)}")
        if layer.name in seen:
            raise ModelError(f"layer {index}: the name {layer.name!r} is taken by another layer")
        seen.add(layer.name)
        if layer.fan_in != size:
            raise ModelError(
                f"layer {layer.name!r}: takes {layer.fan_in} bits, but {before} gives {size}"
            )
        last = index == len(layers) - 1
        if last != (layer.thresholds is None):
            problem = (
                "is the last and must give scores, so it takes no thresholds"
                if last
                else "is not the last and needs thresholds"
            )
            raise ModelError(f"layer {layer.name!r}: {problem}")
        size, before = layer.channels, f"layer {layer.name!r}"


def _batchnorm(given: object, hidden: dict[str, Dense]) -> dict[str, np.ndarray]:
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


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)
