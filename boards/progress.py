"""Where a build is, on one line of the terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

__all__ = ["Progress"]


class Progress:
    """Phases with their times, and while one lasts the last line of its tool's log.

    Parameters
    ----------
    enabled : :class:`bool` or None
        ``None``: if ``stream`` is a terminal.
    stream
        Standard error by default.
    """

    def __init__(self, enabled: bool | None = None, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._enabled = self._stream.isatty() if enabled is None else enabled
        self._phase = ""
        self._start = 0.0

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self._phase, self._start = name, time.monotonic()
        self.show("")

    def show(self, line: str) -> None:
        """Show the line that a tool has just written."""
        if self._enabled:
            seconds = int(time.monotonic() - self._start)
            text = f"{self._phase} {seconds // 60}:{seconds % 60:02} {line}"
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + "".join(filter(str.isprintable, text))[:width].ljust(width))

    def end(self) -> None:
        """Remove the line."""
        if self._enabled:
            self._write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
