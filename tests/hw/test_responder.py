# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from xnorgrid.hw.bus import MemoryBus
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.pipeline import delayed
from xnorgrid.hw.responder import Responder
from xnorgrid.sim.streams import new_seed, simulate

CONFIG = ArrayConfig(
    rows=1, cols=1, lanes=8, weight_depth=8, activation_depth=8, preset_depth=8
)  # fmt: skip
WORDS = 8


class Words(wiring.Component):
    """A memory behind a responder; somebody else reads at ``other_address`` while it lets them."""

    def __init__(self, read_cycles):
        self.read_cycles = read_cycles
        super().__init__(
            {
                "memory": In(MemoryBus(CONFIG)),
                "hold": In(1),
                "store": Out(1),
                "reading": Out(1),
                "other_address": In(range(WORDS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.responder = responder = Responder(CONFIG, self.read_cycles)
        m.submodules.words = words = memory.Memory(shape=32, depth=WORDS, init=[])
        connect(m, flipped(self.memory), responder.memory)
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            responder.hold.eq(self.hold),
            self.store.eq(responder.store),
            self.reading.eq(responder.reading),
            read.en.eq(1),
            read.addr.eq(Mux(responder.reading, self.memory.address, self.other_address)),
            responder.memory.read_data.eq(delayed(m, read.data, self.read_cycles - 1)),
            write.en.eq(responder.store),
            write.addr.eq(self.memory.address),
            write.data.eq(self.memory.write_data),
        ]
        return m


async def request(ctx, dut, write, address, data=0):
    """Ask until it is granted, and return the cycles that takes; ``valid`` stays up."""
    for member, value in (("write", write), ("address", address), ("write_data", data)):
        ctx.set(getattr(dut.memory, member), value)
    ctx.set(dut.memory.valid, 1)
    cycles, ready = 0, 0
    while not ready:
        *_, ready = await ctx.tick().sample(dut.memory.ready)
        cycles += 1
    return cycles


@pytest.mark.parametrize("read_cycles", [1, 2, 5])
def test_each_request_is_carried_out_once(read_cycles):
    rng = random.Random(new_seed())
    dut = Words(read_cycles)
    asked, stored, read, runs = [], [], [], []
    words = [0] * WORDS

    def in_flight():
        return len(read) < sum(not write for write, _, _ in asked)

    async def initiator(ctx):
        """Requests with and without pauses; until a read has ended its address stays."""
        for _ in range(400):
            write, address, data = rng.random() < 0.5, rng.randrange(WORDS), rng.getrandbits(32)
            if in_flight():
                address = asked[-1][1]
            await request(ctx, dut, write, address, data)
            if write:
                words[address] = data
            asked.append((write, address, words[address]))
            if rng.random() < 0.5:
                ctx.set(dut.memory.valid, 0)
                while in_flight() or rng.random() < 0.5:
                    await ctx.tick()
        ctx.set(dut.memory.valid, 0)
        await ctx.tick().repeat(read_cycles + 2)

    async def others(ctx):
        while True:
            ctx.set(dut.hold, rng.random() < 0.5)
            ctx.set(dut.other_address, rng.randrange(WORDS))
            await ctx.tick()

    async def monitor(ctx):
        bus, run = dut.memory, 0
        watched = (bus.valid, bus.ready, bus.write, bus.address, bus.write_data)
        watched = (*watched, dut.hold, dut.store, dut.reading, bus.read_valid, bus.read_data)
        while True:
            sample = await ctx.tick().sample(*watched)
            valid, ready, write, address, data, hold, store, reading, read_valid, word = sample[
                -10:
            ]
            assert valid or not ready
            if store:
                assert valid and write and not hold and not reading
                stored.append((address, data))
            if read_valid:
                read.append((address, word))
            # One stretch for each read, of the cycles that the memory takes and no more.
            if reading:
                run += 1
                assert run == 1 or not (ready or store)
                assert bool(read_valid) == (run == read_cycles + 1)
            elif run:
                runs.append(run)
                run = 0
            assert reading or not read_valid

    simulate(dut, initiator, monitors=[others, monitor], cycles=20_000)
    assert stored == [(address, data) for write, address, data in asked if write]
    assert read == [(address, data) for write, address, data in asked if not write]
    assert runs == [read_cycles + 1] * len(read)


def test_a_write_takes_two_cycles_and_those_that_hold_it():
    dut = Words(2)

    async def bench(ctx):
        for _ in range(3):
            assert await request(ctx, dut, 1, 0) == 2
        for held in (1, 4):
            ctx.set(dut.hold, 1)
            ctx.set(dut.memory.valid, 1)
            await ctx.tick().repeat(held)
            ctx.set(dut.hold, 0)
            assert await request(ctx, dut, 1, 0) == 2
        # What does not write is not held.
        ctx.set(dut.hold, 1)
        assert await request(ctx, dut, 0, 0) == 2

    simulate(dut, bench, cycles=200)


@pytest.mark.parametrize("read_cycles", [1, 2, 5])
def test_the_word_comes_the_memorys_cycles_after_the_transfer(read_cycles):
    dut = Words(read_cycles)

    async def bench(ctx):
        assert await request(ctx, dut, 0, 0) == 2
        ctx.set(dut.memory.valid, 0)
        for left in reversed(range(read_cycles)):
            *_, valid = await ctx.tick().sample(dut.memory.read_valid)
            assert bool(valid) == (left == 0)

    simulate(dut, bench, cycles=200)


def test_a_word_in_the_cycle_of_its_address():
    with pytest.raises(ValueError, match=r"^read_cycles must be at least 1, not 0$"):
        Responder(CONFIG, 0)
