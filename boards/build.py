"""From a configuration to a bitstream: :func:`build`."""

from __future__ import annotations

from pathlib import Path

from xnorgrid.hw.config import ArrayConfig

from .board import Board
from .report import BuildReport
from .toolchain import BuildError

__all__ = ["TimingNotMet", "build"]


class TimingNotMet(BuildError):
    """The routed design is slower than its clock; ``report`` has the figures."""

    def __init__(self, message: str, report: BuildReport) -> None:
        super().__init__(message)
        self.report = report


def build(
    board: Board,
    config: ArrayConfig | None = None,
    *,
    seed: int = 1,
    folder: Path | None = None,
    progress: bool | None = None,
) -> BuildReport:
    """Make a bitstream of ``config`` for ``board`` and return the report.

    ``folder``, build/NAME by default, gets the bitstream, report.json and the tools' logs. What was built
    before with the same sources, tools and seed comes from the cache. ``progress`` shows phases on standard
    error; ``None``: if that is a terminal. Raises :class:`BuildError` and its kinds, :class:`TimingNotMet`
    among them, and :class:`ConfigError` where the PLL cannot make the clock.
    """
    raise NotImplementedError
