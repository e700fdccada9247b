"""Counting what runs do."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .protocol import Run

__all__ = ["RunCounters"]

#: At 200 MHz cycles wrap after 16 days.
_CYCLE_BITS = 48


class RunCounters(wiring.Component):
    """Cycles of runs and useful lane-operations.

    A carry into the upper half of a counter comes a cycle late, so that long sums do not limit the clock.

    Members
    -------
    running, working : In(1)
        A run goes on; a beat is given.
    pass_end : In(1)
        A pass ends: ``lanes`` are added.
    lanes : In(64)
        Useful lane-operations of a pass; constant while ``running``.
    clear : In(1)
        Set all counters to 0.
    busy_cycles, stalled_cycles, useful_lanes : Out(64)
        See :data:`~xnorgrid.hw.protocol.StatusReport`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "running": In(1),
                "working": In(1),
                "pass_end": In(1),
                "lanes": In(Run["lanes"].width),
                "clear": In(1),
                "busy_cycles": Out(64),
                "stalled_cycles": Out(64),
                "useful_lanes": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        half = Run["lanes"].width // 2
        low, high = self.useful_lanes[:half], self.useful_lanes[half:]
        carry, add_high = Signal(), Signal()
        m.d.sync += add_high.eq(self.pass_end)
        with m.If(self.pass_end):
            m.d.sync += Cat(low, carry).eq(low + self.lanes[:half])
        with m.If(add_high):
            m.d.sync += high.eq(high + self.lanes[half:] + carry)
        with m.If(self.clear):
            m.d.sync += [self.useful_lanes.eq(0), add_high.eq(0)]
        self._count(m, self.busy_cycles, self.running)
        self._count(m, self.stalled_cycles, self.running & ~self.working)
        return m

    def _count(self, m: Module, counter: Signal, on: Value) -> None:
        """Count the cycles with ``on``."""
        half = _CYCLE_BITS // 2
        low, high, carry = Signal(half), Signal(half), Signal()
        m.d.comb += counter.eq(Cat(low, high))
        m.d.sync += carry.eq(0)
        with m.If(on):
            m.d.sync += Cat(low, carry).eq(low + 1)
        with m.If(carry):
            m.d.sync += high.eq(high + 1)
        with m.If(self.clear):
            m.d.sync += [low.eq(0), high.eq(0), carry.eq(0)]
