"""Options of commands that build: the board, and its configuration."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnorgrid.hw.config import ArrayConfig, ConfigError

from .options import add_changes

if TYPE_CHECKING:
    from xnorgrid.boards.board import Board

__all__ = ["add_board", "add_config", "config"]


def add_board(parser: argparse.ArgumentParser) -> None:
    """Add the board to build for."""
    parser.add_argument("board", metavar="BOARD", help="a board's name; xnorgrid boards lists them")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the configuration for :func:`config`."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE.json",
        help="fields of the configuration, as xnorgrid tune writes them (default: the board's own)",
    )  # fmt: skip
    add_changes(parser, "of that file or the board,")


def config(arguments: argparse.Namespace, board: Board) -> ArrayConfig:
    """The configuration that ``--config`` and ``--set`` make of the board's own.

    Raises :class:`ConfigError` for a file that holds none.
    """
    fields = {} if arguments.config is None else _fields(arguments.config)
    return dataclasses.replace(board.config, **(fields | dict(arguments.set)))


def _fields(path: Path) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(ArrayConfig)}
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; xnorgrid tune writes one") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: a configuration is a JSON object, not {type(found).__name__}")
    unknown = sorted(found.keys() - known)
    if unknown:
        raise ConfigError(
            f"{path}: {', '.join(unknown)} is no field of a configuration; known: {', '.join(sorted(known))}"
        )
    return found
