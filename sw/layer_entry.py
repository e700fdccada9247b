"""A layer in a model file: its entry in the description, and its tensors. docs/model-file.md gives both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import packing
from .layers import MAX_DIMENSION, Conv, Dense, Layer
from .model import ModelError

__all__ = ["layer_entry", "layer_tensors", "quoted", "require_keys", "take_layer"]

_KEYS = {"name", "op", "shape"}
_CONV_KEYS = {"fill", "padding", "pool", "stride"}
#: Axes of the weights by operation: the channels, then what a channel takes, fastest last.
_AXES = {Dense.op: "[out, in]", Conv.op: "[out, height, width, in]"}
_DTYPES = {"weight": np.uint8, "threshold": np.int32, "inverted": np.uint8, "batchnorm": np.float32}


def layer_entry(layer: Layer) -> dict[str, Any]:
    """Return the entry of ``layer`` in the description."""
    entry = {"name": layer.name, "op": layer.op, "shape": list(layer.weights.shape)}
    if isinstance(layer, Conv):
        entry |= {key: getattr(layer, key) for key in _CONV_KEYS}
    return entry


def layer_tensors(index: int, layer: Layer, norm: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the tensors of ``layer``, number ``index``, by name; ``norm`` is its BatchNorm, if kept."""
    rows = layer.weights.reshape(layer.channels, layer.fan_in)
    parts = {"weight": packing.pack(rows, 8)[..., 0]}
    if layer.thresholds is not None and layer.inverted is not None:
        parts |= {"threshold": layer.thresholds, "inverted": layer.inverted.astype(np.uint8)}
    if norm is not None:
        parts["batchnorm"] = norm
    return {f"layers.{index}.{part}": tensor for part, tensor in parts.items()}


def take_layer(
    index: int, entry: Any, tensors: dict[str, np.ndarray]
) -> tuple[Layer, np.ndarray | None]:
    """Take layer ``index`` and its BatchNorm, if any, out of ``tensors``.

    Raises :class:`ModelError` unless ``entry``, parsed JSON of any kind, and the tensors are well-formed and
    agree with each other.
    """
    operation = entry.get("op") if isinstance(entry, dict) else None
    if isinstance(operation, str) and operation not in _AXES:
        raise ModelError(
            f"layer {index} ({str(entry.get('name'))[:60]!r}): operation {operation[:60]!r} is not "
            f"known to this release (known: {quoted(_AXES)}); a newer xnorgrid may read it"
        )
    options = _CONV_KEYS if operation == Conv.op else set()
    require_keys(f"layer {index}", entry, _KEYS | options)
    if not isinstance(operation, str):
        raise ModelError(f"layer {index}: op must be a string, not {str(operation)[:60]}")
    shape, axes = entry["shape"], _AXES[operation]
    if not (
        isinstance(shape, list)
        and len(shape) == axes.count(",") + 1
        and all(type(size) is int and 1 <= size <= MAX_DIMENSION for size in shape)
    ):
        raise ModelError(
            f"layer {index}: shape must be {axes}, each 1 … {MAX_DIMENSION}, not {str(shape)[:60]}"
        )
    found = _take_tensors(index, shape[0], math.prod(shape[1:]), tensors)
    parts: dict[str, Any] = {
        "name": entry["name"],
        "weights": found["weight"].reshape(shape),
        "thresholds": found.get("threshold"),
        "inverted": found.get("inverted"),
        **{key: entry[key] for key in options},
    }
    layer = Conv(**parts) if operation == Conv.op else Dense(**parts)
    return layer, found.get("batchnorm")


def _take_tensors(
    index: int, out: int, fan_in: int, tensors: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Take the tensors of layer ``index`` by part: weights as (out, fan_in) bits, inverted as bool."""
    row_bytes = packing.word_count(fan_in, 8)
    shapes = {"weight": (out, row_bytes), "batchnorm": (4, out)}
    prefix = f"layers.{index}."
    found = {}
    for part, dtype in _DTYPES.items():
        tensor = tensors.pop(prefix + part, None)
        if tensor is None:
            continue
        shape = shapes.get(part, (out,))
        if tensor.dtype != dtype or tensor.shape != shape:
            raise ModelError(
                f"tensor {prefix + part!r}: must be {np.dtype(dtype)} {shape}, "
                f"not {tensor.dtype} {tensor.shape}"
            )
        found[part] = tensor
    if "weight" not in found:
        raise ModelError(f"tensor '{prefix}weight': missing")
    if ("threshold" in found) != ("inverted" in found):
        raise ModelError(f"layer {index}: threshold and inverted go together, but one is missing")
    words = found["weight"][..., None]
    found["weight"] = packing.unpack(words, 8, fan_in)
    if not np.array_equal(packing.pack(found["weight"], 8), words):
        raise ModelError(f"tensor '{prefix}weight': a padding bit behind input {fan_in - 1} is set")
    if "inverted" in found:
        if found["inverted"].max() > 1:
            raise ModelError(
                f"tensor '{prefix}inverted': must hold 0 or 1, not {found['inverted'].max()}"
            )
        found["inverted"] = found["inverted"].astype(np.bool_)
    return found


def require_keys(where: str, value: object, keys: set[str]) -> None:
    """Raise :class:`ModelError` unless ``value`` is a dict with exactly ``keys``."""
    if not isinstance(value, dict):
        raise ModelError(f"{where}: must be a JSON object")
    if missing := keys - value.keys():
        raise ModelError(f"{where}: missing {quoted(missing)}")
    if unknown := value.keys() - keys:
        raise ModelError(f"{where}: unknown {quoted(unknown)}")


def quoted(names: Iterable[object]) -> str:
    """Return ``names`` sorted, quoted and cut to what fits a message."""
    shown = sorted(map(str, names))
    text = ", ".join(repr(name[:60]) for name in shown[:8]) or "nothing"
    return text + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
