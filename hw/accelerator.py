"""The whole accelerator: the link to the host and the core behind it."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from .config import ArrayConfig
from .core import Core
from .link import Link, line_members

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """XNOR-popcount accelerator behind a UART or a FIFO, as it sits on a board and in every simulation.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    build : :class:`int`
        64-bit identification of the build, reported to the host.

    Members
    -------
    rx, tx : In(1), Out(1)
        With ``config.link`` "uart": serial data from and to the host; idle is 1. ``rx`` may be asynchronous.
    i, o : In(stream.Signature(8)), Out(stream.Signature(8))
        With "fifo": bytes from and to the host.
    """

    def __init__(self, config: ArrayConfig, build: int = 0) -> None:
        self.config = config
        self.build = build
        super().__init__(line_members(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(self.config, self.build)
        m.submodules.core = core = Core(self.config)
        connect(m, link.memory, core.memory)
        connect(m, link.control, core.control)
        if self.config.link == "fifo":
            connect(m, flipped(self.i), link.i)
            connect(m, link.o, flipped(self.o))
        else:
            m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        return m
