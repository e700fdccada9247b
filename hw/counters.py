"""Counting what runs do."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RunCounters"]


class RunCounters(wiring.Component):
    """Cycles of runs and useful lane-operations.

    A pass's lanes are counted for one column and, once the pass has ended, multiplied by the columns in use,
    a bit a cycle, while the next pass goes on. Passes are further apart than the 17 cycles that this takes.

    Members
    -------
    running, working : In(1)
        A run goes on; a beat is given.
    lanes : In(32)
        Useful lane-operations of one column to add in this cycle.
    columns : In(16)
        Columns in use, minus one.
    pass_end : In(1)
        The pass's last lanes are given in this cycle or were before.
    clear : In(1)
        Set all counters to 0 and forget the pass so far.
    busy_cycles, stalled_cycles, useful_lanes : Out(64)
        See :data:`~xnorgrid.hw.protocol.StatusReport`.
    adding : Out(1)
        A pass's lanes are not in ``useful_lanes`` yet.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "running": In(1),
                "working": In(1),
                "lanes": In(32),
                "columns": In(16),
                "pass_end": In(1),
                "clear": In(1),
                "busy_cycles": Out(64),
                "stalled_cycles": Out(64),
                "useful_lanes": Out(64),
                "adding": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pass_lanes, term, factor, multiply = Signal(64), Signal(64), Signal(17), Signal()
        m.d.comb += self.adding.eq(multiply | (factor != 0))
        m.d.sync += [
            self.busy_cycles.eq(self.busy_cycles + self.running),
            self.stalled_cycles.eq(self.stalled_cycles + (self.running & ~self.working)),
            pass_lanes.eq(pass_lanes + self.lanes),
            multiply.eq(self.pass_end),
        ]
        with m.If(multiply):
            m.d.sync += [term.eq(pass_lanes), factor.eq(self.columns + 1), pass_lanes.eq(0)]
        with m.Elif(factor != 0):
            m.d.sync += [
                self.useful_lanes.eq(self.useful_lanes + Mux(factor[0], term, 0)),
                term.eq(term << 1),
                factor.eq(factor >> 1),
            ]
        with m.If(self.clear):
            m.d.sync += [
                self.busy_cycles.eq(0),
                self.stalled_cycles.eq(0),
                self.useful_lanes.eq(0),
                pass_lanes.eq(0),
                factor.eq(0),
            ]
        return m
