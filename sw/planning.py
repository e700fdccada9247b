"""Before anything is built: whether a configuration and a model fit a board, and how fast they will be."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from xnorgrid.boards.board import Board
from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.devices import Device
from xnorgrid.boards.estimate import Estimate
from xnorgrid.boards.estimate import estimate as estimate_array
from xnorgrid.boards.fitting import require_fit
from xnorgrid.hw.config import ArrayConfig, ConfigError

from .inspection import fit
from .model import Model
from .needs import needs
from .placement import ModelDoesNotFit, UnsupportedLayers
from .segments import plan, preset_remedy

__all__ = ["check_fits", "estimate", "figures", "memory_bits", "too_large", "weight_bits"]

#: Depths of memories, which a model may need more of.
_DEPTHS = ("weight_depth", "activation_depth", "preset_depth", "program_depth", "accumulator_bits")


def check_fits(config: ArrayConfig, device: Device, model: Model | None = None) -> Estimate:
    """Return the estimate of ``config`` if it may fit ``device`` and can run ``model``.

    Raises :class:`~xnorgrid.boards.toolchain.DoesNotFit` with the resource that lacks, by how much, and what
    would do, and :class:`ModelDoesNotFit` with the memory that lacks and the least that would do.
    """
    found = require_fit(config, device)
    if model is not None:
        try:
            plan(model, config, keep_layers=False)
        except UnsupportedLayers as error:
            lines = "; ".join(f"layer {layer!r}: {text}" for layer, text in error.problems)
            head = f"{error}".removesuffix(f": {lines}")
            remedy = _remedy(model, config, device)
            raise UnsupportedLayers(f"{head}; {remedy}: {lines}", error.problems) from None
        except ModelDoesNotFit as error:
            # Presets are the arrays of simulated boards: no remedy on this one.
            fact = f"{error}".removesuffix(f"; {preset_remedy(model)}")
            raise ModelDoesNotFit(f"{fact}; {_remedy(model, config, device)}") from None
    return found


def _remedy(model: Model, config: ArrayConfig, device: Device) -> str:
    """What would hold ``model``: larger memories, if the device has them, or another array or board."""
    with contextlib.suppress(ModelDoesNotFit, ConfigError):
        least = needs(model, config).smallest(config)
        fields = {
            name: getattr(least, name)
            for name in _DEPTHS
            if getattr(least, name) > getattr(config, name)
        }
        # Single-ported memories for weights are larger, where there are any.
        for ports in ({}, {"weight_ports": 1}):
            changes: dict[str, Any] = {**fields, **ports}
            if estimate_array(dataclasses.replace(config, **changes), device).fits:
                named = ", ".join(f"{name}={value}" for name, value in changes.items())
                return f"on {device.title}, {named} holds all of it"
    if weight_bits(model) > memory_bits(device):
        return too_large(model, device)
    named = next((name for name, board in BOARDS.items() if board.device == device), "BOARD")
    return f"xnorgrid tune MODEL {named} looks for an array that holds it"


def too_large(model: Model, device: Device) -> str:
    """That no array of ``device`` holds ``model``, and which boards have larger memories."""
    bits = weight_bits(model)
    boards = [
        name
        for name, board in BOARDS.items()
        if memory_bits(board.device) > max(bits, memory_bits(device))
    ]
    more = f"board {' or '.join(boards)} has more" if boards else "no board has more"
    return (
        f"its weights take {bits:,} bits, the memories of {device.title} have {memory_bits(device):,}, and "
        f"activations and thresholds need some, too; {more}"
    )


def weight_bits(model: Model) -> int:
    """Bits of all weights."""
    return sum(layer.weights.size for layer in model.layers)


def memory_bits(device: Device) -> int:
    """Bits of all memories of ``device``."""
    return device.block_rams * device.block_ram_bits + device.sprams * device.spram_bits


def estimate(model: Model, board: Board, config: ArrayConfig) -> dict[str, Any]:
    """What ``config`` takes of ``board``, its clock, and how fast ``model`` runs on it.

    Raises what :func:`check_fits` does.
    """
    found = check_fits(config, board.device, model)
    run = fit(model, config)
    return {
        "model": model.name,
        "board": board.name,
        "device": board.device.name,
        "config": dataclasses.asdict(config),
        **figures(found),
        "clock_hz": config.clock_hz,
        "segments": run["segments"],
        "streamed_bytes_per_run": run["streamed_bytes_per_run"],
        "images_per_run": run["images_per_run"],
        "cycles_per_image": run["cycles_per_image"],
        "utilisation": run["utilisation"],
        "images_per_second_core": config.clock_hz / run["cycles_per_image"],
        "images_per_second_core_at_estimated_clock": found.clock_hz / run["cycles_per_image"],
        "images_per_second_link": run["images_per_second_on_link"],
        "line_bytes_per_image": config.baud / 10 / run["images_per_second_on_link"],
    }


def figures(found: Estimate) -> dict[str, Any]:
    """An estimate, JSON-ready; errors are relative, and 0 for what is exact."""
    return {
        "resources": {
            name: {
                "used": resource.used,
                "total": resource.total,
                "percent": round(resource.percent, 1),
                "error": found.errors.get(name, 0),
            }
            for name, resource in found.resources.items()
        },
        "estimated_clock_hz": round(found.clock_hz),
        "clock_error": found.errors["clock"],
    }
