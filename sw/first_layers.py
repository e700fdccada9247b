"""First layers compared, in accuracy and array cycles: ``python -m xnorgrid.first_layers``.

Trains one small CIFAR-10 network with each first layer and several seeds, and writes a page of documentation.
A run that is done is kept, with its model, and one that was cut off goes on where it was, so the command can
be interrupted and repeated. Every model is compared with PyTorch on test images, score by score.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnorgrid.hw.config import PRESETS, ArrayConfig
from xnorgrid.sim import reference

from .compile import compile as compile_model
from .data import VARIABLE, DataError
from .encoding import Hadamard
from .fold import fold
from .inspection import fit
from .model import Model
from .modelfile import load, save
from .packing import word_bytes
from .recipe import Recipe
from .train import train

__all__ = ["ARRAY", "FIRST_LAYERS", "RECIPE", "Figures", "figures", "main", "page"]

#: The network: as large as minutes on one core allow, so that every first layer has several seeds.
RECIPE = Recipe(
    dataset="cifar10", features=((16, 2), (32, 2), (64, 1)), hidden=(64,), input_bits=8, epochs=3,
    batch=128, rate=3e-3, final_rate=1e-5, schedule="cosine", loss="cross-entropy", flip=True,
    bfloat16=True, validation=2000,
)  # fmt: skip

#: What is changed in the recipe, by what the page calls it.
FIRST_LAYERS: dict[str, dict[str, Any]] = {
    "1 bit a pixel": {"input_bits": 1},
    "bit-planes of 8 bits": {},
    "thermometer, 8 bits": {"first_layer": "thermometer", "levels": 8},
    "Hadamard, 4 draws": {"first_layer": "hadamard", "draws": 4},
    "bit-planes, weights of 2 bits": {"weight_bits": 2},
    "bit-planes, weights of 4 bits": {"weight_bits": 4},
}

#: Preset ``sim`` with room for every first layer: sums of 4-bit weights, and windows of 11 planes.
ARRAY = dataclasses.replace(PRESETS["sim"], accumulator_bits=20, activation_depth=1 << 16)

#: Seeds of each first layer that a comparison needs at least.
_SEEDS = 3

#: Test images on which each model is compared with PyTorch.
_COMPARED = 200

_HEAD = """# First layers

The first layer is where a binary network loses most: patches of three colours vary in few dimensions, and
their products with binary weights are little like those with continuous ones (Anderson and Berg, 2018).
Their remedies, and others', as options of `xnorgrid train`:

* `--input-bits 8`: each pixel's bit-planes, most significant first, the sum doubling between them. Exact.
* `--first-layer thermometer --levels T`: each pixel as T bits, by as many thresholds.
* `--first-layer hadamard --draws N`: the generalised binarisation transform. Signs of each 3x3 patch, flipped
  at random, after a Walsh-Hadamard transform: additions only, on the host. The first kernel is then 1x1.
* `--weight-bits W`: weights of W bits on 8-bit pixels, as pairs of planes. Exact, on the same gateware.

The last is the nearest to the continuous first layer that the paper recommends.
[Decision 14](decisions/0014-first-layer.md) says how each of them runs.

"""

#: Paragraphs, to be wrapped when the numbers are in.
_HOW = """`python -m xnorgrid.first_layers` made this page: CIFAR-10, convolutions of {features} channels (/2:
max-pooling), a dense layer of {hidden}, {epochs} epochs on {images:,} images, half of them mirrored, the same
for all. A network so small, trained so shortly, is far from what its kind reaches: the table compares first
layers, not networks. Accuracy is that of the integer scores of all 10,000 test images, ± the standard
deviation over seeds; scores of {compared} test images of each model were the same in PyTorch and the integer
reference.

Cycles are those of one image, of {cols} in a pass, on preset `sim` with accumulators of {accumulator_bits}
bits and {activation_depth:,} words of activations: {rows} x {cols} elements of {lanes} lanes. Bytes are those
of the encoded image on the line. Additions are the host's."""


