"""From a model and an array configuration to memory images and a layer program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.protocol import LEVELS, Instruction

from .model import Dense, Model
from .packing import pack, pack_signed, signed_from_planes, unpack
from .placement import LayerPlace, ModelDoesNotFit, place

__all__ = ["ModelDoesNotFit", "Program", "compile", "steps"]

_WORD = LEVELS.index("word")
_TILE = LEVELS.index("tile")


@dataclass(frozen=True)
class Program:
    """A model compiled for one array configuration: what the driver streams, and how it reads results.

    Image i of a run goes to pass ``i // cols`` and column ``i % cols``. The input of pass k starts at
    ``input_base + k * input_words`` of the column's activation memory, its output at
    ``output_base + k * output_words``.
    """

    model: Model
    config: ArrayConfig
    places: tuple[LayerPlace, ...]
    #: (rows, words, word_bytes(lanes)) uint8, from address 0 on.
    weights: np.ndarray
    #: (rows, tiles, word_bytes(accumulator_bits)) uint8, from address 0 on.
    presets: np.ndarray
    #: Layer instructions, 32-bit little-endian words.
    instructions: bytes
    #: Passes whose inputs and outputs fit into the activation memory at once.
    max_passes: int
    #: Whether every layer's results stay in memory until the next pass.
    keeps_layers: bool

    @property
    def input_base(self) -> int:
        """Address of the first input word of pass 0."""
        return self.places[0].activation_base

    @property
    def input_words(self) -> int:
        """Words of ``lanes`` bits per image."""
        return self.places[0].input_words

    @property
    def output_base(self) -> int:
        """Address of the first score word of pass 0."""
        return self.places[-1].output_base

    @property
    def output_words(self) -> int:
        """Words of packed score bits per image."""
        return self.places[-1].output_words

    @property
    def operations(self) -> int:
        """Useful lane-operations (XNORs) per image."""
        return sum(place.layer.weights.size for place in self.places)

    def cycles(self, passes: int, turnaround: int) -> int:
        """Cycles from the first beat of a run of ``passes`` to its last, both included.

        ``turnaround`` is the sequencer's, in cycles between two layers.
        """
        work = sum(place.cycles(self.config) for place in self.places)
        return passes * work + (passes * len(self.places) - 1) * turnaround

    def pack_images(self, bits: np.ndarray) -> np.ndarray:
        """Pack ``bits`` (N, fan-in) uint8 into (N, input_words, word_bytes(lanes)) uint8."""
        return pack(bits, self.config.lanes)

    def decode_scores(self, words: np.ndarray) -> np.ndarray:
        """Scores (N, classes) int32 from output words (N, output_words, word_bytes(lanes)) uint8."""
        place, config = self.places[-1], self.config
        planes = config.accumulator_bits
        outputs, fan_in = place.layer.weights.shape
        bits = unpack(words, config.lanes, place.tiles * planes * config.rows)
        bits = bits.reshape(-1, place.tiles, planes, config.rows)
        disagreeing = signed_from_planes(bits.transpose(2, 0, 1, 3))  # (N, tiles, rows)
        disagreeing = disagreeing.reshape(len(bits), -1)[:, :outputs]
        return (fan_in - 2 * disagreeing).astype(np.int32)

    def decode_layer(self, index: int, words: np.ndarray) -> np.ndarray:
        """Results of layer ``index`` from its output words (N, output_words, word_bytes(lanes)).

        Bits (N, out) uint8 of a threshold layer, after inversion; scores (N, out) int32 of the last layer.
        """
        place = self.places[index]
        if place.layer.thresholds is None:
            return self.decode_scores(words)
        raw = unpack(words, self.config.lanes, place.layer.weights.shape[0])
        return raw ^ _inverted(place.layer).astype(np.uint8)


def compile(model: Model, config: ArrayConfig, *, keep_layers: bool = False) -> Program:
    """Place ``model`` in the memories of ``config`` and write its program.

    With ``keep_layers`` every layer's results get a place of their own, so that they can be read back after
    a run; otherwise hidden layers share two places in turn. Raises :class:`ModelDoesNotFit`.
    """
    placement = place(model, config, keep_layers=keep_layers)
    places, needs = placement.layers, placement.needs
    rows = config.rows
    weights = np.zeros((rows, needs["weight_depth"] * config.lanes), np.uint8)
    presets = np.zeros((rows, needs["preset_depth"]), np.int64)
    inverted_inputs = np.zeros(model.layers[0].weights.shape[1], bool)
    for at in places:
        outputs, fan_in = at.layer.weights.shape
        bits = np.zeros((at.tiles * rows, at.input_words * config.lanes), np.uint8)
        bits[:outputs, :fan_in] = at.layer.weights ^ inverted_inputs
        # (tiles, rows, bits) -> row by row, tile after tile.
        by_row = bits.reshape(at.tiles, rows, -1).transpose(1, 0, 2).reshape(rows, -1)
        start = at.weight_base * config.lanes
        weights[:, start : start + by_row.shape[1]] = by_row
        if at.layer.thresholds is not None:
            # Rows beyond the last channel keep preset 0: never negative, so their bit is 0.
            channel_presets = np.zeros(at.tiles * rows, np.int64)
            channel_presets[:outputs] = at.layer.thresholds.astype(np.int64) - fan_in - 1
            block = slice(at.preset_base, at.preset_base + at.tiles)
            presets[:, block] = channel_presets.reshape(at.tiles, rows).T
        inverted_inputs = _inverted(at.layer)

    per_pass = places[0].input_words + places[-1].output_words
    return Program(
        model=model,
        config=config,
        places=places,
        weights=pack(weights, config.lanes),
        presets=pack_signed(presets, config.accumulator_bits),
        instructions=b"".join(
            _instruction(at, config, first=at is places[0], last=at is places[-1]) for at in places
        ),
        keeps_layers=keep_layers,
        max_passes=1 + (config.activation_depth - needs["activation_depth"]) // per_pass,
    )


def _inverted(layer: Dense) -> np.ndarray:
    """Inverted channels of a layer, (out,) bool."""
    if layer.inverted is None:
        return np.zeros(layer.weights.shape[0], bool)
    return layer.inverted


def steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Address steps of a loop nest, innermost first, as an instruction holds them (modulo 2**16).

    ``strides`` says how far apart two iterations of a level start. When a level advances, the address still
    stands at the end of all inner levels; the step leads from there.
    """
    travelled = 0
    result = []
    for count, stride in zip(counts, strides, strict=True):
        result.append((stride - travelled) % (1 << 16))
        travelled += (count - 1) * stride
    return result


def _instruction(place: LayerPlace, config: ArrayConfig, *, first: bool, last: bool) -> bytes:
    """The layer as one instruction: tiles over output channels, words over the fan-in."""
    outputs, fan_in = place.layer.weights.shape
    counts, strides = [1] * len(LEVELS), [0] * len(LEVELS)
    counts[_WORD], strides[_WORD] = place.input_words, 1
    counts[_TILE] = place.tiles
    scores = place.layer.thresholds is None
    fields = {
        "last": last,
        "pass_input": first,
        "pass_output": last,
        "score_bits": config.accumulator_bits - 1 if scores else 0,
        "activation_base": place.activation_base,
        "weight_base": place.weight_base,
        "preset_base": place.preset_base,
        "output_base": place.output_base,
        "output_words": place.output_words,
        "count": [count - 1 for count in counts],
        "step": steps(counts, strides),
        "tile_lanes": fan_in * config.rows,
        "last_tile_lanes": fan_in * (outputs - (place.tiles - 1) * config.rows),
    }
    raw = Instruction.const(fields).as_bits()
    return raw.to_bytes(Instruction.size // 8, "little")
