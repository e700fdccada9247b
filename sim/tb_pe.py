"""cocotb bench of the processing element: whole neurons, back to back and with pauses.

Parameters: ``count_latency``, ``latency``. Arrays, of S sums of W words each: ``weights`` and
``activations`` (S, W, bytes) uint8, ``presets`` (S,), and the bits that the integer reference and PyTorch
give, ``reference`` and ``torch`` (S,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from xnorgrid.hw.pe import Accumulate

from .bfm import InOrderChecker, arrays, cycle, parameters, rng, start


@dataclass
class _Beat:
    weight: int
    activation: int
    control: int
    preset: int
    #: Index of the sum that this beat completes.
    ends: int | None = None


def _beats(stalls: float) -> list[_Beat]:
    data, random = arrays(), rng()
    lanes = parameters()["lanes"]
    beats = []
    for index, (weights, activations) in enumerate(
        zip(data["weights"], data["activations"], strict=True)
    ):
        for word in range(len(weights)):
            while random.random() < stalls:
                pause = Accumulate.const({"valid": 0, "first": random.getrandbits(1)}).as_bits()
                beats.append(_Beat(random.getrandbits(lanes), random.getrandbits(lanes), pause, 0))
            first = word == 0
            beats.append(
                _Beat(
                    int.from_bytes(weights[word].tobytes(), "little"),
                    int.from_bytes(activations[word].tobytes(), "little"),
                    Accumulate.const({"valid": 1, "first": first}).as_bits(),
                    # The preset is added: it comes with the first word only.
                    int(data["presets"][index]) if first else 0,
                )
            )
        beats[-1].ends = index
    return beats


async def _run(dut: Any, stalls: float) -> None:
    late, latency = parameters()["count_latency"], parameters()["latency"]
    data, beats = arrays(), _beats(stalls)
    checkers = {name: InOrderChecker() for name in ("reference", "torch")}
    dut.accumulate.value = 0
    await start(dut)
    for now in range(len(beats) + latency):
        if now < len(beats):
            dut.weight.value = beats[now].weight
            dut.activation.value = beats[now].activation
        control = beats[now - late] if 0 <= now - late < len(beats) else None
        dut.accumulate.value = control.control if control else 0
        if control:
            dut.preset.value = control.preset
        await cycle(dut)
        done = beats[now - latency].ends if now >= latency else None
        if done is not None:
            for name, checker in checkers.items():
                checker.expect(int(data[name][done]), f"sum {done} of {name}")
                checker.observe(int(dut.bit.value))
        await RisingEdge(dut.clk)
    for checker in checkers.values():
        checker.finish()
        assert checker.checked == len(data["presets"])


@cocotb.test()
async def sums_back_to_back(dut: Any) -> None:
    """Every sum's sign is the neuron's bit, a new word every cycle."""
    await _run(dut, stalls=0.0)


@cocotb.test()
async def sums_with_pauses(dut: Any) -> None:
    """The same with random operands in random pauses, which must change nothing."""
    await _run(dut, stalls=0.3)
