"""Weight and preset memories: one bank of each a row, read along a skew."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import beat_layout
from .bus import MemoryBus
from .config import ArrayConfig
from .memory import BankReader, BlockMemory, place_memory
from .pe import Accumulate
from .pipeline import delayed
from .protocol import Region

__all__ = ["WeightMemory"]


class WeightMemory(wiring.Component):
    """Feed the rows of the array.

    Every row has its own banks and sees the same addresses, one cycle later from tile row to tile row. So
    addresses are skewed and not the much wider words. Presets and the accumulators' control follow
    ``count_latency`` cycles behind the weights.

    Parameters
    ----------
    config : :class:`ArrayConfig`
    count_latency : :class:`int`
        See :class:`SystolicArray`.

    Members
    -------
    beat : In(beat_layout(config))
    weights, accumulate, presets : Out
        As :class:`SystolicArray` takes them; tile row 0 gets its weights :attr:`latency` cycles after the
        beat.
    memory : In(MemoryBus(config))
        Host access to regions WEIGHTS and PRESETS. Writes are accepted in every cycle; reads only make
        sense while no beats are given.
    """

    latency = BlockMemory.latency

    def __init__(self, config: ArrayConfig, count_latency: int) -> None:
        self.config = config
        self.count_latency = count_latency
        super().__init__(
            {
                "beat": In(beat_layout(config)),
                "weights": Out(config.lanes).array(config.rows),
                "accumulate": Out(Accumulate).array(config.grid_rows),
                "presets": Out(signed(config.accumulator_bits)).array(config.rows),
                "memory": In(MemoryBus(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.memory
        m.submodules.reader = reader = BankReader(
            self.count_latency + config.grid_rows - 1 + self.latency
        )
        reader.serve(m, bus)
        write = bus.valid & bus.ready & bus.write

        def address(of_beat: object) -> object:
            return Mux(reader.active, reader.held_address[: len(of_beat)], of_beat)

        weight_address = address(self.beat.weight_address)
        preset_address = delayed(m, address(self.beat.preset_address), self.count_latency)
        accumulate = delayed(m, self.beat.accumulate, self.count_latency + self.latency)
        banks: dict[Region, list[BlockMemory]] = {Region.WEIGHTS: [], Region.PRESETS: []}
        for i in range(config.grid_rows):
            if i:
                weight_address = delayed(m, weight_address, 1)
                preset_address = delayed(m, preset_address, 1)
                accumulate = delayed(m, accumulate, 1)
            m.d.comb += self.accumulate[i].eq(accumulate)
            for row in range(i * config.tile_rows, (i + 1) * config.tile_rows):
                weights = place_memory(
                    m, platform, f"weights_{row}", config.lanes, config.weight_depth
                )
                presets = place_memory(
                    m, platform, f"presets_{row}", config.accumulator_bits, config.preset_depth
                )
                banks[Region.WEIGHTS].append(weights)
                banks[Region.PRESETS].append(presets)
                m.d.comb += [
                    weights.read_address.eq(weight_address),
                    presets.read_address.eq(preset_address),
                    self.weights[row].eq(weights.read_data),
                    self.presets[row].eq(presets.read_data),
                ]
                for region, bank in ((Region.WEIGHTS, weights), (Region.PRESETS, presets)):
                    m.d.comb += [
                        bank.write.eq(write & (bus.region == region) & (bus.bank == row)),
                        bank.write_address.eq(bus.address),
                        bank.write_data.eq(bus.write_data),
                    ]
        with m.Switch(bus.region):
            for region, of_region in banks.items():
                with m.Case(region):
                    data = Array(bank.read_data for bank in of_region)
                    m.d.comb += bus.read_data.eq(data[reader.held_bank])
        return m
