"""Delay lines."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal

__all__ = ["delayed"]


def delayed(m: Module, value: Any, cycles: int) -> Any:
    """Return ``value`` as it was ``cycles`` cycles before; 0 returns it unchanged."""
    for _ in range(cycles):
        register = Signal(value.shape())
        m.d.sync += register.eq(value)
        value = register
    return value
