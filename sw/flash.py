"""``xnorgrid flash``: a bitstream onto the board that it was built for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnorgrid.boards.board import Board
from xnorgrid.boards.programmers import default_memory, program
from xnorgrid.boards.report import BuildReport

__all__ = ["BitstreamError", "chosen", "flash"]

_REPORT = "report.json"


class BitstreamError(ValueError):
    """A bitstream that does not belong on the board; the message says which it is for."""


@dataclass(frozen=True)
class Bitstream:
    """A file, and its build's report where there is one."""

    path: Path
    report: BuildReport | None


def chosen(board: Board, path: Path | None, *, force: bool = False) -> Bitstream:
    """Return the bitstream at ``path``, a file or a build's folder, by default of build/NAME.

    Raises :class:`BitstreamError` where there is none, and unless ``force`` where report.json beside it
    does not say that it was built for ``board`` and is unchanged.
    """
    place = path or Path("build") / board.name
    whole = path is None or place.is_dir()
    folder = place if whole else place.parent
    report = _report(folder / _REPORT, board)
    if not whole:
        file = place
    elif report is None:
        raise BitstreamError(
            f"there is no build in {folder}: run xnorgrid build {board.name}, or name a bitstream"
        )
    elif report.bitstream is None:
        raise BitstreamError(
            f"the build in {folder} gave no bitstream, because its timing was not met: build it with a "
            f"slower clock or another seed"
        )
    else:
        file = folder / report.bitstream
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BitstreamError(
            f"the bitstream {file} cannot be read ({error.strerror or error}): run xnorgrid build "
            f"{board.name}, or name another"
        ) from None
    if not force:
        _require(board, file, content, report)
    return Bitstream(file, report)


def _report(path: Path, board: Board) -> BuildReport | None:
    try:
        return BuildReport.from_dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BitstreamError(
            f"{path} is no report of a build ({type(error).__name__}: {error}): run xnorgrid build "
            f"{board.name}"
        ) from None


def _require(board: Board, file: Path, content: bytes, report: BuildReport | None) -> None:
    if report is None:
        raise BitstreamError(
            f"nothing says which board {file} is for, because there is no {_REPORT} beside it: name a file "
            f"in its build's folder, or load it all the same with --force"
        )
    if report.bitstream_sha256 != hashlib.sha256(content).hexdigest():
        raise BitstreamError(
            f"{file} is not the bitstream that {_REPORT} beside it describes: run xnorgrid build "
            f"{board.name}, or load it all the same with --force"
        )
    if (report.board, report.device) != (board.name, board.device.name):
        raise BitstreamError(
            f"{file} was built for {report.board} ({report.device}), not for {board.name} "
            f"({board.device.name}): run xnorgrid build {board.name}"
        )


def flash(
    board: Board,
    path: Path | None = None,
    memory: str | None = None,
    *,
    cable: str | None = None,
    force: bool = False,
    show: bool = True,
) -> dict[str, Any]:
    """Bring a bitstream onto ``board`` and say what was done, JSON-ready.

    ``memory`` is ``sram``, ``flash`` or, for whichever lasts shorter, ``None``. Raises
    :class:`BitstreamError` and what :func:`~xnorgrid.boards.programmers.program` does.
    """
    bitstream = chosen(board, path, force=force)
    memory = memory or default_memory(board)
    tool = program(board, bitstream.path, memory, cable=cable, show=show)
    report = bitstream.report
    rate = report.config["baud"] if report else "RATE"
    return {
        "board": board.name,
        "bitstream": str(bitstream.path),
        "build": report and report.build,
        "memory": memory,
        "programmer": tool,
        "connection": board.connection,
        "device": f"serial:PORT?baud={rate}",
    }