_COLUMNS = (
    "first layer", "test accuracy", "by seed", "cycles, first layer", "all layers", "bytes",
    "additions", "bits of weights, first layer", "all layers",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a model takes, whatever its weights."""

    first_cycles: float
    cycles: float
    line_bytes: int
    additions: int
    first_weight_bits: int
    weight_bits: int


def figures(model: Model, config: ArrayConfig = ARRAY) -> Figures:
    """Cycles and bytes of an image of ``model`` on ``config``, and the bits of its weights."""
    found, program = fit(model, config), compile_model(model, config)
    encoding = model.input.encoding
    return Figures(
        first_cycles=found["layers"][0]["cycles_per_pass"] / config.cols,
        cycles=found["cycles_per_image"],
        line_bytes=program.input_words * word_bytes(config.lanes),
        additions=encoding.additions(model.input.shape) if isinstance(encoding, Hadamard) else 0,
        first_weight_bits=model.layers[0].weights.size,
        weight_bits=sum(layer.weights.size for layer in model.layers),
    )


def page(models: Mapping[str, Mapping[int, Model]], recipe: Recipe = RECIPE) -> str:
    """The page, as Markdown, of ``models`` by first layer and seed, with their provenance."""
    facts = dataclasses.asdict(ARRAY) | {
        "features": ", ".join(f"{out}/{pool}".removesuffix("/1") for out, pool in recipe.features),
        "hidden": ", ".join(map(str, recipe.hidden)),
        "epochs": recipe.epochs,
        "images": 50_000 - recipe.validation,
        "compared": _COMPARED,
    }
    how = [textwrap.fill(part, 110) + "\n" for part in _HOW.format(**facts).split("\n\n")]
    done = sum(map(len, models.values()))
    if len(models) < len(FIRST_LAYERS) or min(map(len, models.values())) < _SEEDS:
        how.append(f"**Not finished**: of {_SEEDS * len(FIRST_LAYERS)} runs {done} are done.\n")
    lines = [
        *how,
        "| " + " | ".join(_COLUMNS) + " |",
        "| --- | ---: | --- |" + " ---: |" * (len(_COLUMNS) - 3),
    ]
    for name, seeds in models.items():
        accuracies = [100 * seeds[seed].provenance["test_accuracy"] for seed in sorted(seeds)]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        of = figures(next(iter(seeds.values())))
        cells = [
            name,
            f"{statistics.mean(accuracies):.2f} %{spread}",
            ", ".join(f"{accuracy:.2f}" for accuracy in accuracies),
            f"{of.first_cycles:,.0f}",
            f"{of.cycles:,.0f}",
            f"{of.line_bytes:,}",
            f"{of.additions:,}" if of.additions else "-",
            f"{of.first_weight_bits:,}",
            f"{of.weight_bits:,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return _HEAD + "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, write the page after each run; return the process's exit status."""
    arguments = _arguments(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    models: dict[str, dict[int, Model]] = {}
    # All first layers with one seed, then with the next: a table that is cut off compares as many as it can.
    runs = [(seed, name) for seed in arguments.seeds for name in FIRST_LAYERS]
    for number, (seed, name) in enumerate(runs, 1):
        recipe = dataclasses.replace(RECIPE, **FIRST_LAYERS[name], seed=seed)
        print(f"{number} of {len(runs)}: {name}, seed {seed}", file=sys.stderr, flush=True)
        try:
            model = _model(name, recipe, arguments)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if model is None:
            print("interrupted; repeat the command to go on", file=sys.stderr)
            return 130
        accuracy = model.provenance["test_accuracy"]
        print(f"  test accuracy {accuracy:.2%}", file=sys.stderr, flush=True)
        models.setdefault(name, {})[seed] = model
        ordered = {known: models[known] for known in FIRST_LAYERS if known in models}
        arguments.page.write_text(page(ordered))
    return 0


def _model(name: str, recipe: Recipe, arguments: argparse.Namespace) -> Model | None:
    """The model of ``recipe``, trained if that was not done before; ``None`` if that was interrupted."""
    stem = "".join(letter if letter.isalnum() else "-" for letter in name)
    path = arguments.folder / f"{stem}-{recipe.seed}.safetensors"
    wanted = json.loads(json.dumps(dataclasses.asdict(recipe)))
    if path.exists():
        kept = load(path)
        if kept.provenance["recipe"] == wanted:
            return kept
    checkpoint = path.with_suffix(".checkpoint")
    # Of another recipe it would be refused.
    resume = checkpoint.exists() and not path.exists()
    result = train(
        recipe,
        directory=arguments.data,
        checkpoint=checkpoint,
        resume=resume,
        progress=False if arguments.quiet else None,
        threads=arguments.threads,
    )
    if result.interrupted:
        return None
    images, labels = result.dataset.test_images, result.dataset.test_labels
    scores = result.network.scores(images)
    model = fold(result.network, stem, labels=result.dataset.labels)
    if not np.array_equal(reference.scores(model, images[:_COMPARED]), scores[:_COMPARED]):
        raise AssertionError(f"{name}, seed {recipe.seed}: PyTorch and the reference differ")
    accuracy = float(np.mean(model.outputs(scores).argmax(1) == labels))
    provenance = {
        "recipe": wanted,
        "best_epoch": result.best_epoch,
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": accuracy,
    }
    model = dataclasses.replace(model, provenance=provenance)
    save(model, path)
    checkpoint.unlink()
    return model


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m xnorgrid.first_layers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--data", metavar="DIR", help=f"directory of the data sets (default: ${VARIABLE})"
    )
    parser.add_argument(
        "--seeds",
        metavar="N,N,…",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 2, 3],
        help="seeds of each first layer (default: 1,2,3)",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path("build/first-layer"),
        help="where models and checkpoints are kept (default: build/first-layer)",
    )
    parser.add_argument(
        "--page",
        metavar="FILE",
        type=Path,
        default=Path("docs/first-layer.md"),
        help="the page that is written (default: docs/first-layer.md)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of PyTorch")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
