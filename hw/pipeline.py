"""Delay lines."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal

__all__ = ["delayed"]


def delayed(m: Module, value: Any, cycles: int) -> Any:
    """Return ``value`` as it was ``cycles`` cycles before; 0 returns it unchanged.

    A reset leaves what is under way alone: its sources are reset, and nets that reach every register of a
    long line would be among the slowest of a design.
    """
    for _ in range(cycles):
        register = Signal(value.shape(), reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
