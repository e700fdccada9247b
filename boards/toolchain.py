"""Yosys, nextpnr and the packers, as subprocesses of the YoWASP wheels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["BuildError", "DoesNotFit", "MissingTool", "ToolFailed", "run", "versions"]


class BuildError(RuntimeError):
    """A build that came to no bitstream; the message says why and what to do."""


class MissingTool(BuildError):
    """A tool is not installed; the message names the extra that brings it."""


class ToolFailed(BuildError):
    """A tool stopped with an error; the message has its last words and names its log."""


class DoesNotFit(BuildError):
    """The design needs more of something than the device has."""


def versions(family: str) -> dict[str, str]:
    """Return the versions of the tools for ``family`` by package; raises :class:`MissingTool`."""
    raise NotImplementedError


def run(tool: str, arguments: Sequence[str], folder: Path, log: str) -> float:
    """Run ``tool`` in ``folder`` with its output in ``log`` there, and return the seconds it took.

    File names in ``arguments`` must be relative: the tools see the folder they start in and no other. On
    any exception, an interruption too, the tool is killed. Raises :class:`MissingTool`, :class:`ToolFailed`.
    """
    raise NotImplementedError
