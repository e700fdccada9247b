"""Reset and LED around the accelerator."""

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.sim import Simulator

from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.pll import pll
from xnorgrid.boards.top import BoardTop, Heartbeat, ResetDelay


class Stoppable(Elaboratable):
    """A reset delay on a clock made of a signal, which can stand still."""

    def __init__(self, cycles):
        self.delay = ResetDelay(cycles)
        self.clock = Signal()

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal().eq(self.clock)
        m.submodules.delay = self.delay
        return m


@pytest.mark.parametrize("cycles", [1, 5, 8])
def test_reset_is_released_cycles_after_its_cause(cycles):
    dut = Stoppable(cycles)

    async def edges(ctx, count):
        """Clock cycles until reset falls, at most ``count``."""
        for k in range(count):
            if not ctx.get(dut.delay.reset):
                return k
            await ctx.delay(1e-6)
            ctx.set(dut.clock, 1)
            await ctx.delay(1e-6)
            ctx.set(dut.clock, 0)
        return count

    async def bench(ctx):
        assert ctx.get(dut.delay.reset) == 1
        ctx.set(dut.delay.stop, 1)
        assert await edges(ctx, 20) == 20
        ctx.set(dut.delay.stop, 0)
        assert await edges(ctx, 99) == cycles + 3
        assert await edges(ctx, 20) == 0
        # Without a clock, and for the whole time again.
        ctx.set(dut.delay.stop, 1)
        await ctx.delay(1e-9)
        assert ctx.get(dut.delay.reset) == 1
        ctx.set(dut.delay.stop, 0)
        assert await edges(ctx, 99) == cycles + 3

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_heartbeat_is_eight_times_as_fast_while_the_line_is_busy():
    dut = Heartbeat(1024)

    async def period(ctx):
        """Cycles from one rise of the LED to the next."""
        cycles, rises, before = 0, [], 1
        while len(rises) < 2:
            led = ctx.get(dut.led)
            if led and not before:
                rises.append(cycles)
            before = led
            cycles += 1
            await ctx.tick()
        return rises[1] - rises[0]

    async def bench(ctx):
        ctx.set(dut.line, 3)
        await ctx.tick().repeat(2000)
        assert await period(ctx) == 1024
        for busy in (1, 2):
            ctx.set(dut.line, busy)
            await ctx.tick().repeat(500)
            assert await period(ctx) == 128
        ctx.set(dut.line, 3)
        await ctx.tick().repeat(500)
        assert await period(ctx) == 1024

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_only_the_named_pins_are_used(board):
    setting = pll(board.device.family, board.clock_hz, board.config.clock_hz)
    plan = board.platform().prepare(
        BoardTop(board, setting), "top", emit_src=False, debug_verilog=False
    )
    pins = next(
        text if isinstance(text, str) else text.decode()
        for name, text in plan.files.items()
        if name.endswith((".lpf", ".pcf", ".cst"))
    )
    found = [line for line in pins.splitlines() if line.startswith(("LOCATE", "set_io", "IO_LOC"))]
    assert {line.replace('"', " ").rstrip(" ;").split()[-1] for line in found} == set(
        board.pins().values()
    )
