"""cocotb bench of the systolic array: tiles of a trained layer, skewed as the sequencer skews them.

Parameters: ``rows``, ``cols``, ``tile_rows``, ``tile_cols``, ``lanes``, ``count_latency``, ``latency``.
Arrays, for S tiles of W words: ``weights`` (S, rows, W, bytes) and ``activations`` (S, cols, W, bytes)
uint8, ``presets`` (S, rows), and the bits that the integer reference and PyTorch give, ``reference`` and
``torch`` (S, cols, rows).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from xnorgrid.hw.pe import Accumulate

from .bfm import InOrderChecker, arrays, cycle, parameters, rng, start


@dataclass
class _Beat:
    """What the whole array is given, were there no skew."""

    weights: list[int]
    activations: list[int]
    presets: list[int]
    control: int
    #: Index of the tile that this beat completes.
    ends: int | None = None


def _words(packed: np.ndarray) -> list[int]:
    return [int.from_bytes(word.tobytes(), "little") for word in packed]


def _beats(shape: SimpleNamespace, data: dict[str, np.ndarray], stalls: float) -> list[_Beat]:
    random = rng()
    beats = []
    for index, presets in enumerate(data["presets"].tolist()):
        weights, activations = data["weights"][index], data["activations"][index]
        for word in range(weights.shape[1]):
            while random.random() < stalls:
                noise = [random.getrandbits(shape.lanes) for _ in range(shape.rows + shape.cols)]
                pause = Accumulate.const({"valid": 0, "first": random.getrandbits(1)}).as_bits()
                beats.append(
                    _Beat(noise[: shape.rows], noise[shape.rows :], [0] * shape.rows, pause)
                )
            control = Accumulate.const({"valid": 1, "first": word == 0}).as_bits()
            beats.append(
                _Beat(_words(weights[:, word]), _words(activations[:, word]), presets, control)
            )
        beats[-1].ends = index
    return beats


async def _run(dut: Any, stalls: float) -> None:
    shape, data = SimpleNamespace(**parameters()), arrays()
    beats = _beats(shape, data, stalls)
    # One checker a column and source: results of a column leave in order.
    checkers = {
        name: [InOrderChecker() for _ in range(shape.cols)] for name in ("reference", "torch")
    }
    for name, columns in checkers.items():
        for index, tile in enumerate(data[name]):
            for col, checker in enumerate(columns):
                word = sum(int(bit) << row for row, bit in enumerate(tile[col]))
                checker.expect(word, f"tile {index}, column {col} of {name}")

    def beat_at(cycle: int) -> _Beat | None:
        return beats[cycle] if 0 <= cycle < len(beats) else None

    tile_rows, tile_cols = shape.rows // shape.tile_rows, shape.cols // shape.tile_cols
    for i in range(tile_rows):
        getattr(dut, f"accumulate__{i}").value = 0
    dut.weights_enable.value = (1 << shape.rows) - 1
    dut.activations_enable.value = (1 << shape.cols) - 1
    await start(dut)
    for now in range(len(beats) + shape.latency + tile_cols):
        for row in range(shape.rows):
            if beat := beat_at(now - row // shape.tile_rows):
                getattr(dut, f"weights__{row}").value = beat.weights[row]
            late = beat_at(now - row // shape.tile_rows - shape.count_latency)
            getattr(dut, f"accumulate__{row // shape.tile_rows}").value = (
                late.control if late else 0
            )
            if late:
                getattr(dut, f"presets__{row}").value = late.presets[row]
        for col in range(shape.cols):
            if beat := beat_at(now - col // shape.tile_cols):
                getattr(dut, f"activations__{col}").value = beat.activations[col]
        await cycle(dut)
        for col in range(shape.cols):
            done = beat_at(now - col // shape.tile_cols - shape.latency)
            if done and done.ends is not None:
                for columns in checkers.values():
                    columns[col].observe(int(getattr(dut, f"bits__{col}").value))
        await RisingEdge(dut.clk)
    for columns in checkers.values():
        for checker in columns:
            checker.finish()


@cocotb.test()
async def tiles_back_to_back(dut: Any) -> None:
    """A beat every cycle, one tile after another."""
    await _run(dut, stalls=0.0)


@cocotb.test()
async def tiles_with_pauses(dut: Any) -> None:
    """Random pauses with random operands change nothing."""
    await _run(dut, stalls=0.25)
