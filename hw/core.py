"""The accelerator without its link: sequencer and datapath."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from .bus import MemoryBus, RunControl
from .config import ArrayConfig
from .datapath import Datapath
from .protocol import Region
from .sequencer import Sequencer, Timing

__all__ = ["Core", "timing"]


def timing(config: ArrayConfig) -> Timing:
    """Return the cycles of a run in which the array of ``config`` does not work on a layer."""
    return Timing.of(config, Datapath.drain_cycles_of(config))


class Core(wiring.Component):
    """Run layer programs on the systolic array.

    Members
    -------
    memory : In(MemoryBus(config))
        Host access to all regions. Reads, and writes to PROGRAM, only make sense while no run goes on;
        other writes are taken at any time.
    control : In(RunControl())
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__({"memory": In(MemoryBus(config)), "control": In(RunControl())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.datapath = datapath = Datapath(self.config)
        m.submodules.sequencer = sequencer = Sequencer(
            self.config, Datapath.drain_cycles_of(self.config)
        )
        connect(m, flipped(self.control), sequencer.control)
        m.d.comb += [
            datapath.beat.eq(sequencer.beat),
            datapath.begin.eq(sequencer.begin),
            datapath.output_base.eq(sequencer.output_base),
            datapath.output_words.eq(sequencer.output_words),
            datapath.output_step.eq(sequencer.output_step),
            datapath.output_row_step.eq(sequencer.output_row_step),
        ]

        bus = self.memory
        for_program = bus.region == Region.PROGRAM
        for home, asked in ((sequencer, for_program), (datapath, ~for_program)):
            m.d.comb += [
                home.memory.valid.eq(bus.valid & asked),
                home.memory.write.eq(bus.write),
                home.memory.region.eq(bus.region),
                home.memory.bank.eq(bus.bank),
                home.memory.address.eq(bus.address),
                home.memory.write_data.eq(bus.write_data),
            ]
        words = sequencer.memory.read_data[:32], datapath.memory.read_data
        m.d.comb += [
            bus.ready.eq(sequencer.memory.ready | datapath.memory.ready),
            bus.read_valid.eq(sequencer.memory.read_valid | datapath.memory.read_valid),
            bus.read_data.eq(Mux(for_program, words[0], words[1][:32])),
            bus.read_data[32:].eq(words[1][32:]),
        ]
        return m
