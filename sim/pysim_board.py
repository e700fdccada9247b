"""The simulated board that needs no compiler: Amaranth's own simulator."""

from __future__ import annotations

from collections import deque

from amaranth.lib import wiring
from amaranth.sim import Simulator

from .simulated import SimulatedBoard

__all__ = ["PysimBoard"]

_PERIOD = 1e-6


class PysimBoard(SimulatedBoard):
    """A component with ports ``rx`` and ``tx``, or ``i`` and ``o``, on Amaranth's simulator.

    The host's end of the line wakes when there is something to do, not once a cycle, because every wake-up
    costs as much as simulating an idle array.
    """

    def __init__(self, component: wiring.Component, byte_cycles: int, description: str) -> None:
        super().__init__(description, byte_cycles)
        self._byte = byte_cycles * _PERIOD
        self._bit = self._byte / 10
        self._outgoing: deque[int] = deque()
        self._sending = False
        self._incoming = bytearray()
        self._component = component
        self._simulator = Simulator(component)
        self._simulator.add_clock(_PERIOD)
        uart = "rx" in component.signature.members
        for bench in (self._send, self._receive) if uart else (self._offer, self._take):
            self._simulator.add_testbench(bench, background=True)
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

    async def _offer(self, ctx) -> None:
        i = self._component.i
        while True:
            if not self._outgoing:
                await ctx.delay(self._byte)
                continue
            self._sending = True
            ctx.set(i.valid, 1)
            ready = 1
            while self._outgoing or not ready:
                if ready:
                    ctx.set(i.payload, self._outgoing.popleft())
                *_, ready = await ctx.tick().sample(i.ready)
            ctx.set(i.valid, 0)
            self._sending = False

    async def _take(self, ctx) -> None:
        o = self._component.o
        ctx.set(o.ready, 1)
        while True:
            if not ctx.get(o.valid):
                await ctx.edge(o.valid, 1)
            *_, valid, payload = await ctx.tick().sample(o.valid, o.payload)
            if valid:
                self._incoming.append(payload)

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
