"""What a model needs of memories that hold all of it, and the cycles it then takes: exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from xnorgrid.hw.config import ArrayConfig

from .batch import MAX_PASSES
from .model import Model
from .placement import RESERVED_WORDS, ModelDoesNotFit, place
from .segments import plan

__all__ = ["Needs", "needs"]

#: Largest memories that a configuration can have; the accumulator is cut to what the sums take.
_ROOMY: dict[str, Any] = {
    "weight_depth": 1 << 16, "activation_depth": 1 << 16, "preset_depth": 1 << 16,
    "program_depth": 256, "accumulator_bits": 32,
}  # fmt: skip


@dataclass(frozen=True)
class Needs:
    """What one model takes of an array of some rows and lanes, whatever its columns and tiles."""

    #: Least depths, reserved words included, and the least width of an accumulator.
    weight_depth: int
    preset_depth: int
    program_depth: int
    accumulator_bits: int
    #: Words of activations that all passes share, reserved ones included, and those of each pass.
    shared_words: int
    pass_words: int
    #: Instructions of a pass, and the cycles of all of them from first beat to last.
    instructions: int
    work: int

    @property
    def activation_depth(self) -> int:
        """Least depth of an activation memory: one pass a run."""
        return self.shared_words + self.pass_words

    def smallest(self, config: ArrayConfig) -> ArrayConfig:
        """``config`` with its memories and accumulators as small as the model lets them be."""
        return replace(
            config,
            weight_depth=self.weight_depth,
            activation_depth=self.activation_depth,
            preset_depth=self.preset_depth,
            program_depth=self.program_depth,
            accumulator_bits=self.accumulator_bits,
        )

    def cycles_per_image(self, config: ArrayConfig, turnaround: int, overhead: int) -> float:
        """Busy cycles per image of a run that fills the activation memory and all columns.

        ``config`` has the rows, lanes and accumulator width that this was made for. What
        :meth:`~xnorgrid.compile.Program.cycles` says of the same run, divided by its images.
        """
        room = config.activation_depth - self.shared_words
        passes = min(room // self.pass_words, MAX_PASSES)
        between = (passes * self.instructions - 1) * turnaround
        return (passes * self.work + between + overhead) / (passes * config.cols)


def needs(model: Model, config: ArrayConfig) -> Needs:
    """Return what ``model`` needs of an array with the rows and lanes of ``config``.

    From the compiler's own plan, in well under a millisecond for a dense model. Raises
    :class:`~xnorgrid.compile.ModelDoesNotFit` for a model that no depths would hold.
    """
    roomy = replace(config, **_ROOMY)
    bits = max(3, *(at.accumulator_bits for at in place(model, roomy)))
    roomy = replace(roomy, accumulator_bits=bits)
    found = plan(model, roomy, keep_layers=False)
    if len(found.segments) > 1:
        raise ModelDoesNotFit(
            f"model {model.name!r}: no memories hold all of it on {config.rows} x {config.cols} x "
            f"{config.lanes} lanes: its weights take more than {_ROOMY['weight_depth']} words a row, or its "
            f"instructions more than {_ROOMY['program_depth']}; use more rows or lanes"
        )
    (parts,) = found.segments
    steps = [step for placed in parts for step in placed.steps]
    preset_words = [
        placed.part.preset_words(region) for placed in parts for _, region in placed.presets
    ]
    borders = [placed.part.place.tiles for placed in parts if placed.border_preset is not None]
    return Needs(
        weight_depth=RESERVED_WORDS + sum(placed.part.weight_words for placed in parts),
        preset_depth=sum(preset_words) + sum(borders),
        program_depth=len(steps),
        accumulator_bits=bits,
        shared_words=found.places[0].source_base,
        pass_words=found.input_stride + found.output_stride,
        instructions=len(steps),
        work=sum(step.cycles(roomy) for step in steps),
    )
