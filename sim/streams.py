"""Testbenches for stream ports on Amaranth's simulator: random stalls, a time-out, replayable seeds."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from amaranth.sim import Simulator

__all__ = ["new_seed", "put", "receive", "send", "simulate", "take"]

Bench = Callable[[Any], Awaitable[None]]


def new_seed() -> int:
    """Return the seed in the environment variable XNORGRID_SEED, else a fresh one; print it."""
    seed = int(os.environ.get("XNORGRID_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"XNORGRID_SEED={seed}")
    return seed


async def put(ctx, stream, payload) -> None:
    """Offer one payload until it is taken.

    Loops here wait by single ticks: a coroutine that the simulation's end finds in ``until`` or
    ``repeat`` leaves a warning behind.
    """
    ctx.set(stream.payload, payload)
    ctx.set(stream.valid, 1)
    ready = 0
    while not ready:
        *_, ready = await ctx.tick().sample(stream.ready)
    ctx.set(stream.valid, 0)


async def take(ctx, stream):
    """Take one payload, waiting until there is one."""
    ctx.set(stream.ready, 1)
    valid = 0
    while not valid:
        *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
    ctx.set(stream.ready, 0)
    return payload


async def _stall(ctx, rng: random.Random, stalls: float) -> None:
    while rng.random() < stalls:
        await ctx.tick()


async def send(ctx, stream, payloads: Iterable, rng: random.Random, stalls: float = 0.0) -> None:
    """Send payloads in order; before each, every cycle is a pause with probability ``stalls``."""
    for payload in payloads:
        await _stall(ctx, rng, stalls)
        await put(ctx, stream, payload)


async def receive(ctx, stream, count: int, rng: random.Random, stalls: float = 0.0) -> list:
    """Receive ``count`` payloads, pausing like :func:`send`; checks that offers are held until taken."""
    payloads = []
    for _ in range(count):
        offered = None
        while rng.random() < stalls:
            *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
            if offered is not None:
                assert valid, "valid was withdrawn before ready"
                assert payload == offered, "the payload changed before ready"
            offered = payload if valid else None
        payload = await take(ctx, stream)
        if offered is not None:
            assert payload == offered, "the payload changed before ready"
        payloads.append(payload)
    return payloads


def simulate(
    dut,
    *benches: Bench,
    monitors: Iterable[Bench] = (),
    cycles: int = 100_000,
    vcd: str | None = None,
) -> None:
    """Run ``benches`` on ``dut`` until all have ended; ``monitors`` run beside them and need not end.

    Raises :class:`AssertionError` if that takes more than ``cycles`` clock cycles. ``vcd`` names a file
    for the waveform.
    """
    simulator = Simulator(dut)
    period = 1e-6
    simulator.add_clock(period)

    async def time_out(ctx) -> None:
        await ctx.delay(cycles * period)
        raise AssertionError(f"testbench not finished after {cycles} cycles")

    for bench in benches:
        simulator.add_testbench(bench)
    for monitor in monitors:
        simulator.add_testbench(monitor, background=True)
    simulator.add_testbench(time_out, background=True)
    if vcd is None:
        simulator.run()
    else:
        with simulator.write_vcd(vcd):
            simulator.run()
