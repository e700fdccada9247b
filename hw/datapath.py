"""The array, the memories around it, and the way of results back into them."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from .activations import ActivationMemory
from .array import SystolicArray
from .beat import beat_layout
from .bus import MemoryBus
from .config import ArrayConfig
from .host_access import HostAccess
from .packer import PackerControl
from .pipeline import delayed
from .weights import WeightMemory

__all__ = ["Datapath"]


def _result_latency(config: ArrayConfig) -> int:
    """Cycles from a beat to the result bits that it completes, in tile column 0."""
    return ActivationMemory.latency + SystolicArray.latency_of(config)


class Datapath(wiring.Component):
    """Carry out beats: read operands, compare, count, accumulate, pool, pack and store.

    Parameters
    ----------
    config : :class:`ArrayConfig`

    Members
    -------
    beat : In(beat_layout(config))
        One a cycle at most; ``accumulate.valid`` is 0 in cycles without one.
    begin, output_base, output_words, output_step, output_row_step : In
        For :class:`PackerControl`: a layer begins.
    memory : In(MemoryBus(config))
        Host access to regions WEIGHTS, PRESETS and ACTIVATIONS. Writes are taken at any time; one to
        ACTIVATIONS waits while results are written. Reads only make sense while no beats are given.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "beat": In(beat_layout(config)),
                "begin": In(1),
                "output_base": In(16),
                "output_words": In(16),
                "output_step": In(16),
                "output_row_step": In(16),
                "memory": In(MemoryBus(config)),
            }
        )

    @staticmethod
    def drain_cycles_of(config: ArrayConfig) -> int:
        """Cycles from a beat to the last in which another cannot read the word that its result completes."""
        step = _result_latency(config) - ActivationMemory.step_latency
        return step + PackerControl.latency_of(config)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, beat = self.config, self.beat
        m.submodules.array = array = SystolicArray(config)
        m.submodules.weights = weights = WeightMemory(config, array.count_latency)
        m.submodules.activations = activations = ActivationMemory(config)
        m.submodules.packing = packing = PackerControl(config)
        m.submodules.host = host = HostAccess(
            config, max(weights.read_cycles, activations.read_cycles)
        )
        connect(m, flipped(self.memory), host.memory)
        reading, read_address = host.reading, self.memory.address
        result_latency = _result_latency(config) - ActivationMemory.step_latency
        m.d.comb += [
            weights.weight_address.eq(beat.weight_address),
            weights.preset_address.eq(beat.preset_address),
            weights.accumulate.eq(beat.accumulate),
            activations.address.eq(beat.activation_address),
            packing.begin.eq(self.begin),
            packing.base.eq(self.output_base),
            packing.words.eq(self.output_words),
            packing.position_step.eq(self.output_step),
            packing.row_step.eq(self.output_row_step),
            packing.result.eq(delayed(m, beat.result, result_latency)),
            activations.step.eq(packing.step),
            activations.write_address.eq(self.memory.address),
            host.packing.eq(packing.full),
            weights.access.eq(host.rows),
            activations.access.eq(host.columns),
            host.read_data.eq(weights.read_data | activations.read_data),
        ]
        with m.If(reading):
            m.d.comb += [
                weights.weight_address.eq(read_address),
                weights.preset_address.eq(read_address),
                activations.address.eq(read_address),
            ]
        m.d.comb += [
            array.weights_enable.eq(weights.weights_enable),
            array.activations_enable.eq(activations.activations_enable),
        ]
        for i, accumulate in enumerate(weights.row_accumulate):
            m.d.comb += array.accumulate[i].eq(accumulate)
        for row in range(config.rows):
            m.d.comb += [
                array.weights[row].eq(weights.weights[row]),
                array.presets[row].eq(weights.presets[row]),
                weights.held_weights[row].eq(array.held_weights[row]),
            ]
        for col in range(config.cols):
            m.d.comb += [
                array.activations[col].eq(activations.activations[col]),
                activations.held_activations[col].eq(array.held_activations[col]),
                activations.bits[col].eq(array.bits[col]),
            ]
        return m
