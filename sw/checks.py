"""Checks of the values that models are made of: each gives the stored form or a :class:`ModelError`."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "ModelError",
    "assign",
    "frozen",
    "integers",
    "items",
    "json_object",
    "require_text",
    "same_array",
    "shown",
    "type_of",
]

_MAX_NAME = 200


class ModelError(ValueError):
    """A model, or a model file, that is malformed; the message says what and where."""


def json_object(where: str, value: object) -> dict[str, Any]:
    """Return a deep copy of ``value`` as JSON gives it back (tuples become lists)."""
    if not isinstance(value, dict):
        raise ModelError(f"{where} must be a dict, not {type_of(value)}")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{where} must be JSON-ready: {error}") from None
    return copy


def require_text(where: str, text: object) -> None:
    """Refuse anything but a short printable string: names and labels reach terminals."""
    if not isinstance(text, str) or not text.isprintable() or not 1 <= len(text) <= _MAX_NAME:
        raise ModelError(f"{where} must be 1 … {_MAX_NAME} printable characters, not {shown(text)}")


def integers(where: str, values: object) -> tuple[int, ...]:
    """Return ``values`` as Python integers; bool is none."""
    try:
        given = items(where, values)
        if any(isinstance(value, (bool, np.bool_)) for value in given):
            raise TypeError
        return tuple(operator.index(value) for value in given)
    except TypeError:
        raise ModelError(f"{where} must be integers, not {shown(values)}") from None


def items(where: str, values: object) -> list[Any]:
    """Return ``values`` as a list; a string is no sequence here."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ModelError(f"{where} must be a sequence, not {type_of(values)}")
    return list(values)


def frozen(array: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Return a read-only copy in C order."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def same_array(a: object, b: object) -> bool:
    """Whether two arrays, or ``None`` for none, are equal."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)  # type: ignore[arg-type]


def assign(instance: object, **values: object) -> None:
    """Set fields of a frozen dataclass; for ``__post_init__`` only."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def type_of(value: object) -> str:
    """Return dtype and shape of an array, the type's name of anything else."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


def shown(value: object) -> str:
    """Return ``repr(value)``, cut to what fits a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
