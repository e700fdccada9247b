# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth import Module
from amaranth.lib import wiring

from xnorgrid.hw.uart import UartReceiver, UartTransmitter
from xnorgrid.sim.streams import new_seed, receive, send, simulate


class Loopback(wiring.Component):
    def __init__(self, clocks_per_bit):
        self.transmitter = UartTransmitter(clocks_per_bit)
        self.receiver = UartReceiver(clocks_per_bit)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.transmitter, self.receiver]
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        return m


def line_bits(byte, stop=1):
    return [0, *(byte >> k & 1 for k in range(8)), stop]


async def drive(ctx, line, byte, cycles_per_bit, stop=1):
    """Send one byte whose bits take a fractional number of cycles."""
    elapsed = 0
    for k, bit in enumerate(line_bits(byte, stop)):
        ctx.set(line, bit)
        until = round((k + 1) * cycles_per_bit)
        await ctx.tick().repeat(until - elapsed)
        elapsed = until
    ctx.set(line, 1)


def listener(dut, events, ready=1):
    """Monitor that notes bytes, framing errors and overruns."""

    async def bench(ctx):
        ctx.set(dut.o.ready, ready)
        while True:
            *_, valid, payload, error, overrun = await ctx.tick().sample(
                dut.o.valid, dut.o.payload, dut.framing_error, dut.overrun
            )
            if valid and ready:
                events.append(payload)
            if error:
                events.append("framing error")
            if overrun:
                events.append("overrun")

    return bench


@pytest.mark.parametrize("clocks_per_bit", [4, 5, 7, 16])
def test_every_byte_crosses(clocks_per_bit):
    rng = random.Random(new_seed())
    dut = Loopback(clocks_per_bit)
    sent = list(range(256))
    rng.shuffle(sent)
    got = []

    async def source(ctx):
        await send(ctx, dut.transmitter.i, sent, rng, stalls=0.3)

    async def sink(ctx):
        got.extend(await receive(ctx, dut.receiver.o, len(sent), rng, stalls=0.3))

    simulate(dut, source, sink, cycles=256 * 10 * clocks_per_bit * 2)
    assert got == sent


def test_transmitter_leaves_no_gap():
    dut = UartTransmitter(4)
    sent = [0x55, 0x00, 0xFF]
    line = []

    async def source(ctx):
        await send(ctx, dut.i, sent, random.Random(0))
        await ctx.tick().repeat(60)

    async def watch(ctx):
        while True:
            *_, tx = await ctx.tick().sample(dut.tx)
            line.append(tx)

    simulate(dut, source, monitors=[watch])
    start = line.index(0)
    expected = [bit for byte in sent for bit in line_bits(byte) for _ in range(4)]
    assert line[start : start + 120] == expected
    assert set(line[start + 120 :]) == {1}


@pytest.mark.parametrize("mismatch", [-0.02, 0.02])
@pytest.mark.parametrize("clocks_per_bit", [4, 8])
def test_receiver_tolerates_two_percent(clocks_per_bit, mismatch):
    rng = random.Random(new_seed())
    dut = UartReceiver(clocks_per_bit)
    sent = [rng.randrange(256) for _ in range(200)]
    events = []

    async def source(ctx):
        for byte in sent:
            await drive(ctx, dut.rx, byte, clocks_per_bit * (1 + mismatch))
            await ctx.tick().repeat(rng.randrange(3) + 1)
        await ctx.tick().repeat(10 * clocks_per_bit)

    simulate(dut, source, monitors=[listener(dut, events)])
    assert events == sent


def test_glitch_is_no_start_bit():
    dut = UartReceiver(8)
    events = []

    async def source(ctx):
        ctx.set(dut.rx, 0)
        await ctx.tick()
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(100)
        await drive(ctx, dut.rx, 0xA5, 8)
        await ctx.tick().repeat(20)

    simulate(dut, source, monitors=[listener(dut, events)])
    assert events == [0xA5]


def test_framing_error_drops_bytes_until_the_line_was_idle():
    dut = UartReceiver(4)
    events = []

    async def source(ctx):
        await drive(ctx, dut.rx, 0x12, 4)
        await drive(ctx, dut.rx, 0x34, 4, stop=0)
        await drive(ctx, dut.rx, 0x56, 4)
        await drive(ctx, dut.rx, 0x78, 4)
        await ctx.tick().repeat(40 + 4)
        await drive(ctx, dut.rx, 0x9A, 4)
        await ctx.tick().repeat(20)

    simulate(dut, source, monitors=[listener(dut, events)])
    assert events == [0x12, "framing error", 0x9A]


def test_break_is_one_framing_error():
    dut = UartReceiver(4)
    events = []

    async def source(ctx):
        ctx.set(dut.rx, 0)
        await ctx.tick().repeat(400)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(44)
        await drive(ctx, dut.rx, 0xC3, 4)
        await ctx.tick().repeat(20)

    simulate(dut, source, monitors=[listener(dut, events)])
    assert events == ["framing error", 0xC3]


def test_overrun_keeps_the_first_byte():
    dut = UartReceiver(4)
    events = []

    async def source(ctx):
        for byte in (1, 2, 3):
            await drive(ctx, dut.rx, byte, 4)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.o.valid)
        assert ctx.get(dut.o.payload) == 1

    simulate(dut, source, monitors=[listener(dut, events, ready=0)])
    assert events == ["overrun", "overrun"]


@pytest.mark.parametrize("block", [UartReceiver, UartTransmitter])
def test_too_few_clocks_per_bit(block):
    with pytest.raises(ValueError, match="at least 4 clock cycles a bit, not 3"):
        block(3)
