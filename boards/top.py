"""The design around the accelerator on every board: PLL, reset, UART pins, LED."""

from __future__ import annotations

import math
from typing import Any

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    Mux,
    ResetSignal,
    Signal,
)  # fmt: skip
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out

from xnorgrid.hw.export import TOP

from .board import Board, Resource
from .pll import Pll

__all__ = ["CLOCK", "RESET_SECONDS", "BoardTop", "Heartbeat", "ResetDelay"]

#: Name of the accelerator's clock in the netlist.
CLOCK = "clk"
#: How long the accelerator stays in reset once the PLL is locked: block RAM of the iCE40 reads as zero for
#: some microseconds after configuration, and Amaranth's own platform waits as long.
RESET_SECONDS = 15e-6


class ResetDelay(wiring.Component):
    """Holds a reset until ``cycles`` clock cycles after its causes are gone.

    Its own domain is ``sync`` without a reset: the output is what becomes the reset of others.

    Members
    -------
    stop : In(1)
        A cause of a reset; may be asynchronous.
    reset : Out(1)
        Rises with ``stop``, without a clock; falls with the clock, ``cycles`` + 3 edges after ``stop`` fell.
    """

    def __init__(self, cycles: int) -> None:
        self.cycles = cycles
        super().__init__({"stop": In(1), "reset": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.held = held = ClockDomain(async_reset=True, local=True)
        m.d.comb += held.clk.eq(ClockSignal())
        m.submodules.release = ResetSynchronizer(self.stop, domain="held")
        left = Signal(range(self.cycles + 1), init=self.cycles)
        reset = Signal(init=1)
        with m.If(left != 0):
            m.d.held += left.eq(left - 1)
        with m.Else():
            m.d.held += reset.eq(0)
        m.d.comb += self.reset.eq(reset)
        return m


class Heartbeat(wiring.Component):
    """Blinks about once a second, and eight times as fast while the line is not idle.

    Members
    -------
    line : In(2)
        Lines whose idle is 1; may be asynchronous.
    led : Out(1)
    """

    def __init__(self, clock_hz: int) -> None:
        self.clock_hz = clock_hz
        super().__init__({"line": In(2), "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line, active = Signal(2, init=3), Signal()
        m.submodules.line = FFSynchronizer(self.line, line, init=3)
        fast = Signal(max(round(math.log2(self.clock_hz)) - 3, 1))
        slow = Signal(3)
        # The sum's last bit is set once in each period of the fast counter.
        following = Signal(len(fast) + 1)
        m.d.comb += [
            following.eq(fast + 1),
            self.led.eq(Mux(active, fast[-1], slow[-1])),
        ]
        m.d.sync += fast.eq(following)
        with m.If(following[-1]):
            m.d.sync += [slow.eq(slow + 1), active.eq(0)]
        with m.If(line != 3):
            m.d.sync += active.eq(1)
        return m


class BoardTop(Elaboratable):
    """The accelerator on ``board``, as an instance of module :data:`TOP` whose Verilog the tools read, too.

    Everything runs in domain ``sync``, made by the PLL as ``setting`` says. Its reset lasts while the PLL is
    not locked or the board's button is pressed, and :data:`RESET_SECONDS` more.
    """

    def __init__(self, board: Board, setting: Pll) -> None:
        self.board = board
        self.setting = setting

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        clock, locked = Signal(name=CLOCK), Signal()
        self._add_pll(m, platform, clock, locked)
        reset_cycles = math.ceil(RESET_SECONDS * self.setting.output_hz)
        m.submodules.reset_delay = delay = ResetDelay(reset_cycles)
        m.d.comb += delay.stop.eq(~locked)
        if self.board.reset is not None:
            m.submodules.button = button = io.Buffer("i", _request(platform, self.board.reset))
            m.d.comb += delay.stop.eq(~locked | button.i)
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(clock), ResetSignal().eq(delay.reset)]

        uart = platform.request(*self.board.uart, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.accelerator = Instance(
            TOP, i_clk=ClockSignal(), i_rst=ResetSignal(), i_rx=rx.i, o_tx=tx.o
        )
        if self.board.led is not None:
            m.submodules.heartbeat = heartbeat = Heartbeat(round(self.setting.output_hz))
            m.submodules.led = led = io.Buffer("o", _request(platform, self.board.led))
            m.d.comb += [heartbeat.line.eq(Cat(rx.i, tx.o)), led.o.eq(heartbeat.led)]
        return m

    def _add_pll(self, m: Module, platform: Any, clock: Signal, locked: Signal) -> None:
        """Add the PLL between the board's oscillator and ``clock``."""
        pin = platform.request(platform.default_clk, dir="-")
        parameters = {f"p_{name}": value for name, value in self.setting.parameters().items()}
        if self.board.pll_pad:
            m.submodules.pll = Instance(
                "SB_PLL40_PAD", **parameters, i_PACKAGEPIN=pin.io, i_RESETB=1, i_BYPASS=0,
                o_PLLOUTGLOBAL=clock, o_LOCK=locked,
            )  # fmt: skip
            return
        m.submodules.oscillator = oscillator = io.Buffer("i", pin)
        if self.board.device.family == "ice40":
            m.submodules.pll = Instance(
                "SB_PLL40_CORE", **parameters, i_REFERENCECLK=oscillator.i, i_RESETB=1, i_BYPASS=0,
                o_PLLOUTGLOBAL=clock, o_LOCK=locked,
            )  # fmt: skip
        elif self.board.device.family == "ecp5":
            feedback = Signal()
            m.submodules.pll = Instance(
                "EHXPLLL", **parameters,
                # As ecppll sets the loop filter.
                a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
                a_MFG_GMCREF_SEL="2",
                i_CLKI=oscillator.i, i_CLKFB=feedback, i_RST=0, i_STDBY=0, i_PHASESEL0=0,
                i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1, i_PLLWAKESYNC=0,
                i_ENCLKOP=0, i_ENCLKOS=0, o_CLKOP=feedback, o_CLKOS=clock, o_LOCK=locked,
            )  # fmt: skip
        else:
            m.submodules.pll = Instance(
                "rPLL", **parameters, i_CLKIN=oscillator.i, i_CLKFB=0, i_RESET=0, i_RESET_P=0,
                i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6), i_PSDA=Const(0, 4),
                i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4), o_CLKOUT=clock, o_LOCK=locked,
            )  # fmt: skip


def _request(platform: Any, resource: Resource) -> Any:
    """The port of ``resource``."""
    name, number, *subsignal = resource
    port = platform.request(name, number, dir="-")
    return getattr(port, subsignal[0]) if subsignal else port
