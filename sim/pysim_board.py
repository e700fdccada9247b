"""The simulated board that needs no compiler: Amaranth's own simulator."""

from __future__ import annotations

from collections import deque

from amaranth.lib import wiring
from amaranth.sim import Simulator

from .simulated import SimulatedBoard

__all__ = ["PysimBoard"]

_PERIOD = 1e-6


class PysimBoard(SimulatedBoard):
    """A component with ports rx and tx on Amaranth's simulator.

    The host's end of the UART wakes once a bit, not once a cycle, because every wake-up costs as much as
    simulating an idle array.
    """

    def __init__(self, component: wiring.Component, clocks_per_bit: int, description: str) -> None:
        super().__init__(description, clocks_per_bit)
        self._bit = clocks_per_bit * _PERIOD
        self._outgoing: deque[int] = deque()
        self._sending = False
        self._incoming = bytearray()
        self._component = component
        self._simulator = Simulator(component)
        self._simulator.add_clock(_PERIOD)
        self._simulator.add_testbench(self._send, background=True)
        self._simulator.add_testbench(self._receive, background=True)
        self._elapsed = 0
        self._calibrate(cycles=self._byte_cycles * 10)

    async def _send(self, ctx) -> None:
        rx = self._component.rx
        ctx.set(rx, 1)
        while True:
            if not self._outgoing:
                await ctx.delay(self._bit)
                continue
            self._sending = True
            # Start bit, data with the least significant bit first, stop bit.
            frame = 0x200 | self._outgoing.popleft() << 1
            for bit in range(10):
                ctx.set(rx, frame >> bit & 1)
                await ctx.delay(self._bit)
            self._sending = False

    async def _receive(self, ctx) -> None:
        tx = self._component.tx
        while True:
            if ctx.get(tx):
                await ctx.edge(tx, 0)
            await ctx.delay(self._bit / 2)
            if ctx.get(tx):
                continue
            byte = 0
            for bit in range(8):
                await ctx.delay(self._bit)
                byte |= ctx.get(tx) << bit
            await ctx.delay(self._bit)
            if ctx.get(tx):
                self._incoming.append(byte)

    def _run(self, cycles: int, send: bytes, size: int) -> tuple[int, int, bytes]:
        self._outgoing.extend(send)
        ran = 0
        while ran < cycles:
            if send and not self._outgoing and not self._sending:
                break
            before = len(self._incoming)
            self._elapsed += self._byte_cycles
            self._simulator.run_until(self._elapsed * _PERIOD)
            ran += self._byte_cycles
            quiet = len(self._incoming) == before
            if not send and self._incoming and (quiet or len(self._incoming) >= size):
                break
        sent = len(send) - len(self._outgoing)
        self._outgoing.clear()
        received = bytes(self._incoming[:size])
        del self._incoming[:size]
        return ran, sent, received
