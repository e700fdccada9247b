"""The safetensors container, read strictly: nothing is allocated before every claim is checked.

8 bytes header length, a JSON header of names, dtypes, shapes and offsets, then the tensors' bytes.
The safetensors library writes it. Its reader is not used, because it accepts duplicate keys, headers of
100 MB, and more than one way to write the same tensors.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from safetensors.numpy import save

__all__ = ["MAX_HEADER_BYTES", "ContainerError", "read_container", "strict_json", "write_container"]

MAX_HEADER_BYTES = 1_000_000

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}
_MAX_TENSORS = 4096


class ContainerError(ValueError):
    """Bytes that are no well-formed container."""


def write_container(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """Return the container of int32, float32 and uint8 ``tensors``, in the library's order."""
    return save(tensors, metadata=metadata)


def read_container(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (tensors, metadata) of ``content``; the arrays are read-only views of it.

    Raises :class:`ContainerError` that says what is wrong and where: truncated, no header, a header
    above :data:`MAX_HEADER_BYTES`, duplicate keys, unknown dtypes, offsets that disagree with shapes,
    holes, overlaps, trailing bytes.
    """
    if len(content) < 8:
        raise ContainerError(f"truncated: {len(content)} bytes, and a model file has at least 8")
    length = int.from_bytes(content[:8], "little")
    # Pickles, zip archives and text all fail here or at the brace.
    if length > MAX_HEADER_BYTES:
        raise ContainerError(
            f"not a model file, or damaged: its first 8 bytes promise a header of {length} bytes, "
            f"and the limit is {MAX_HEADER_BYTES}"
        )
    if 8 + length > len(content):
        raise ContainerError(
            f"truncated: the header ends at byte {8 + length}, the file at {len(content)}"
        )
    raw = content[8 : 8 + length]
    if not raw.startswith(b"{"):
        raise ContainerError("not a model file: no safetensors header behind the first 8 bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ContainerError(f"header: not UTF-8 at byte {8 + error.start}") from None
    header = strict_json(text, "header")
    if not isinstance(header, dict):
        raise ContainerError("header: must be a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ContainerError("header: __metadata__ must map strings to strings")
    if len(header) > _MAX_TENSORS:
        raise ContainerError(f"header: {len(header)} tensors, and the limit is {_MAX_TENSORS}")
    entries = sorted(
        (_require_entry(f"tensor {name[:60]!r}", entry), name) for name, entry in header.items()
    )
    data = memoryview(content)[8 + length :]
    expected = 0
    for (begin, end, *_), name in entries:
        if begin != expected:
            what = "a hole" if begin > expected else "an overlap"
            raise ContainerError(
                f"tensor {name[:60]!r}: {what} before it: it begins at data byte {begin}, "
                f"not {expected}"
            )
        if end > len(data):
            raise ContainerError(
                f"truncated: tensor {name[:60]!r} ends at data byte {end}, the file at {len(data)}"
            )
        expected = end
    if expected != len(data):
        raise ContainerError(f"{len(data) - expected} bytes behind the last tensor")
    tensors = {
        name: np.frombuffer(data[begin:end], _DTYPES[dtype]).reshape(shape)
        for (begin, end, dtype, shape), name in entries
    }
    return tensors, metadata


def strict_json(text: str, where: str) -> Any:
    """Parse JSON; raises :class:`ContainerError` for duplicate keys, NaN, depth and syntax."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ContainerError(f"{where}: the key {twice[:60]!r} is there twice")
        return result

    def refuse(constant: str) -> None:
        raise ContainerError(f"{where}: {constant} is no JSON number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except ContainerError:
        raise
    except (ValueError, RecursionError) as error:
        raise ContainerError(f"{where}: not valid JSON: {error}") from None


def _require_entry(where: str, entry: object) -> tuple[int, int, str, tuple[int, ...]]:
    """Return (begin, end, dtype, shape) of a header entry, checked against each other."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ContainerError(f"{where}: must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ContainerError(
            f"{where}: dtype must be {', '.join(_DTYPES)}, not {str(dtype)[:20]!r}"
        )
    if not _is_sizes(shape) or not 1 <= len(shape) <= 8 or 0 in shape:
        raise ContainerError(f"{where}: shape must be 1 … 8 positive sizes, not {str(shape)[:60]}")
    if not _is_sizes(offsets) or len(offsets) != 2:
        raise ContainerError(f"{where}: data_offsets must be two numbers, not {str(offsets)[:60]}")
    begin, end = offsets
    size = math.prod(shape) * _DTYPES[dtype].itemsize
    if end - begin != size:
        raise ContainerError(
            f"{where}: {dtype} {shape} takes {size} bytes, but data_offsets span {end - begin}"
        )
    return begin, end, dtype, tuple(shape)


def _is_sizes(value: object) -> bool:
    return isinstance(value, list) and all(
        type(size) is int and 0 <= size < 1 << 48 for size in value
    )
