"""The board's end of the link, from the pins to the memories."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bus import MemoryBus, RunControl
from .commander import Commander
from .config import ArrayConfig
from .framing import Deframer, Framer
from .uart import UartReceiver, UartTransmitter

__all__ = ["Link", "line_members"]

#: Bits a cycle of the CRCs: what the line brings. On a UART a byte takes 40 cycles at least.
FIFO_CRC_BITS = 8
UART_CRC_BITS = 2


def line_members(config: ArrayConfig) -> dict[str, wiring.Member]:
    """Return the ports towards the host: ``rx`` and ``tx`` of a UART, or ``i`` and ``o`` of a FIFO."""
    if config.link == "fifo":
        return {"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))}
    return {"rx": In(1, init=1), "tx": Out(1, init=1)}


class Link(wiring.Component):
    """Answer the host's requests: line, queue, frames, commander.

    Queues at least WINDOW_BYTES bytes of requests while a reply leaves. On a UART, more are lost and counted;
    a FIFO waits until there is room. A reply begins some 20 cycles after a request's last byte, plus one
    per byte of the request (on a UART three) and what it asks for. Over a FIFO the commander is the limit:
    256 bytes in words of 4 take 347 cycles to write, and as many to read and the memory's latency for each
    word.

    Parameters
    ----------
    config : ArrayConfig
        The array behind ``memory`` and ``control``.
    build : int
        Identity.build.

    Members
    -------
    rx : In(1)
        UART: from the host, asynchronous, 1 when idle.
    tx : Out(1)
        UART: to the host, 1 when idle.
    i : In(stream.Signature(8))
        FIFO: bytes from the host.
    o : Out(stream.Signature(8))
        FIFO: bytes to the host.
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
                **line_members(config),
                "memory": Out(MemoryBus(config)),
                "control": Out(RunControl()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        fifo = self.config.link == "fifo"
        crc_bits = FIFO_CRC_BITS if fifo else UART_CRC_BITS
        m.submodules.deframer = deframer = Deframer(crc_bits=crc_bits)
        m.submodules.commander = commander = Commander(self.config, self.build, crc_bits=crc_bits)
        m.submodules.framer = framer = Framer(crc_bits=crc_bits)

        if fifo:
            connect(m, flipped(self.i), deframer.i)
            connect(m, framer.o, flipped(self.o))
        else:
            clocks_per_bit = self.config.clocks_per_bit
            m.submodules.receiver = receiver = UartReceiver(clocks_per_bit)
            m.submodules.transmitter = transmitter = UartTransmitter(clocks_per_bit)
            m.d.comb += [
                receiver.rx.eq(self.rx),
                self.tx.eq(transmitter.tx),
                commander.lost_byte.eq(receiver.overrun | receiver.framing_error),
            ]
            connect(m, receiver.o, deframer.i)
            connect(m, framer.o, transmitter.i)

        m.d.comb += commander.bad_frame.eq(deframer.bad_frame)
        connect(m, deframer.o, commander.i)
        connect(m, commander.o, framer.i)
        connect(m, commander.memory, flipped(self.memory))
        connect(m, commander.control, flipped(self.control))

        return m
