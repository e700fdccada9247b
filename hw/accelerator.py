"""The whole accelerator: a serial link and the core behind it."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from .config import ArrayConfig
from .core import Core
from .link import Link

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """XNOR-popcount accelerator behind a UART, as it sits on a board and in every simulation.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    build : :class:`int`
        64-bit identification of the build, reported to the host.

    Members
    -------
    rx : In(1)
        Serial data from the host; idle is 1. May be asynchronous.
    tx : Out(1)
        Serial data to the host.
    """

    def __init__(self, config: ArrayConfig, build: int = 0) -> None:
        self.config = config
        self.build = build
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(self.config, self.build)
        m.submodules.core = core = Core(self.config)
        connect(m, link.memory, core.memory)
        connect(m, link.control, core.control)
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        return m
