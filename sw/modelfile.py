"""Model files: one .safetensors file a model, canonical and strictly checked.

docs/model-file.md gives the format. Any file that loads is, byte for byte, the file that :func:`save`
writes for the model it holds; everything else raises :class:`ModelError`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from .container import ContainerError, read_container, strict_json, write_container
from .encoding import ENCODINGS
from .layer_entry import layer_entry, layer_tensors, quoted, require_keys, take_layer
from .model import Input, Model, ModelError

__all__ = [
    "FORMAT_VERSION",
    "MAX_FILE_BYTES",
    "bundled_models",
    "digest",
    "from_bytes",
    "load",
    "save",
    "to_bytes",
]

FORMAT_VERSION = 1
#: Larger files are neither written nor read. Weights take eight times their file size in memory.
MAX_FILE_BYTES = 16 << 20

_SUFFIX = ".safetensors"
_FIXED = {
    "layout": "lsb-first, channel-fastest, rows padded to bytes",
    "polarity": "1=+1",
    "sign_zero": "+1",
}
_DESCRIPTION_KEYS = {
    "batchnorm_eps", "format_version", "input", "labels", "layers", "name", "provenance", "sha256",
    *_FIXED,
}  # fmt: skip
_INPUT_KEYS = {"kind", "maximum", "shape", "threshold"}


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to ``path``, replacing a file that is there only once all bytes are written.

    Raises :class:`ModelError` for a model above :data:`MAX_FILE_BYTES`, :class:`OSError` for a path
    that cannot be written.
    """
    content = to_bytes(model)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path_or_name: str | os.PathLike[str]) -> Model:
    """Read a model from a file, or, given a bare name such as ``"lfc"``, a bundled one.

    A string without directory and without ``.safetensors`` is a name; write ``./lfc`` for a file that is
    called so. Raises :class:`ModelError` that says what is wrong and where.
    """
    if isinstance(path_or_name, str) and re.fullmatch(r"[\w-]+", path_or_name):
        resource = importlib.resources.files("xnorgrid.models") / f"{path_or_name}{_SUFFIX}"
        if not resource.is_file():
            raise ModelError(
                f"no bundled model is called {path_or_name!r}; bundled: "
                f"{', '.join(bundled_models()) or 'none'}. For a file, give its path: "
                f"./{path_or_name}"
            )
        return from_bytes(resource.read_bytes(), f"bundled model {path_or_name!r}")
    path = Path(path_or_name)
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to know; a device or pipe has no size to ask for.
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ModelError(f"cannot read the model file {str(path)!r}: {reason}") from error
    return from_bytes(content, str(path))


def bundled_models() -> list[str]:
    """Return the names that :func:`load` knows."""
    entries = importlib.resources.files("xnorgrid.models").iterdir()
    return sorted(
        entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX)
    )


def digest(model: Model) -> str:
    """Return the SHA-256 in hex that identifies ``model``: its file's description and tensors."""
    return _describe(model, _tensors(model))["sha256"]


def to_bytes(model: Model) -> bytes:
    """Return the file of ``model``. Raises :class:`ModelError` above :data:`MAX_FILE_BYTES`."""
    tensors = _tensors(model)
    content = write_container(tensors, {"xnorgrid": _canonical_json(_describe(model, tensors))})
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(
            f"model {model.name!r}: its file would take {len(content)} bytes, "
            f"and the limit is {MAX_FILE_BYTES}"
        )
    return content


def from_bytes(content: bytes, source: str = "model") -> Model:
    """Return the model in the bytes of a file; ``source`` names it in errors.

    Raises :class:`ModelError` for anything but the exact bytes that :func:`to_bytes` gives.
    """
    try:
        return _parse(content)
    except (ModelError, ContainerError) as error:
        raise ModelError(f"{source}: {error}") from None
    except RecursionError:
        raise ModelError(f"{source}: metadata xnorgrid: nested too deeply") from None


def _parse(content: bytes) -> Model:
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(f"the file is larger than the limit of {MAX_FILE_BYTES} bytes")
    tensors, metadata = read_container(content)
    if set(metadata) != {"xnorgrid"}:
        raise ModelError(
            "a safetensors file, but not one of this package: its metadata must hold exactly "
            f"'xnorgrid', not {quoted(metadata)}"
        )
    description = strict_json(metadata["xnorgrid"], "metadata xnorgrid")
    _require_description(description)
    layers, batchnorm = [], {}
    for index, entry in enumerate(description["layers"]):
        layer, norm = take_layer(index, entry, tensors)
        if norm is not None:
            batchnorm[layer.name] = norm
        layers.append(layer)
    affine = tensors.pop("affine", None)
    if tensors:
        raise ModelError(f"tensors that no layer has: {quoted(tensors)}")
    model = Model(
        name=description["name"],
        input=_take_input(description["input"]),
        layers=tuple(layers),
        labels=description["labels"],
        provenance=description["provenance"],
        batchnorm=batchnorm,
        batchnorm_eps=description["batchnorm_eps"],
        affine=affine,
    )
    expected = digest(model)
    if description["sha256"] != expected:
        raise ModelError(
            f"the content is damaged: its SHA-256 is {expected}, "
            f"the file says {str(description['sha256'])[:64]!r}"
        )
    if to_bytes(model) != content:
        raise ModelError(
            "the file is not in canonical form (order, spacing or number format of its header "
            "differ from what this package writes); it was changed by other means"
        )
    return model


def _require_description(description: Any) -> None:
    if not isinstance(description, dict):
        raise ModelError("metadata xnorgrid: must be a JSON object")
    # The version decides what the other keys mean, so it comes first.
    version = description.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ModelError(
            f"format version {str(version)[:20]} found, but this release reads version "
            f"{FORMAT_VERSION}; update xnorgrid or save the model again"
        )
    require_keys("metadata xnorgrid", description, _DESCRIPTION_KEYS)
    for key, value in _FIXED.items():
        if description[key] != value:
            raise ModelError(
                f"metadata xnorgrid: {key} must be {value!r}, not {str(description[key])[:60]!r}"
            )
    if not isinstance(description["layers"], list):
        raise ModelError("metadata xnorgrid: layers must be a list")


def _take_input(entry: Any) -> Input:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    encoding = ENCODINGS.get(kind) if isinstance(kind, str) else None
    names = [] if encoding is None else [field.name for field in dataclasses.fields(encoding)]
    require_keys("metadata xnorgrid: input", entry, _INPUT_KEYS | set(names))
    made = None if encoding is None else encoding(**{name: entry[name] for name in names})
    return Input(entry["shape"], kind, entry["maximum"], entry["threshold"], made)  # type: ignore[arg-type]


def _tensors(model: Model) -> dict[str, np.ndarray]:
    tensors = {} if model.affine is None else {"affine": model.affine}
    for index, layer in enumerate(model.layers):
        tensors |= layer_tensors(index, layer, model.batchnorm.get(layer.name))
    return tensors


def _describe(model: Model, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    description = {
        **_FIXED,
        "batchnorm_eps": model.batchnorm_eps,
        "format_version": FORMAT_VERSION,
        "input": model.input.entry(),
        "labels": list(model.labels),
        "layers": [layer_entry(layer) for layer in model.layers],
        "name": model.name,
        "provenance": model.provenance,
    }
    content = write_container(tensors, {"xnorgrid": _canonical_json(description)})
    return {**description, "sha256": hashlib.sha256(content).hexdigest()}


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
