"""Where a model's layers lie in the memories of an array, and whether they fit."""

from __future__ import annotations

from dataclasses import dataclass

from xnorgrid.hw.config import PRESETS, ArrayConfig

from .model import Dense, Model
from .packing import word_count

__all__ = ["LayerPlace", "ModelDoesNotFit", "Placement", "place"]

#: Word 0 of weight and activation memories holds zeros.
_RESERVED_WORDS = 1


class ModelDoesNotFit(ValueError):
    """The model needs more than the configuration has; the message lists all that is short."""


@dataclass(frozen=True)
class LayerPlace:
    """Where a layer's operands and results lie, and the loops that walk them."""

    layer: Dense
    #: Words of ``lanes`` bits per input vector, and words of results per image.
    input_words: int
    output_words: int
    tiles: int
    weight_base: int
    preset_base: int
    activation_base: int
    output_base: int

    def cycles(self, config: ArrayConfig) -> int:
        """Cycles from the layer's first beat to its last, both included.

        A tile takes a beat per input word, then a score layer a beat per further bit; two results are
        never closer than :attr:`ArrayConfig.pack_cycles`.
        """
        score_bits = config.accumulator_bits - 1 if self.layer.thresholds is None else 0
        tail = score_bits * config.pack_cycles
        between = max(self.input_words, config.pack_cycles) + tail
        return self.input_words + tail + (self.tiles - 1) * between


@dataclass(frozen=True)
class Placement:
    """Places of all layers, and what one pass of their program needs of each field of a configuration."""

    layers: tuple[LayerPlace, ...]
    needs: dict[str, int]


def place(model: Model, config: ArrayConfig, *, keep_layers: bool) -> Placement:
    """Give every layer its addresses; raises :class:`ModelDoesNotFit`.

    With ``keep_layers`` every hidden layer's results get a place of their own, otherwise they share two in
    turn.
    """
    placement = _placement(model, config, keep_layers)
    short = [
        f"{name} is {getattr(config, name)} but {need} are needed ({need - getattr(config, name)} short)"
        for name, need in placement.needs.items()
        if need > getattr(config, name)
    ]
    if not short:
        return placement
    fitting = [repr(name) for name, other in PRESETS.items() if _fits(model, other, keep_layers)]
    remedy = (
        f"preset {' or '.join(fitting)} would do"
        if fitting
        else "no preset is large enough; raise these fields of the configuration"
    )
    raise ModelDoesNotFit(
        f"model {model.name!r} does not fit {config.rows} x {config.cols} x {config.lanes} lanes: "
        f"{'; '.join(short)}; {remedy}"
    )


def _fits(model: Model, config: ArrayConfig, keep_layers: bool) -> bool:
    needs = _placement(model, config, keep_layers).needs
    return all(need <= getattr(config, name) for name, need in needs.items())


def _placement(model: Model, config: ArrayConfig, keep_layers: bool) -> Placement:
    """Place without asking whether it fits.

    Hidden results come first, then the inputs of as many passes as fit (at least one), then their outputs.
    """
    layers = model.layers
    words = [word_count(layers[0].weights.shape[1], config.lanes)]
    for layer in layers:
        bits = layer.weights.shape[0]
        if layer.thresholds is None:
            bits = word_count(bits, config.rows) * config.rows * config.accumulator_bits
        words.append(word_count(bits, config.lanes))

    hidden = words[1:-1]
    bases = []
    free = _RESERVED_WORDS
    if keep_layers:
        for count in hidden:
            bases.append(free)
            free += count
    else:
        halves = [max(hidden[k::2], default=0) for k in range(2)]
        bases = [free + (k % 2) * halves[0] for k in range(len(hidden))]
        free += sum(halves)
    input_base = free
    per_pass = words[0] + words[-1]
    passes = max(1, (config.activation_depth - free) // per_pass)
    bases = [input_base, *bases, input_base + passes * words[0]]

    places = []
    weight_base, preset_base = _RESERVED_WORDS, 0
    for k, layer in enumerate(layers):
        tiles = word_count(layer.weights.shape[0], config.rows)
        places.append(
            LayerPlace(
                layer=layer,
                input_words=words[k],
                output_words=words[k + 1],
                tiles=tiles,
                weight_base=weight_base,
                preset_base=preset_base,
                activation_base=bases[k],
                output_base=bases[k + 1],
            )
        )
        weight_base += tiles * words[k]
        preset_base += tiles
    return Placement(
        layers=tuple(places),
        needs={
            "weight_depth": weight_base,
            "preset_depth": preset_base,
            "activation_depth": input_base + per_pass,
            "program_depth": len(layers),
            # Sums lie in -(fan_in + 1) … fan_in.
            "accumulator_bits": max(layer.fan_in for layer in layers).bit_length() + 1,
        },
    )
