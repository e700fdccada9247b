"""From a model and an array configuration to memory images and layer programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnorgrid.hw.config import ArrayConfig

from .instructions import Region, Step
from .layers import Conv, Layer
from .model import Model
from .packing import pack, pack_signed, signed_from_planes
from .placement import LayerPlace, ModelDoesNotFit, UnsupportedLayers
from .segments import Placed, plan

__all__ = ["ModelDoesNotFit", "Program", "Segment", "UnsupportedLayers", "compile"]


@dataclass(frozen=True)
class Segment:
    """What is loaded and run together: the whole model, or a part of it."""

    #: Address of the first word in each row's weight memory, (rows, words, word_bytes(lanes)) uint8.
    weight_base: int
    weights: np.ndarray
    #: Likewise for presets, (rows, words, word_bytes(accumulator_bits)) uint8.
    preset_base: int
    presets: np.ndarray
    steps: tuple[Step, ...]

    @property
    def instructions(self) -> bytes:
        """The program, from address 0 of its memory on: 32-bit little-endian words."""
        return b"".join(step.encode(last=step is self.steps[-1]) for step in self.steps)

    @property
    def lanes(self) -> int:
        """Useful lane-operations (XNORs) of one pass and column."""
        return sum(step.lanes for step in self.steps)

    @property
    def size(self) -> int:
        """Bytes of weights and presets."""
        return self.weights.size + self.presets.size

    def cycles(self, config: ArrayConfig, passes: int, turnaround: int) -> int:
        """Cycles from the first beat of a run of ``passes`` to its last, both included."""
        work = sum(step.cycles(config) for step in self.steps)
        return passes * work + (passes * len(self.steps) - 1) * turnaround


@dataclass(frozen=True)
class Program:
    """A model compiled for one array configuration: what the driver streams, and how it reads results.

    Image i of a run goes to pass ``i // cols`` and column ``i % cols``. The input of pass k starts at
    ``input_base + k * input_stride`` of the column's activation memory, its output at ``output_base + k *
    output_stride``. With more than one segment, each is run for all passes of a batch before the next; of
    two that follow each other one lies in the lower and one in the upper half of the memories, so that
    one can be written while the other runs.
    """

    model: Model
    config: ArrayConfig
    places: tuple[LayerPlace, ...]
    segments: tuple[Segment, ...]
    #: Passes whose inputs and outputs fit into the activation memory at once.
    max_passes: int
    input_stride: int
    output_stride: int
    #: Whether every layer's results stay in memory until the next pass.
    keeps_layers: bool

    @property
    def input_base(self) -> int:
        """Address of the first input word of pass 0."""
        return self.places[0].source_base

    @property
    def input_words(self) -> int:
        """Words of ``lanes`` bits per image."""
        return self.places[0].source.size

    @property
    def output_base(self) -> int:
        """Address of the first score word of pass 0."""
        return self.places[-1].result_base

    @property
    def output_words(self) -> int:
        """Words of packed score bits per image."""
        return self.places[-1].result.size

    @property
    def operations(self) -> int:
        """Useful lane-operations (XNORs) per image."""
        return sum(self.model.operations(index) for index in range(len(self.places)))

    def cycles(self, passes: int, turnaround: int, overhead: int = 0) -> int:
        """Busy cycles of running ``passes`` through all segments.

        ``turnaround`` and ``overhead`` are the sequencer's cycles between two layers, and before and after
        each run.
        """
        return sum(
            segment.cycles(self.config, passes, turnaround) + overhead for segment in self.segments
        )

    def layer_cycles(self, turnaround: int) -> list[int]:
        """Cycles of each layer for one pass, each instruction with the turnaround after it."""
        cycles = [0] * len(self.places)
        for segment in self.segments:
            for step in segment.steps:
                cycles[step.layer] += step.cycles(self.config) + turnaround
        return cycles

    def pack_images(self, values: np.ndarray) -> np.ndarray:
        """Pack input ``values`` (N, size) into (N, input_words, word_bytes(lanes)) uint8.

        Values are bits, or pixels for a model that takes these, as :func:`~xnorgrid.images.input_values`
        gives them; the input's encoding is done here, a batch at a time.
        """
        at, first, source = self.places[0], self.model.layers[0], self.model.input
        values = source.encode(values)
        if not isinstance(first, Conv):
            return at.source.pack(values.reshape(-1, 1, 1, values.shape[1]))
        maps = values.reshape(-1, *source.encoded.map_shape)
        outside = source.amplitude if first.fill == 1 else 0
        if not at.windows_apart:
            return at.source.pack(maps, outside)
        rows, columns = first.padding
        border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        maps = np.pad(maps, border, constant_values=outside)
        windows = np.lib.stride_tricks.sliding_window_view(maps, first.kernel, axis=(1, 2))
        windows = windows[:, :: first.stride, :: first.stride].transpose(0, 1, 2, 4, 5, 3)
        used = windows[:, : at.source.height, : at.source.width]
        return at.source.pack(used.reshape(*used.shape[:3], -1))

    def decode_scores(self, words: np.ndarray) -> np.ndarray:
        """Scores (N, classes) int32 from output words (N, output_words, word_bytes(lanes)) uint8."""
        at, config = self.places[-1], self.config
        bits = at.result.unpack(words)
        bits = bits.reshape(-1, at.tiles, config.accumulator_bits, config.rows)
        disagreeing = signed_from_planes(bits.transpose(2, 0, 1, 3))  # (N, tiles, rows)
        disagreeing = disagreeing.reshape(len(bits), -1)[:, : at.layer.channels]
        return (at.layer.fan_in * at.amplitude - 2 * disagreeing).astype(np.int32)

    def decode_layer(self, index: int, words: np.ndarray) -> np.ndarray:
        """Results of layer ``index`` from its output words (N, result.size, word_bytes(lanes)).

        Bits (N, …) uint8 of a threshold layer, after inversion; scores (N, classes) int32 of the last layer.
        """
        at = self.places[index]
        if at.scores:
            return self.decode_scores(words)
        bits = at.result.unpack(words) ^ _inverted(at.layer).astype(np.uint8)
        return bits.reshape(len(words), *self.model.shapes[index])


def compile(model: Model, config: ArrayConfig, *, keep_layers: bool = False) -> Program:
    """Place ``model`` in the memories of ``config`` and write its program.

    With ``keep_layers`` every layer's results get a place of their own, so that they can be read back
    after a run; otherwise hidden layers share two places in turn. A model whose weights exceed the weight
    memory is cut into segments. Raises :class:`ModelDoesNotFit`, and its kind :class:`UnsupportedLayers`
    that lists every layer that ``config`` cannot run.
    """
    found = plan(model, config, keep_layers=keep_layers)
    return Program(
        model=model,
        config=config,
        places=found.places,
        segments=tuple(_segment(model, config, parts) for parts in found.segments),
        max_passes=found.max_passes,
        input_stride=found.input_stride,
        output_stride=found.output_stride,
        keeps_layers=keep_layers,
    )


def _inverted(layer: Layer) -> np.ndarray:
    """Inverted channels of a layer, (out,) bool."""
    if layer.inverted is None:
        return np.zeros(layer.channels, bool)
    return layer.inverted


def _segment(model: Model, config: ArrayConfig, parts: tuple[Placed, ...]) -> Segment:
    rows = config.rows
    weights, presets = [], []
    for placed in parts:
        part = placed.part
        at, tiles = part.place, part.tiles
        index = at.index
        inverted = _inverted(model.layers[index - 1]) if index else np.zeros(1, bool)
        bits = np.zeros((at.tiles * rows, at.weight_words * config.lanes), np.uint8)
        bits[: at.layer.channels] = at.weight_bits(inverted)
        weights.append(_by_row(bits, tiles, rows))
        if placed.border_preset is not None:
            after = model.layers[index + 1]
            presets.append(_by_row(_border_presets(at, after, config), range(at.tiles), rows))
        for _, region in placed.presets:
            words = np.zeros((at.tiles * rows, len(region.cuts) * at.source.planes), np.int64)
            if not at.scores:
                # Rows beyond the last channel keep preset 0: never negative, so their bit is 0.
                words[: at.layer.channels] = _presets(at, region, inverted)
            presets.append(_by_row(words, tiles, rows))
    first = parts[0]
    preset_base = first.presets[0][0] if first.border_preset is None else first.border_preset
    return Segment(
        weight_base=first.weight_base,
        weights=pack(np.concatenate(weights, axis=1), config.lanes),
        preset_base=preset_base,
        presets=pack_signed(np.concatenate(presets, axis=1), config.accumulator_bits),
        steps=tuple(step for placed in parts for step in placed.steps),
    )


def _by_row(channels: np.ndarray, tiles: range, rows: int) -> np.ndarray:
    """Return (rows, …): what (tiles * rows, n) means to each row, one tile of ``tiles`` after another."""
    by_tile = channels.reshape(-1, rows, channels.shape[1])[tiles.start : tiles.stop]
    return by_tile.transpose(1, 0, 2).reshape(rows, -1)


def _presets(at: LayerPlace, region: Region, inverted: np.ndarray) -> np.ndarray:
    """Presets (channels, cuts * planes) int64 of a threshold layer.

    The array counts disagreements q over the whole kernel and asks whether preset + q is negative.
    Without zero padding p = n - q, and p >= T is q <= n - T. In zero padding, whose stored bits are 0, a
    weight w counts w disagreements that are none, and the input agrees by half: with W the sum of these
    w, 2p = n + v - 2(q - W) with v of n inputs not in the padding. All counts are times the amplitude.
    """
    layer, amplitude = at.layer, at.amplitude
    assert layer.thresholds is not None
    n = layer.fan_in * amplitude
    thresholds = layer.thresholds.astype(np.int64)
    limits = []
    for above, below, left, right in region.cuts:
        if not layer.counts_halves:
            limits.append(n - thresholds)
            continue
        weights = layer.weights ^ inverted
        height, width = weights.shape[1] - below, weights.shape[2] - right
        inside = weights[:, above:height, left:width]
        padding_ones = weights.sum((1, 2, 3), np.int64) - inside.sum((1, 2, 3), np.int64)
        valid = inside[0].size * amplitude
        limits.append((n + valid + 2 * amplitude * padding_ones - thresholds) // 2)
    # A threshold out of reach of a cut window is as good as one just out of reach of a whole one.
    presets = np.clip(-np.stack(limits, axis=1) - 1, -n - 1, 0)
    # The first plane starts from the highest bits, each doubling brings in the next one.
    shifts = np.arange(at.source.planes - 1, -1, -1)
    parts = presets[..., None] >> shifts
    parts[..., 1:] &= 1
    return parts.reshape(layer.channels, -1)


def _border_presets(at: LayerPlace, after: Layer, config: ArrayConfig) -> np.ndarray:
    """Presets (tiles * rows, 1) int64 that fill the border around ``at``'s results as ``after`` needs it."""
    assert isinstance(after, Conv)
    ones = np.zeros(at.tiles * at.rows, bool)
    if after.fill:
        # What the consumer's weights take for inverted is stored inverted.
        ones[: at.layer.channels] = _inverted(at.layer) ^ (after.fill == 1)
    return np.where(ones, -(config.lanes + 1), 0)[:, None]
