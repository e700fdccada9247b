"""Activation memories: one bank a column, read along a skew and written by the packers."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bus import MemoryBus
from .config import ArrayConfig
from .library import place
from .memory import BankReader, BlockMemory, place_memory
from .packer import Packer, pack_step_layout
from .pipeline import delayed

__all__ = ["ActivationMemory"]


class ActivationMemory(wiring.Component):
    """Feed the columns of the array and keep their results.

    Every column has its own bank and sees the same read addresses and the same packing steps, one cycle
    later from tile column to tile column.

    Members
    -------
    address : In(range(activation_depth))
        Word that the array needs.
    activations : Out(lanes).array(cols)
        Tile column 0 gets its word :attr:`latency` cycles after the address.
    bits : In(rows).array(cols)
        Results of the array, already skewed.
    step : In(pack_step_layout(config))
        Given in the cycle in which the bits of tile column 0 are there.
    memory : In(MemoryBus(config))
        Host access. A write waits while the packer writes to the same bank; reads only make sense while no
        addresses are given.
    """

    latency = BlockMemory.latency

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        super().__init__(
            {
                "address": In(range(config.activation_depth)),
                "activations": Out(config.lanes).array(config.cols),
                "bits": In(config.rows).array(config.cols),
                "step": In(pack_step_layout(config)),
                "memory": In(MemoryBus(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.memory
        m.submodules.reader = reader = BankReader(config.grid_cols - 1 + self.latency)
        step, banks, packing = self.step, [], []
        address = Mux(reader.active, reader.held_address[: len(self.address)], self.address)
        for j in range(config.grid_cols):
            if j:
                address = delayed(m, address, 1)
                step = delayed(m, step, 1)
            for col in range(j * config.tile_cols, (j + 1) * config.tile_cols):
                packer = place(m, platform, f"packer_{col}", "packer", lambda: Packer(config))
                bank = place_memory(
                    m, platform, f"bank_{col}", config.lanes, config.activation_depth
                )
                banks.append(bank.read_data)
                packing.append(step.write)
                host_write = bus.valid & bus.write & (bus.bank == col)
                m.d.comb += [
                    packer.bits.eq(self.bits[col]),
                    packer.step.eq(step),
                    bank.read_address.eq(address),
                    self.activations[col].eq(bank.read_data),
                    bank.write.eq(step.write | (host_write & ~reader.active)),
                    bank.write_address.eq(Mux(step.write, step.address, bus.address)),
                    bank.write_data.eq(Mux(step.write, packer.word, bus.write_data)),
                ]
        reader.serve(m, bus, write_waits=Array(packing)[bus.bank])
        m.d.comb += bus.read_data.eq(Array(banks)[reader.held_bank])
        return m
