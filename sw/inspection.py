"""What a model takes on an array, exactly, before anything is built: cycles, segments, bytes on the line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from xnorgrid.hw.config import PRESETS, ArrayConfig
from xnorgrid.hw.core import timing
from xnorgrid.hw.protocol import Region

from .compile import ModelDoesNotFit, Program, UnsupportedLayers
from .compile import compile as compile_model
from .link import Call
from .memory_image import MemoryImage, program_image, read_calls, weight_images
from .model import Model, describe
from .packing import word_bytes
from .utilisation import RunUse, run_use

__all__ = ["fit", "inspect", "program_use", "smallest_preset", "streamed_bytes"]


def inspect(model: Model, config: ArrayConfig | None = None) -> dict[str, Any]:
    """What a model is and, on each preset or on ``config``, whether it fits and how fast it would be.

    ``shown`` names the array on which it runs best, ``None`` if it runs on none.
    """
    known = [name for name, other in PRESETS.items() if other == config]
    configs = PRESETS if config is None else {known[0] if known else "configuration": config}
    on = {name: fit(model, other) for name, other in configs.items()}
    fitting = [name for name in on if on[name]["fits"]]
    shown = next((name for name in fitting if on[name]["segments"] == 1), None)
    described = describe(model)
    for index, layer in enumerate(described["layers"]):
        layer["input_shape"] = list(model.input_shape(index))
    return {**described, "on": on, "shown": shown or (fitting[-1] if fitting else None)}


def fit(model: Model, config: ArrayConfig) -> dict[str, Any]:
    """Whether ``model`` fits ``config``, and the exact cycles of a full run if it does.

    The line's rate counts all bytes of a run's images, scores and streamed weights, frames included, without
    the array's time: what it allows at most.
    """
    names = ("rows", "cols", "lanes", "clock_hz", "link", "baud")
    array = {name: getattr(config, name) for name in names}
    try:
        program = compile_model(model, config)
    except UnsupportedLayers as error:
        problems = [{"layer": layer, "problem": text} for layer, text in error.problems]
        return {"fits": False, "array": array, "why_not": str(error), "problems": problems}
    except ModelDoesNotFit as error:
        return {"fits": False, "array": array, "why_not": str(error), "problems": []}
    use = program_use(program)
    per_image = use.cycles / use.images
    line_bytes = sum(max(call.request_size, call.reply_size) for call in _run_calls(program))
    return {
        "fits": True,
        "array": array,
        "segments": len(program.segments),
        "passes_per_run": program.max_passes,
        "images_per_run": use.images,
        "cycles_per_run": use.cycles,
        "cycles_per_image": per_image,
        "utilisation": program.operations / (per_image * config.lane_count),
        "images_per_second_at_clock": config.clock_hz / per_image,
        "streamed_bytes_per_run": streamed_bytes(program),
        "images_per_second_on_link": use.images * config.baud / (10 * line_bytes),
        "layers": use.report(),
        "cycles_outside_layers": use.outside,
    }


def program_use(program: Program, images: int | None = None) -> RunUse:
    """What running ``images`` makes of the array, of one run of all that fit without a number."""
    rest = timing(program.config)
    return run_use(program, rest.turnaround, rest.overhead, images)


def streamed_bytes(program: Program) -> int:
    """Bytes of weights, presets and instructions that are written for every run: 0 if they stay."""
    return sum(image.words.size for image in _streamed_images(program))


def smallest_preset(model: Model) -> ArrayConfig:
    """The first preset that holds all weights of ``model``, or the largest if none does.

    Raises :class:`ModelDoesNotFit` if that cannot run it in segments either.
    """
    *smaller, largest = PRESETS.values()
    for config in smaller:
        with contextlib.suppress(ModelDoesNotFit):
            if len(compile_model(model, config).segments) == 1:
                return config
    compile_model(model, largest)
    return largest


def _run_calls(program: Program) -> Iterator[Call]:
    """The requests of a full run that carry more than a few bytes."""
    for image in _streamed_images(program):
        yield from image.writes()
    size, passes = word_bytes(program.config.lanes), program.max_passes
    inputs = np.zeros((passes * program.input_words, size), np.uint8)
    for _ in range(program.config.cols):
        yield from MemoryImage(Region.ACTIVATIONS, 0, 0, inputs).writes()
        yield from read_calls(Region.ACTIVATIONS, 0, 0, passes * program.output_words, size)


def _streamed_images(program: Program) -> Iterator[MemoryImage]:
    """What is written for every run besides images; of two segments, the weights stay in their halves."""
    segments = program.segments
    for segment in segments if len(segments) > 1 else ():
        if len(segments) > 2:
            yield from weight_images(segment)
        yield program_image(segment)
