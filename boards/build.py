"""From a configuration to a bitstream: :func:`build`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xnorgrid.hw.config import ArrayConfig, ConfigError
from xnorgrid.hw.export import TOP, build_id, export
from xnorgrid.sim.cache import cached

from . import routed
from .board import Board
from .floorplan import placement
from .flows import FLOWS, ROUTED, synthesis
from .pll import pll
from .progress import Progress
from .report import BuildReport
from .toolchain import BuildError, DoesNotFit, ToolFailed, run, versions
from .top import BoardTop

__all__ = ["REPORT", "TimingNotMet", "build", "shared_modules", "sources"]

#: The report's file in a build folder, and the logs of yosys, nextpnr and the packer.
REPORT = "report.json"
LOGS = ("yosys.log", "nextpnr.log", "pack.log")
SCRIPT = "synthesis.ys"
#: Part of the cache's key: reports of another format are made anew.
_REPORT_FORMAT = 1
#: A module that is no part of the hierarchy under the top, so one of the library's.
_SHARED = re.compile(r"^module (?P<name>\w+) ?\(", re.M)


class TimingNotMet(BuildError):
    """The routed design is slower than its clock; ``report`` has the figures."""

    def __init__(self, message: str, report: BuildReport) -> None:
        super().__init__(message)
        self.report = report


def sources(board: Board, config: ArrayConfig) -> dict[str, str]:
    """Return what the tools read, by file name: accelerator.v, top.il, the pins and the yosys script.

    The same for the same sources of xnorgrid and versions of Amaranth, wherever they are. Raises
    :class:`ConfigError` where the PLL cannot make the clock, or the link is no UART.
    """
    if config.link != "uart":
        raise ConfigError(
            f"{board.title} is reached by its UART, so link must be uart, not {config.link}"
        )
    family = board.device.family
    setting = pll(family, board.clock_hz, config.clock_hz)
    verilog = export(config, technology=family)
    plan = board.platform().prepare(
        BoardTop(board, setting), "top", emit_src=False, debug_verilog=False
    )
    pins = f"top.{FLOWS[family].constraints}"
    texts = {name: plan.files[name] for name in ("top.il", pins)}
    return {
        f"{TOP}.v": verilog,
        SCRIPT: synthesis(family, shared_modules(verilog), placement(config, board.device)),
        **{name: text if isinstance(text, str) else text.decode() for name, text in texts.items()},
    }


def shared_modules(verilog: str) -> list[str]:
    """Return the names of the modules in an exported accelerator that are used more than once."""
    return sorted({match["name"] for match in _SHARED.finditer(verilog)} - {TOP})


@dataclass(frozen=True)
class _Job:
    """One run of the tools."""

    board: Board
    config: ArrayConfig
    seed: int
    #: Versions by package.
    tools: dict[str, str]
    #: What :func:`sources` gave.
    texts: dict[str, str]
    progress: Progress

    def key(self) -> str:
        """Digest of all that the result depends on."""
        flow = FLOWS[self.board.device.family]
        routing = flow.routing(self.board, self.config.clock_hz, self.seed)
        parts = [
            self.board.name,
            self.tools,
            self.texts,
            routing,
            flow.pack_options,
            _REPORT_FORMAT,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def make(self, folder: Path, archive: Path) -> None:
        """Run the tools in ``folder`` and put what is to be kept in the zip file ``archive``."""
        flow = FLOWS[self.board.device.family]
        for name, text in self.texts.items():
            (folder / name).write_text(text)
        routing = flow.routing(self.board, self.config.clock_hz, self.seed)
        yosys, nextpnr, packing = LOGS
        seconds = {"synthesis": self._run("yosys", ["-s", SCRIPT], folder, yosys)}
        try:
            seconds["place and route"] = self._run(flow.place_and_route, routing, folder, nextpnr)
        except ToolFailed:
            self._check_fit(folder / nextpnr)
            raise
        report = self._report(folder, seconds)
        if report.clock.met:
            seconds["pack"] = self._run(flow.pack, flow.pack_options, folder, packing)
            file = (folder / flow.bitstream).rename(folder / _bitstream_name(self.board))
            report = _with_bitstream(report, file)
        (folder / REPORT).write_text(report.to_json())
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as kept:
            bitstream = [] if report.bitstream is None else [LOGS[-1], report.bitstream]
            for name in [*self.texts, *LOGS[:-1], REPORT, *bitstream]:
                kept.write(folder / name, name)

    def _run(self, tool: str, arguments: Sequence[str], folder: Path, log: str) -> float:
        self.progress.phase(tool)
        return round(run(tool, arguments, folder, log, self.progress.show), 2)

    def _check_fit(self, log: Path) -> None:
        """Raise :class:`DoesNotFit` if nextpnr's ``log`` shows that as the reason why it stopped."""
        over = routed.overflow(log.read_text(errors="replace"))
        if over:
            title = self.board.device.title
            needs = ", ".join(
                f"{use.used:,} {kind} where {title} has {use.total:,}" for kind, use in over.items()
            )
            raise DoesNotFit(
                f"the design does not fit {self.board.title}: it needs {needs}; choose fewer rows, cols or "
                f"lanes, or smaller memories, or let xnorgrid tune {self.board.name} do it; the log is {log}"
            ) from None

    def _report(self, folder: Path, seconds: dict[str, float]) -> BuildReport:
        found = json.loads((folder / ROUTED).read_text())
        board = self.board
        output = pll(board.device.family, board.clock_hz, self.config.clock_hz)
        return BuildReport(
            board=board.name,
            device=board.device.name,
            config=dataclasses.asdict(self.config),
            build=f"{build_id(self.config):016x}",
            seed=self.seed,
            resources=routed.resources(folder, board.device),
            clocks=routed.clocks(found, float(output.output_hz)),
            critical_path=routed.critical_path(found),
            tools=self.tools,
            seconds=seconds,
            bitstream=None,
            bitstream_bytes=None,
            bitstream_sha256=None,
        )


