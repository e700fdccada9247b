"""Where layers lie in the memories of an array, and how weights that exceed them are cut into segments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from xnorgrid.hw.config import PRESETS, ArrayConfig

from .instructions import Part, Region, Step, border_steps, regions
from .model import Model
from .placement import RESERVED_WORDS, LayerPlace, ModelDoesNotFit, place

__all__ = ["Placed", "Plan", "plan", "preset_remedy"]


@dataclass(frozen=True)
class Placed:
    """A part of a layer with its addresses and instructions.

    ``presets`` pairs regions with the address of their presets; ``border_preset`` is that of the border's, if
    the part is its layer's first and there is a border to fill.
    """

    part: Part
    weight_base: int
    presets: tuple[tuple[int, Region], ...]
    border_preset: int | None
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """Places of all layers, and what is loaded and run together.

    One segment: everything is loaded once. More: each is run for a whole batch while the next is loaded
    into the other half of the memories. Inputs and outputs of pass k lie ``input_stride * k`` and
    ``output_stride * k`` further on.
    """

    places: tuple[LayerPlace, ...]
    segments: tuple[tuple[Placed, ...], ...]
    max_passes: int
    input_stride: int
    output_stride: int


def plan(model: Model, config: ArrayConfig, *, keep_layers: bool) -> Plan:
    """Give every layer its addresses.

    With ``keep_layers`` every hidden layer's results get a place of their own, otherwise they share two
    in turn. Raises :class:`ModelDoesNotFit`.
    """
    places = place(model, config)
    resident = _resident(places, config)
    bases, frame = _bases(places, keep_layers)
    if frame + RESERVED_WORDS > config.activation_depth:
        raise ModelDoesNotFit(_too_many_activations(model, config, places, frame, keep_layers))
    first, last = places[0].source.size, places[-1].result.size
    if resident:
        # Hidden results are shared by all passes; inputs, then outputs, of as many as fit lie behind them.
        hidden = frame - first - last
        passes = (config.activation_depth - RESERVED_WORDS - hidden) // (first + last)
        input_base = RESERVED_WORDS + hidden
        bases = [input_base, *bases[1:-1], input_base + passes * first]
        strides = first, last
    else:
        # Every pass has all of its own, because a segment ends between any two layers.
        passes = (config.activation_depth - RESERVED_WORDS) // frame
        strides = frame, frame
    places = tuple(
        replace(at, source_base=bases[k], result_base=bases[k + 1]) for k, at in enumerate(places)
    )
    if resident:
        segments = [_segment(_whole(places), config, RESERVED_WORDS, 0, resident=True)]
    else:
        weight_half, preset_half = _halves(config)
        segments = [
            _segment(
                parts,
                config,
                RESERVED_WORDS + number % 2 * weight_half,
                number % 2 * preset_half,
                resident=False,
            )
            for number, parts in enumerate(_cut(model, config, places))
        ]
    return Plan(places, tuple(segments), passes, *strides)


def _whole(places: tuple[LayerPlace, ...]) -> list[Part]:
    return [Part(at, range(at.tiles)) for at in places]


def _resident(places: tuple[LayerPlace, ...], config: ArrayConfig) -> bool:
    """Whether all weights, presets and instructions fit at once."""
    depths = config.weight_depth - RESERVED_WORDS, config.preset_depth
    return _within(_whole(places), *depths, config.program_depth)


def _within(parts: list[Part], weight_words: int, preset_words: int, steps: int) -> bool:
    """Whether ``parts`` take no more words and instructions than these."""
    return (
        sum(part.weight_words for part in parts) <= weight_words
        and sum(_preset_words(part) for part in parts) <= preset_words
        and sum(_step_count(part) for part in parts) <= steps
    )


def _halves(config: ArrayConfig) -> tuple[int, int]:
    """Words of weights and of presets that one segment may take."""
    return (config.weight_depth - RESERVED_WORDS) // 2, config.preset_depth // 2


def _has_border(part: Part) -> bool:
    return part.tiles.start == 0 and any(part.place.result.border)


def _preset_words(part: Part) -> int:
    border = part.place.tiles if _has_border(part) else 0
    return border + sum(part.preset_words(region) for region in regions(part.place))


def _step_count(part: Part) -> int:
    border = len(border_steps(part.place, 0)) if _has_border(part) else 0
    return border + len(regions(part.place))


def _cut(model: Model, config: ArrayConfig, places: tuple[LayerPlace, ...]) -> Iterator[list[Part]]:
    """Cut the layers into parts and gather these into segments, each as full as it gets."""
    weight_half, preset_half = _halves(config)
    segment: list[Part] = []

    def fits(parts: list[Part]) -> bool:
        return _within(parts, weight_half, preset_half, config.program_depth)

    for at in places:
        # Parts begin at whole words of the results.
        unit = config.lanes // math.gcd(at.tile_bits, config.lanes)
        start = 0
        while start < at.tiles:
            ends = [at.tiles, *range((at.tiles - 1) // unit * unit, start, -unit)]
            end = next((end for end in ends if fits([*segment, Part(at, range(start, end))])), None)
            if end is not None:
                segment.append(Part(at, range(start, end)))
                start = end
            elif segment:
                yield segment
                segment = []
            else:
                smallest = Part(at, range(start, min(start + unit, at.tiles)))
                raise ModelDoesNotFit(
                    f"model {model.name!r}: the smallest part of layer {at.layer.name!r} takes "
                    f"{smallest.weight_words} words of weights, {_preset_words(smallest)} of presets and "
                    f"{_step_count(smallest)} instructions, but a segment has {weight_half} (half of "
                    f"weight_depth), {preset_half} (half of preset_depth) and {config.program_depth} "
                    f"(program_depth); {preset_remedy(model)}"
                )
    yield segment


def _segment(
    parts: list[Part], config: ArrayConfig, weight_base: int, preset_base: int, *, resident: bool
) -> tuple[Placed, ...]:
    placed = []
    for part in parts:
        at = part.place
        first, last = at.index == 0, at.scores
        steps: list[Step] = []
        border_preset = None
        if _has_border(part):
            border_preset = preset_base
            steps += border_steps(at, preset_base)
            preset_base += at.tiles
        presets = []
        for region in regions(at):
            presets.append((preset_base, region))
            step = part.step(region, config, weight_base, preset_base)
            steps.append(replace(step, pass_input=first or not resident))
            preset_base += part.preset_words(region)
        steps = [replace(step, pass_output=last or not resident) for step in steps]
        placed.append(Placed(part, weight_base, tuple(presets), border_preset, tuple(steps)))
        weight_base += part.weight_words
    return tuple(placed)


def _bases(places: tuple[LayerPlace, ...], keep_layers: bool) -> tuple[list[int], int]:
    """Addresses of the input and of each layer's results for one image, and the words in all."""
    sizes = [places[0].source.size, *(at.result.size for at in places)]
    hidden = sizes[1:-1]
    free = RESERVED_WORDS
    bases = []
    if keep_layers:
        for size in hidden:
            bases.append(free)
            free += size
    else:
        halves = [max(hidden[k::2], default=0) for k in range(2)]
        bases = [free + k % 2 * halves[0] for k in range(len(hidden))]
        free += sum(halves)
    return [free, *bases, free + sizes[0]], free - RESERVED_WORDS + sizes[0] + sizes[-1]


def _too_many_activations(model, config, places, frame, keep_layers) -> str:
    need = frame + RESERVED_WORDS
    most = max(places, key=lambda at: at.source.size + at.result.size)
    return (
        f"model {model.name!r} does not fit {config.rows} x {config.cols} x {config.lanes} lanes: "
        f"activation_depth is {config.activation_depth} but {need} are needed "
        f"({need - config.activation_depth} short), most of it by layer {most.layer.name!r}, which takes "
        f"{most.source.size} words and makes {most.result.size}; "
        + ("without the results of all layers it may do; " if keep_layers else "")
        + preset_remedy(model)
    )


def preset_remedy(model: Model) -> str:
    """Which preset would do: the end of the message of what :func:`plan` raises for its memories."""
    fitting = [repr(name) for name, config in PRESETS.items() if _fits(model, config)]
    if fitting:
        return f"preset {' or '.join(fitting)} would do"
    return "no preset is large enough; raise these fields of the configuration"


def _fits(model: Model, config: ArrayConfig) -> bool:
    try:
        places = place(model, config)
    except ModelDoesNotFit:
        return False
    _, frame = _bases(places, keep_layers=False)
    return frame + RESERVED_WORDS <= config.activation_depth and _resident(places, config)
