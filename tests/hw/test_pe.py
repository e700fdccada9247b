import random

import pytest

from xnorgrid.hw.pe import ProcessingElement
from xnorgrid.sim.streams import new_seed, simulate


def accumulated(value, beat, bits):
    """One step of the accumulator, wrapped to ``bits`` bits."""
    if beat["first"]:
        value = beat["preset"]
    elif beat["double"]:
        value = 2 * value + (beat["preset"] & 1)
    value += (beat["weight"] ^ beat["activation"]).bit_count()
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


@pytest.mark.parametrize(("lanes", "bits"), [(1, 4), (5, 8), (8, 12), (32, 16), (65, 20)])
def test_accumulates_presets_doubles_and_holds(lanes, bits):
    rng = random.Random(new_seed())
    beats = []
    for cycle in range(400):
        first = cycle == 0 or rng.random() < 0.2
        double = not first and rng.random() < 0.2
        preset = rng.randrange(-(1 << (bits - 1)), 1 << (bits - 1))
        beats.append(
            {
                "valid": cycle == 0 or rng.random() < 0.8,
                "first": first,
                "double": double,
                "weight": rng.getrandbits(lanes),
                "activation": rng.getrandbits(lanes),
                "preset": preset if first else preset & double,
            }
        )
    dut = ProcessingElement(lanes, bits)
    signs = []

    async def bench(ctx):
        for cycle in range(len(beats) + dut.latency):
            if cycle < len(beats):
                ctx.set(dut.weight, beats[cycle]["weight"])
                ctx.set(dut.activation, beats[cycle]["activation"])
            late = cycle - dut.count_latency
            ctx.set(dut.accumulate.valid, 0)
            if 0 <= late < len(beats):
                for field in ("valid", "first", "double"):
                    ctx.set(dut.accumulate[field], beats[late][field])
                ctx.set(dut.preset, beats[late]["preset"])
            if cycle >= dut.latency:
                signs.append(ctx.get(dut.bit))
            await ctx.tick()

    simulate(dut, bench)
    value, expected = 0, []
    for beat in beats:
        if beat["valid"]:
            value = accumulated(value, beat, bits)
        expected.append(value < 0)
    assert signs == expected


@pytest.mark.parametrize("fan_in", [1, 2, 5])
def test_sign_is_the_neuron_for_every_threshold_and_every_sum(fan_in):
    """Exhaustive: T from 0 to n + 1, p from 0 to n."""
    dut = ProcessingElement(lanes=8, accumulator_bits=5)
    cases = [(t, p) for t in range(fan_in + 2) for p in range(fan_in + 1)]
    signs = []

    async def bench(ctx):
        ctx.set(dut.accumulate, {"valid": 1, "first": 1, "double": 0})
        ctx.set(dut.activation, 0)
        for threshold, agreeing in cases:
            ctx.set(dut.weight, (1 << (fan_in - agreeing)) - 1)
            ctx.set(dut.preset, threshold - fan_in - 1)
            await ctx.tick().repeat(dut.latency)
            signs.append(ctx.get(dut.bit))

    simulate(dut, bench)
    assert signs == [p >= t for t, p in cases]
