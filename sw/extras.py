"""Optional dependencies: one clear error when the extra that brings them is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["MissingExtra", "requires"]


class MissingExtra(ImportError):
    """A feature needs packages that only come with an extra; the message says what to install."""


@contextmanager
def requires(extra: str) -> Iterator[None]:
    """Import the packages of ``extra`` inside this block.

    Raises :class:`MissingExtra` with the command to install them if one cannot be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed, and this part of xnorgrid needs it; "
            f'install it with: pip install "xnorgrid[{extra}]"',
            name=error.name,
        ) from None