def _bitstream_name(board: Board) -> str:
    return board.name + Path(FLOWS[board.device.family].bitstream).suffix


def _with_bitstream(report: BuildReport, file: Path) -> BuildReport:
    """Say of the bitstream what identifies it."""
    content = file.read_bytes()
    return dataclasses.replace(
        report,
        bitstream=file.name,
        bitstream_bytes=len(content),
        bitstream_sha256=hashlib.sha256(content).hexdigest(),
    )


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
    among them, and :class:`ConfigError` where the PLL cannot make the clock or the link is no UART.
    """
    config = config or board.config
    folder = folder or Path("build") / board.name
    shown = Progress(progress)
    tools = versions(board.device.family)
    try:
        shown.phase("export")
        job = _Job(board, config, seed, tools, sources(board, config), shown)
        folder.mkdir(parents=True, exist_ok=True)
        # Nobody shall take an earlier build's results for this one's.
        for stale in (REPORT, _bitstream_name(board)):
            (folder / stale).unlink(missing_ok=True)
        kept = cached(f"build-{job.key()}.zip", lambda path: job.make(folder, path))
        with zipfile.ZipFile(kept) as archive:
            archive.extractall(folder)
    finally:
        shown.end()
    report = BuildReport.from_dict(json.loads((folder / REPORT).read_text()))
    if not report.clock.met:
        raise TimingNotMet(_too_slow(report, folder), report)
    return report


def _too_slow(report: BuildReport, folder: Path) -> str:
    clock, path = report.clock, report.critical_path
    text = (
        f"the clock is not met: routed, the design runs at {clock.routed_hz / 1e6:.2f} MHz at most, and "
        f"clock_hz asks for {clock.target_hz / 1e6:.2f} MHz"
    )
    if path is not None:
        text += f"; the slowest path leads from {path.start} to {path.end}"
    return (
        f"{text}; set a lower clock_hz, try another --seed, or choose fewer rows, cols or lanes; "
        f"the report is {folder / REPORT}"
    )
