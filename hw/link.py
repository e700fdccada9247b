"""The board's end of the link, from the UART's pins to the memories."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus import MemoryBus, RunControl
from .commander import Commander
from .config import ArrayConfig
from .framing import Deframer, Framer
from .protocol import WINDOW_BYTES
from .uart import UartReceiver, UartTransmitter

__all__ = ["Link"]


class Link(wiring.Component):
    """Answer the host's requests on a UART: line, queue, frames, commander.

    Queues at least WINDOW_BYTES bytes of requests while a reply leaves. A reply's start bit follows a
    request's last stop bit by some 20 cycles, plus one per byte of the request and what it asks for.

    Parameters
    ----------
    config : ArrayConfig
        The array behind ``memory`` and ``control``.
    build : int
        Identity.build.

    Members
    -------
    rx : In(1)
        From the host, asynchronous, 1 when idle.
    tx : Out(1)
        To the host, 1 when idle.
    memory : Out(MemoryBus(config))
        The memories.
    control : Out(RunControl())
        The sequencer.
    """

    def __init__(self, config: ArrayConfig, build: int = 0) -> None:
        self.config = config
        self.build = build
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "memory": Out(MemoryBus(config)),
                "control": Out(RunControl()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        clocks_per_bit = self.config.clocks_per_bit
        m.submodules.receiver = receiver = UartReceiver(clocks_per_bit)
        m.submodules.queue = queue = SyncFIFOBuffered(width=8, depth=WINDOW_BYTES)
        m.submodules.deframer = deframer = Deframer()
        m.submodules.commander = commander = Commander(self.config, self.build)
        m.submodules.framer = framer = Framer()
        m.submodules.transmitter = transmitter = UartTransmitter(clocks_per_bit)

        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            commander.bad_frame.eq(deframer.bad_frame),
            commander.lost_byte.eq(receiver.overrun | receiver.framing_error),
        ]
        connect(m, receiver.o, queue.w_stream)
        connect(m, queue.r_stream, deframer.i)
        connect(m, deframer.o, commander.i)
        connect(m, commander.o, framer.i)
        connect(m, framer.o, transmitter.i)
        connect(m, commander.memory, flipped(self.memory))
        connect(m, commander.control, flipped(self.control))

        return m
