"""UART, 8 data bits, no parity, 1 stop bit."""

from __future__ import annotations

import operator

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

#: With fewer clock cycles a bit, the sampling error of one cycle would leave no room for baud mismatch.
MIN_CLOCKS_PER_BIT = 4
#: Start bit, eight data bits, stop bit.
BITS_PER_BYTE = 10


def _checked(clocks_per_bit: int) -> int:
    clocks_per_bit = operator.index(clocks_per_bit)
    if clocks_per_bit < MIN_CLOCKS_PER_BIT:
        raise ValueError(
            f"a UART needs at least {MIN_CLOCKS_PER_BIT} clock cycles a bit, not {clocks_per_bit}"
        )
    return clocks_per_bit


class UartReceiver(wiring.Component):
    """Receive bytes from an asynchronous line, sampling each bit in its middle.

    A byte appears on ``o`` one cycle after the middle of its stop bit was seen; the line itself is seen
    two cycles late. A byte that completes while the previous one has not been taken is lost. A byte whose
    stop bit is 0 is dropped, and reception resumes once the line was idle (1) for the time of a byte,
    so that a stream of back-to-back bytes is not cut at the wrong places.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles per bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, asynchronous, 1 when idle.
    o : Out(stream.Signature(8))
        Received bytes.
    framing_error : Out(1)
        1 for one cycle when a byte was dropped for its stop bit.
    overrun : Out(1)
        1 for one cycle when a byte was lost because the previous one had not been taken.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self.clocks_per_bit = _checked(clocks_per_bit)
        super().__init__(
            {
                "rx": In(1, init=1),
                "o": Out(stream.Signature(8)),
                "framing_error": Out(1),
                "overrun": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()

        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)

        timer = Signal(range(BITS_PER_BYTE * self.clocks_per_bit))
        bits_left = Signal(range(8))
        shift = Signal(8)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                # The line fell between the previous cycle and this one: half a bit less half a cycle.
                m.d.sync += timer.eq((self.clocks_per_bit - 1) // 2 - 1)
                with m.If(~rx):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += [timer.eq(timer - 1), bits_left.eq(7)]
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self.clocks_per_bit - 1)
                    with m.If(rx):  # a glitch, no start bit
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "DATA"
            with m.State("DATA"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.sync += [
                        timer.eq(self.clocks_per_bit - 1),
                        shift.eq(Cat(shift[1:], rx)),
                        bits_left.eq(bits_left - 1),
                    ]
                    with m.If(bits_left == 0):
                        m.next = "STOP"
            with m.State("STOP"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == 0):
                    with m.If(~rx):
                        m.d.comb += self.framing_error.eq(1)
                        m.d.sync += timer.eq(BITS_PER_BYTE * self.clocks_per_bit - 1)
                        m.next = "RESYNCHRONISE"
                    with m.Else():
                        with m.If(self.o.valid & ~self.o.ready):
                            m.d.comb += self.overrun.eq(1)
                        with m.Else():
                            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift)]
                        m.next = "IDLE"
            with m.State("RESYNCHRONISE"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(~rx):
                    m.d.sync += timer.eq(BITS_PER_BYTE * self.clocks_per_bit - 1)
                with m.Elif(timer == 0):
                    m.next = "IDLE"

        return m


class UartTransmitter(wiring.Component):
    """Send bytes on an asynchronous line.

    Takes a byte every ``10 * clocks_per_bit`` cycles; its start bit begins one cycle after it was taken.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles per bit, at least 4.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes to send.
    tx : Out(1)
        The line, 1 when idle.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self.clocks_per_bit = _checked(clocks_per_bit)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()

        timer = Signal(range(self.clocks_per_bit))
        bits_left = Signal(range(BITS_PER_BYTE + 1))
        # Bits that follow the one on the line; ones behind the byte are its stop bit and the idle line.
        shift = Signal(9, init=0x1FF)

        bit_done = timer == 0
        m.d.comb += self.i.ready.eq((bits_left == 0) | ((bits_left == 1) & bit_done))

        with m.If(~bit_done):
            m.d.sync += timer.eq(timer - 1)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.i.payload, 1)),
                bits_left.eq(BITS_PER_BYTE),
                timer.eq(self.clocks_per_bit - 1),
            ]
        with m.Elif(bit_done & (bits_left != 0)):
            m.d.sync += [
                self.tx.eq(shift[0]),
                shift.eq(Cat(shift[1:], 1)),
                bits_left.eq(bits_left - 1),
                timer.eq(self.clocks_per_bit - 1),
            ]

        return m
