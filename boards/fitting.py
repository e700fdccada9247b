"""Whether a configuration fits a device, said before anything is built, and what would fit: by estimates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from xnorgrid.hw.config import ArrayConfig, ConfigError

from .catalogue import BOARDS
from .devices import Device
from .estimate import Estimate, estimate
from .toolchain import DoesNotFit

__all__ = ["require_fit", "smaller", "surely_short"]

#: What users call the resources.
NAMES = {
    "lut4": "LUTs", "flip_flop": "flip-flops", "block_ram": "block RAMs", "spram": "SPRAMs",
}  # fmt: skip
#: Fields that make a design smaller, those first that change least of what it can run.
_FIELDS = ("cols", "rows", "lanes", "weight_depth", "activation_depth", "preset_depth")


def require_fit(config: ArrayConfig, device: Device) -> Estimate:
    """Return the estimate of ``config`` on ``device`` if it may fit.

    Raises :class:`DoesNotFit` where even the least that the estimate allows for is too much: it names
    each resource that lacks, by how much, and changes and boards that would do.
    """
    found = estimate(config, device)
    short = surely_short(found)
    if not short:
        return found
    lacking = []
    for name in short:
        resource, error = found.resources[name], found.errors.get(name)
        over = resource.used - resource.total
        certainty = f"estimated within {error:.0%}" if error is not None else "exactly"
        lacking.append(
            f"{resource.used:,} {NAMES[name]} are needed ({certainty}) and there are {resource.total:,}: "
            f"{over:,} or {over / max(resource.total, 1):.0%} over"
        )
    fields = [f"{field}={value}" for field, value in smaller(config, device)]
    boards = [
        f"board {name}"
        for name, board in BOARDS.items()
        if board.device != device and not surely_short(estimate(config, board.device))
    ]
    remedies = " or ".join([*fields, *boards])
    raise DoesNotFit(
        f"{config.rows} x {config.cols} x {config.lanes} lanes do not fit {device.title}: "
        f"{'; '.join(lacking)}; "
        + (f"{remedies} would do" if remedies else "no single change and no board would do")
    )


def surely_short(found: Estimate) -> list[str]:
    """Resources of which more is needed than there is, whatever the error of the estimate."""
    return [
        name
        for name, resource in found.resources.items()
        if resource.used * (1 - found.errors.get(name, 0)) > resource.total
    ]


def smaller(config: ArrayConfig, device: Device) -> Iterator[tuple[str, int]]:
    """For each field that makes the design smaller, the largest value with which ``device`` holds it.

    All other fields stay as they are; fields that alone are not enough are left out. What is named can be
    routed, too.
    """
    for field in _FIELDS:
        low, high = 0, getattr(config, field)
        step = {"rows": config.tile_rows, "cols": config.tile_cols}.get(field, 1)
        # Estimates grow with every field: bisect in whole tiles.
        low, high = 0, high // step
        while high - low > 1:
            middle = (low + high) // 2
            if _fits(config, device, field, middle * step):
                low = middle
            else:
                high = middle
        if low and _fits(config, device, field, low * step):
            yield field, low * step


def _fits(config: ArrayConfig, device: Device, field: str, value: int) -> bool:
    change: dict[str, Any] = {field: value}
    try:
        changed = dataclasses.replace(config, **change)
    except ConfigError:
        return False
    return estimate(changed, device).routable
