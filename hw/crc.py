"""CRC-32 as zlib.crc32 computes it, some bits a cycle."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CRC_BYTES", "Crc32"]

CRC_BYTES = 4
#: The polynomial of IEEE 802.3, lowest power in the highest bit.
_POLYNOMIAL = 0xEDB88320
#: The register after any bytes and their CRC, see :attr:`Crc32.match`.
_RESIDUE = 0xDEBB20E3


class Crc32(wiring.Component):
    """Compute a CRC-32 of bytes and give it out byte by byte.

    Takes ``8 / bits`` cycles a byte: 8 bits a cycle cost 125 LUTs, 2 bits 35.

    Parameters
    ----------
    bits : int
        Bits a cycle: 1, 2, 4 or 8.

    Members
    -------
    clear : In(1)
        Begin anew.
    i : In(stream.Signature(8))
        Bytes to sum. ``ready`` is 1 in a byte's last cycle whether or not a byte is offered, so that other
        blocks can take the byte in that cycle too. ``valid`` may pause.
    shift : In(1)
        Go on to the sum's next byte, which takes as long as a byte of ``i``, whose ``ready`` marks the last
        cycle here too. Nothing may be offered on ``i``.
    byte : Out(8)
        The lowest byte of the sum, while nothing is summed or shifted.
    match : Out(1)
        The bytes so far ended with the CRC of those before it.
    """

    def __init__(self, bits: int) -> None:
        if bits not in (1, 2, 4, 8):
            raise ValueError(f"a CRC takes 1, 2, 4 or 8 bits a cycle, not {bits}")
        self.bits = bits
        super().__init__(
            {
                "clear": In(1),
                "i": In(stream.Signature(8)),
                "shift": In(1),
                "byte": Out(8),
                "match": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps = 8 // self.bits
        state = Signal(32, init=0xFFFFFFFF)
        step = Signal(range(steps))
        bits = self.i.payload.word_select(step, self.bits)

        following = state
        for k in range(self.bits):
            feedback = (following[0] ^ bits[k]) & ~self.shift
            following = (following >> 1) ^ Mux(feedback, _POLYNOMIAL, 0)

        m.d.comb += [
            self.i.ready.eq(step == steps - 1),
            self.byte.eq(~state[:8]),
            self.match.eq(state == _RESIDUE),
        ]
        with m.If(self.i.valid | self.shift):
            m.d.sync += [state.eq(following), step.eq(step + 1)]
        with m.If(self.clear):
            m.d.sync += [state.eq(state.init), step.eq(0)]
        return m
