"""What a configuration takes of a device and how fast it will be, without building it: :func:`estimate`.

Memories are counted exactly. LUTs, flip-flops and the clock come from a model that :mod:`.fit` fitted to
real builds, with the error that it made on builds it had not seen.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.inventory import MemoryUse, memories
from xnorgrid.hw.memory import arrangement
from xnorgrid.hw.memory_cells import Arrangement

from .devices import Device
from .report import Resource

__all__ = [
    "AREA_TERMS",
    "PERIOD_TERMS",
    "Estimate",
    "FamilyModel",
    "area_terms",
    "estimate",
    "memory_blocks",
    "period_terms",
]

#: Where :mod:`.fit` leaves what it found.
MODEL_FILE = Path(__file__).with_name("estimates.json")
#: Share of LUTs and flip-flops up to which designs are placed and routed in sane time.
ROUTABLE = 0.8
#: Cells that are no block RAM.
_SPRAMS = frozenset({"SB_SPRAM256KA"})

#: What logic is proportional to, by what it is spent on.
AREA_TERMS: dict[str, Callable[[ArrayConfig, str], float]] = {
    "control": lambda config, family: 1,
    "element": lambda config, family: config.rows * config.cols,
    "lane": lambda config, family: config.lane_count,
    "accumulator bit": lambda config, family: config.rows * config.cols * config.accumulator_bits,
    # Registers of tiles: weights on their way to the right and activations down.
    "operand bit": lambda config, family: (
        config.lanes * (config.rows * config.grid_cols + config.cols * config.grid_rows)
    ),
    "preset bit": lambda config, family: config.rows * config.grid_cols * config.accumulator_bits,
    "tile row": lambda config, family: config.grid_rows,
    "row": lambda config, family: config.rows,
    "row's lane": lambda config, family: config.rows * config.lanes,
    "tile column": lambda config, family: config.grid_cols,
    "column's lane": lambda config, family: config.cols * config.lanes,
    "column's row": lambda config, family: config.cols * config.rows,
    # Host access: a word of a tile row or column is collected on its way to the link.
    "edge's lane": lambda config, family: (config.grid_rows + config.grid_cols) * config.lanes,
    # Multiplexers of memories that are deeper than the cells they are made of.
    "bank's bit": lambda config, family: _bank_bits(config, family),
}
#: What the clock's period is a sum of multiples of, by where the time goes; ``luts`` in use of ``total``.
PERIOD_TERMS: dict[str, Callable[[float, int], float]] = {
    "logic": lambda luts, total: 1,
    # Wires across the design.
    "wires": lambda luts, total: (luts / 1000) ** 0.5,
    # Detours on a crowded device.
    "crowding": lambda luts, total: (luts / total) ** 4,
}


def area_terms(config: ArrayConfig, family: str) -> list[float]:
    """The value of each of AREA_TERMS for ``config``."""
    return [term(config, family) for term in AREA_TERMS.values()]


def period_terms(luts: float, device: Device) -> list[float]:
    """The value of each of PERIOD_TERMS for a design of this many LUTs."""
    return [term(luts, device.luts) for term in PERIOD_TERMS.values()]


@dataclass(frozen=True)
class FamilyModel:
    """Coefficients for one family, with the largest relative errors on builds that were not fitted."""

    lut4: tuple[float, ...]
    flip_flop: tuple[float, ...]
    period_ns: tuple[float, ...]
    #: Block RAMs for tables of a few words, which are no memories of the accelerator's.
    tables: int
    errors: Mapping[str, float]

    @classmethod
    @functools.cache
    def of(cls, family: str) -> FamilyModel:
        """The model of ``family`` that the package comes with."""
        return cls.from_dict(json.loads(MODEL_FILE.read_text())[family])

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> FamilyModel:
        """The model that ``found`` describes, as :mod:`.fit` writes it."""
        lut4, flip_flop, period = (
            tuple(found[name].values()) for name in ("lut4", "flip_flop", "period_ns")
        )
        return cls(lut4, flip_flop, period, found["tables"], found["errors"])


@dataclass(frozen=True)
class Estimate:
    """What a configuration will come to on a device."""

    config: ArrayConfig
    device: Device
    #: By the names of :attr:`.BuildReport.resources`. Memories are exact.
    resources: dict[str, Resource]
    #: Routed clock in Hz.
    clock_hz: float
    #: Largest relative error seen of each estimated figure, ``clock`` among them; none for what is exact.
    errors: Mapping[str, float]

    @property
    def fits(self) -> bool:
        """Whether the device has enough of everything."""
        return not self.shortages

    @property
    def routable(self) -> bool:
        """Whether it fits with enough LUTs and flip-flops to spare to be routed."""
        return self.fits and all(
            self.resources[name].used <= ROUTABLE * self.resources[name].total
            for name in ("lut4", "flip_flop")
        )

    @property
    def shortages(self) -> dict[str, Resource]:
        """Resources of which more is needed than there is."""
        return {
            name: resource
            for name, resource in self.resources.items()
            if resource.used > resource.total
        }


def estimate(config: ArrayConfig, device: Device, model: FamilyModel | None = None) -> Estimate:
    """Return what ``config`` takes of ``device`` and the clock it reaches, in less than a millisecond.

    ``model`` is that of the device's family unless another one is given.
    """
    model = model or FamilyModel.of(device.family)
    terms = area_terms(config, device.family)
    luts, flip_flops = (_sum(of, terms) for of in (model.lut4, model.flip_flop))
    period_ns = _sum(model.period_ns, period_terms(luts, device))
    blocks = memory_blocks(config, device.family)
    resources = {
        "lut4": Resource(round(luts), device.luts),
        "flip_flop": Resource(round(flip_flops), device.flip_flops),
        "block_ram": Resource(blocks["block_ram"] + model.tables, device.block_rams),
    }
    if blocks["spram"] or device.sprams:
        resources["spram"] = Resource(blocks["spram"], device.sprams)
    return Estimate(config, device, resources, 1e9 / period_ns, model.errors)


def _sum(coefficients: tuple[float, ...], terms: list[float]) -> float:
    return sum(c * t for c, t in zip(coefficients, terms, strict=True))


def memory_blocks(config: ArrayConfig, family: str) -> dict[str, int]:
    """Block RAMs and SPRAMs of the accelerator's memories."""
    used = {"block_ram": 0, "spram": 0}
    for memory in memories(config):
        found = _arrangement(family, memory)
        used["spram" if found.cell.type in _SPRAMS else "block_ram"] += memory.count * found.cells
    return used


def _bank_bits(config: ArrayConfig, family: str) -> int:
    """Bits that pass a multiplexer behind the memories, for each bank but one of these."""
    return sum(
        memory.count * memory.width * (_arrangement(family, memory).banks - 1)
        for memory in memories(config)
    )


@functools.cache
def _arrangement(family: str, memory: MemoryUse) -> Arrangement:
    return arrangement(family, memory.width, memory.depth, memory.parts, memory.single_port)
