"""Fitting the model behind :mod:`.estimate` to what builds came to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from . import least_squares
from .catalogue import BOARDS
from .devices import Device
from .estimate import (
    AREA_TERMS,
    PERIOD_TERMS,
    FamilyModel,
    area_terms,
    estimate,
    memory_blocks,
    period_terms,
)
from .samples import Sample
from .several import Outcome

__all__ = ["FIGURES", "Measured", "model_of"]

#: What is estimated, by the names of :attr:`.Estimate.errors`.
FIGURES = ("lut4", "flip_flop", "clock")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the build of a sample came to; ``clock`` is in Hz, ``None`` where it was not routed."""

    sample: Sample
    lut4: int
    flip_flop: int
    block_ram: int
    spram: int
    clock: float | None

    @classmethod
    def of(cls, sample: Sample, outcome: Outcome) -> Measured:
        """What ``outcome`` says of ``sample``."""
        used = {name: resource.used for name, resource in outcome.used.items()}
        return cls(
            sample, used["lut4"], used["flip_flop"], used["block_ram"], used.get("spram", 0),
            outcome.report.clock.routed_hz if outcome.report else None,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found = dataclasses.asdict(self)
        return {**found.pop("sample"), **found}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Measured:
        """What :meth:`to_dict` made ``found`` of."""
        names = {field.name for field in dataclasses.fields(cls)} - {"sample"}
        sample = Sample(found["board"], found["fields"], found["held_out"], found["route"])
        return cls(sample, **{name: found[name] for name in names})

    @property
    def device(self) -> Device:
        """What it was built for."""
        return BOARDS[self.sample.board].device

    @property
    def tables(self) -> int:
        """Block RAMs beyond those of the accelerator's memories."""
        return self.block_ram - memory_blocks(self.sample.config, self.device.family)["block_ram"]

    def errors(self, model: FamilyModel) -> dict[str, float]:
        """Relative errors of ``model``'s estimates by figure: above 0 where they are too high."""
        expected = estimate(self.sample.config, self.device, model)
        errors = {
            "lut4": expected.resources["lut4"].used / self.lut4 - 1,
            "flip_flop": expected.resources["flip_flop"].used / self.flip_flop - 1,
        }
        return (
            errors
            if self.clock is None
            else {**errors, "clock": expected.clock_hz / self.clock - 1}
        )


def model_of(measured: Iterable[Measured]) -> dict[str, Any]:
    """Fit one family to what was ``measured`` and return it as :meth:`.FamilyModel.from_dict` takes it.

    Its ``errors`` are the largest on builds that are held out.
    """
    measured = list(measured)
    fitted = [one for one in measured if not one.sample.held_out]
    areas = [area_terms(one.sample.config, one.device.family) for one in fitted]
    clocked = [(one, one.clock) for one in fitted if one.clock is not None]
    periods = [period_terms(one.lut4, one.device) for one, _ in clocked]

    def solved(
        names: Iterable[str], terms: list[list[float]], values: list[float]
    ) -> dict[str, float]:
        found = least_squares.fit(terms, values)
        return {name: round(value, 4) for name, value in zip(names, found, strict=True)}

    model = {
        "lut4": solved(AREA_TERMS, areas, [one.lut4 for one in fitted]),
        "flip_flop": solved(AREA_TERMS, areas, [one.flip_flop for one in fitted]),
        "period_ns": solved(PERIOD_TERMS, periods, [1e9 / clock for _, clock in clocked]),
        "tables": max(one.tables for one in measured),
        "errors": {},
    }
    tried = FamilyModel.from_dict(model)
    held_out = [one.errors(tried) for one in measured if one.sample.held_out]
    model["errors"] = {
        figure: round(max(abs(errors[figure]) for errors in held_out if figure in errors), 3)
        for figure in FIGURES
    }
    return model
