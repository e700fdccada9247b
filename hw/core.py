"""The accelerator without its link: sequencer, memories and array."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from .activations import ActivationMemory
from .array import SystolicArray
from .bus import MemoryBus, RunControl
from .config import ArrayConfig
from .packer import PackerControl
from .pipeline import delayed
from .protocol import Region
from .sequencer import Sequencer, Timing
from .weights import WeightMemory

__all__ = ["Core", "timing"]


def _result_latency(config: ArrayConfig) -> int:
    return ActivationMemory.latency + SystolicArray.latency_of(config)


def _drain_cycles(config: ArrayConfig) -> int:
    return _result_latency(config) + PackerControl.latency_of(config)


def timing(config: ArrayConfig) -> Timing:
    """Return the cycles of a run in which the array of ``config`` does not work on a layer."""
    return Timing.of(config, _drain_cycles(config))


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
        self.array = SystolicArray(config)
        self.weights = WeightMemory(config, self.array.count_latency)
        self.activations = ActivationMemory(config)
        self.packing = PackerControl(config)
        self.sequencer = Sequencer(config, _drain_cycles(config))
        super().__init__({"memory": In(MemoryBus(config)), "control": In(RunControl())})

    @property
    def result_latency(self) -> int:
        """Cycles from a beat to the result bits that it completes, in tile column 0."""
        return _result_latency(self.config)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.weights = weights = self.weights
        m.submodules.activations = activations = self.activations
        m.submodules.array = array = self.array
        m.submodules.packing = packing = self.packing
        connect(m, flipped(self.control), sequencer.control)
        m.d.comb += [
            weights.beat.eq(sequencer.beat),
            activations.address.eq(sequencer.beat.activation_address),
            packing.begin.eq(sequencer.begin),
            packing.base.eq(sequencer.output_base),
            packing.words.eq(sequencer.output_words),
            packing.position_step.eq(sequencer.output_step),
            packing.row_step.eq(sequencer.output_row_step),
            packing.result.eq(delayed(m, sequencer.beat.result, self.result_latency)),
            activations.step.eq(packing.step),
        ]
        for i, accumulate in enumerate(weights.accumulate):
            m.d.comb += array.accumulate[i].eq(accumulate)
        for row in range(self.config.rows):
            m.d.comb += [
                array.weights[row].eq(weights.weights[row]),
                array.presets[row].eq(weights.presets[row]),
            ]
        for col in range(self.config.cols):
            m.d.comb += [
                array.activations[col].eq(activations.activations[col]),
                activations.bits[col].eq(array.bits[col]),
            ]

        homes: dict[Any, tuple[Region, ...]] = {
            sequencer: (Region.PROGRAM,),
            weights: (Region.WEIGHTS, Region.PRESETS),
            activations: (Region.ACTIVATIONS,),
        }
        bus = self.memory
        for home, regions in homes.items():
            m.d.comb += [
                home.memory.region.eq(bus.region),
                home.memory.write.eq(bus.write),
                home.memory.bank.eq(bus.bank),
                home.memory.address.eq(bus.address),
                home.memory.write_data.eq(bus.write_data),
            ]
            with m.Switch(bus.region), m.Case(*regions):
                m.d.comb += [
                    home.memory.valid.eq(bus.valid),
                    bus.ready.eq(home.memory.ready),
                    bus.read_data.eq(home.memory.read_data),
                    bus.read_valid.eq(home.memory.read_valid),
                ]
        return m
