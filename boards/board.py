"""What a board is: its device, its pins, and the accelerator that it gets without further wishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xnorgrid.hw.config import ArrayConfig

from .devices import Device

__all__ = ["Board", "Programmer", "Resource"]

#: Name and number of a resource of the board's Amaranth platform, and the subsignal if it has several.
Resource = tuple[str, int] | tuple[str, int, str]


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """A program that brings a bitstream onto a board; ``{bitstream}`` stands for the file."""

    tool: str
    #: Arguments that load the FPGA until its power goes; ``None`` where the tool cannot.
    load: tuple[str, ...] | None = None
    #: Arguments that write the board's flash, from which the FPGA starts; ``None`` where the tool cannot.
    flash: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, and how the accelerator sits on it.

    The clock is the platform's default clock; the accelerator's ``config.clock_hz`` is made from it by a
    PLL, and the line to the host is the UART.
    """

    #: What the user calls it.
    name: str
    title: str
    device: Device
    #: nextpnr's name of the package.
    package: str
    #: Class of the Amaranth platform.
    platform: Callable[[], Any]
    uart: tuple[str, int] = ("uart", 0)
    #: Beats with the clock, faster while bytes come or go; ``None`` where no LED is free.
    led: Resource | None
    #: A button that resets the accelerator while pressed; ``None`` where no button is free.
    reset: Resource | None
    #: Whether the PLL takes its clock straight from the pad (iCE40 only).
    pll_pad: bool = False
    #: The accelerator that is built unless something else is asked for.
    config: ArrayConfig
    #: In order of preference.
    programmers: tuple[Programmer, ...]
    #: How the host reaches the UART.
    connection: str

    @property
    def clock_hz(self) -> int:
        """Frequency of the board's oscillator in Hz."""
        return int(self.platform().default_clk_frequency)

    def pins(self) -> dict[str, str]:
        """Return the package pins by use: ``clock``, ``uart rx``, ``uart tx``, ``led``, ``reset``."""
        platform = self.platform()
        uses: dict[str, Resource | None] = {
            "clock": (platform.default_clk, 0),
            "uart rx": (*self.uart, "rx"),
            "uart tx": (*self.uart, "tx"),
            "led": self.led,
            "reset": self.reset,
        }
        pins: dict[str, str] = {}
        for use, resource in uses.items():
            if resource is not None:
                name, number, *subsignal = resource
                parts = platform.lookup(name, number).ios
                if subsignal:
                    parts = next(part.ios for part in parts if part.name == subsignal[0])
                pins[use] = " ".join(parts[0].names)
        return pins
