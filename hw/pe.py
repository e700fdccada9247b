"""One processing element: compare, count, accumulate."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .popcount import Popcount

__all__ = ["Accumulate", "ProcessingElement"]

#: What an accumulator does with the count that reaches it.
Accumulate = data.StructLayout(
    {
        "valid": 1,  #: add the count; otherwise hold
        "first": 1,  #: start from the preset instead of the accumulated value
        "double": 1,  #: double the accumulated value, plus the preset's lowest bit, before adding
    }
)


class ProcessingElement(wiring.Component):
    """Count the lanes in which weight and activation disagree, and accumulate the counts.

    Takes a beat (a pair of words) every cycle. A threshold layer presets the accumulator to T - n - 1, so
    that after all n lanes its sign bit is [p >= T], p being the agreeing lanes. Where sums of bit-planes
    double the accumulator on the way, the preset's low bits follow one by one. Words shorter than
    ``lanes`` are padded with 0 in both operands, which disagrees nowhere.

    Parameters
    ----------
    lanes : :class:`int`
        Bits of each operand.
    accumulator_bits : :class:`int`
        Width of the signed accumulator. The caller makes sure that no sum leaves its range.

    Members
    -------
    weight, activation : In(lanes)
        The beat's operands.
    accumulate : In(Accumulate)
        Given :attr:`count_latency` cycles after the operands it belongs to.
    preset : In(signed(accumulator_bits))
        Given together with ``accumulate``, and added. Must be 0 unless ``first`` is 1; its lowest bit also
        counts when ``double`` is 1.
    bit : Out(1)
        Sign of the accumulator: :attr:`latency` cycles after a sum's last operands it is the neuron's bit.
    """

    def __init__(self, lanes: int, accumulator_bits: int) -> None:
        self.lanes = lanes
        self.accumulator_bits = accumulator_bits
        super().__init__(
            {
                "weight": In(lanes),
                "activation": In(lanes),
                "accumulate": In(Accumulate),
                "preset": In(signed(accumulator_bits)),
                "bit": Out(1),
            }
        )

    @property
    def count_latency(self) -> int:
        """Cycles from the operands to their count."""
        return self.count_latency_of(self.lanes)

    @staticmethod
    def count_latency_of(lanes: int) -> int:
        """:attr:`count_latency` of an element of ``lanes`` lanes."""
        return Popcount.latency_of(lanes)

    @property
    def latency(self) -> int:
        """Cycles from the operands to the accumulator that includes them."""
        return self.latency_of(self.lanes)

    @staticmethod
    def latency_of(lanes: int) -> int:
        """:attr:`latency` of an element of ``lanes`` lanes."""
        return Popcount.latency_of(lanes) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.count = count = Popcount(self.lanes)
        accumulator = Signal(self.accumulator_bits, reset_less=True)
        doubled = Cat(Const(0, 1), accumulator[:-1])
        # One LUT a bit in front of the adder: what stays of the accumulator. Bits of the preset above the
        # count's are the adder's other operand; below them what stays or is preset is the one, the count
        # the other.
        kept = Mux(self.accumulate.first, 0, Mux(self.accumulate.double, doubled, accumulator))
        low = min(len(count.o), self.accumulator_bits)
        start = Cat((kept | self.preset)[:low], kept[low:])
        added = Cat(count.o[:low], self.preset[low:])
        m.d.comb += [
            count.a.eq(self.weight),
            count.b.eq(self.activation),
            self.bit.eq(accumulator[-1]),
        ]
        with m.If(self.accumulate.valid):
            m.d.sync += accumulator.eq(start + added)
        return m
