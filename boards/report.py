"""What a build came to: resources, clocks, the critical path, and the bitstream."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BuildReport", "Clock", "CriticalPath", "Resource", "Step"]


@dataclass(frozen=True)
class Resource:
    """Cells of one kind, as nextpnr counts them: ``lut4``, ``flip_flop``, ``block_ram``, ``spram``."""

    used: int
    total: int

    @property
    def percent(self) -> float:
        """Share in use, 0 to 100 and above where it does not fit."""
        return 100 * self.used / self.total


@dataclass(frozen=True)
class Clock:
    """A clock after routing, in Hz."""

    routed_hz: float
    target_hz: float

    @property
    def met(self) -> bool:
        """Whether the design may run at the target."""
        return self.routed_hz >= self.target_hz

    @property
    def slack_ns(self) -> float:
        """Nanoseconds to spare in a period of the target; negative where they lack."""
        return 1e9 / self.target_hz - 1e9 / self.routed_hz


@dataclass(frozen=True)
class Step:
    """One delay of a path: ``kind`` is ``clk-to-q``, ``logic``, ``routing`` or ``setup``."""

    kind: str
    ns: float
    #: Cell and port where the step ends.
    to: str


@dataclass(frozen=True)
class CriticalPath:
    """The slowest path of the accelerator's clock."""

    start: str
    end: str
    logic_ns: float
    routing_ns: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build came to."""

    board: str
    device: str
    #: The configuration's fields.
    config: dict[str, Any]
    #: The identification that the gateware reports, 16 hexadecimal digits.
    build: str
    seed: int
    #: By ``lut4``, ``flip_flop``, ``block_ram`` and, where there are any, ``spram``.
    resources: dict[str, Resource]
    #: By name; the accelerator's is ``clk``.
    clocks: dict[str, Clock]
    critical_path: CriticalPath | None
    #: By package name.
    tools: dict[str, str]
    #: Seconds by phase, of the run that made the bitstream.
    seconds: dict[str, float]
    #: File name, size in bytes and SHA-256; ``None`` where the timing is not met.
    bitstream: str | None
    bitstream_bytes: int | None
    bitstream_sha256: str | None

    @property
    def clock(self) -> Clock:
        """The accelerator's clock."""
        return self.clocks["clk"]

    @property
    def operations_per_lut(self) -> float:
        """Binary operations (an XNOR and an addition a lane) per cycle for each LUT4 of the whole design."""
        config = self.config
        lanes = config["rows"] * config["cols"] * config["lanes"]
        return 2 * lanes / self.resources["lut4"].used

    def to_json(self) -> str:
        """Return the report as JSON text, with the derived figures."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values, with the derived figures."""
        found = dataclasses.asdict(self)
        for name, resource in self.resources.items():
            found["resources"][name]["percent"] = round(resource.percent, 1)
        for name, clock in self.clocks.items():
            found["clocks"][name] |= {"slack_ns": round(clock.slack_ns, 3), "met": clock.met}
        return found | {"operations_per_lut_per_cycle": round(self.operations_per_lut, 4)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> BuildReport:
        """Return the report that :meth:`to_dict` made ``found`` of."""
        path = found["critical_path"]
        fields = {field.name: found[field.name] for field in dataclasses.fields(cls)}
        fields["resources"] = {
            name: Resource(resource["used"], resource["total"])
            for name, resource in found["resources"].items()
        }
        fields["clocks"] = {
            name: Clock(clock["routed_hz"], clock["target_hz"])
            for name, clock in found["clocks"].items()
        }
        fields["critical_path"] = path and CriticalPath(
            **{**path, "steps": tuple(Step(**step) for step in path["steps"])}
        )
        return cls(**fields)
