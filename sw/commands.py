"""What the command line does, as functions: each returns a JSON-ready report.

With :mod:`xnorgrid.cli` the one place that ties host, simulation and PyTorch together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import xnorgrid
from xnorgrid.hw.config import PRESETS, ArrayConfig
from xnorgrid.hw.core import timing
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated

from . import data
from .compile import ModelDoesNotFit, Program
from .compile import compile as compile_model
from .driver import Board
from .images import input_values
from .model import Model, describe
from .modelfile import load
from .provenance import scores_sha256
from .verify import first_difference

__all__ = [
    "CommandError",
    "Images",
    "bench",
    "demo",
    "images_for",
    "inspect",
    "run",
    "run_cycles",
    "simulate",
    "smallest_preset",
    "verify",
]


@dataclasses.dataclass(frozen=True)
class Images:
    """Images (N, …) and, where known, their labels (N,). ``whole`` says that it is a whole test set."""

    images: np.ndarray
    labels: np.ndarray | None
    whole: bool


class CommandError(ValueError):
    """Arguments that do not go together; the message says which."""


def images_for(
    model: Model,
    *,
    images: Path | None = None,
    directory: Path | None = None,
    count: int | None = None,
) -> Images:
    """Return images for ``model``: a .npy file, or the test set of the data set it was trained on.

    Raises :class:`CommandError` or :class:`~xnorgrid.data.DataError` if there are none, and
    :class:`~xnorgrid.images.ImageError` if ``model`` does not take them, before any board is opened.
    """
    if images is not None:
        array = _read_npy(images)
        input_values(model, array)
        return Images(array[:count], None, whole=False)
    recipe = model.provenance.get("recipe")
    name = recipe.get("dataset") if isinstance(recipe, dict) else None
    if not isinstance(name, str):
        raise CommandError(
            f"model {model.name!r} does not say which data set it was trained on: simulate or verify it "
            f"with a .npy file of images (--images)"
        )
    dataset = data.load(name, directory)
    input_values(model, dataset.test_images)
    taken = slice(count)
    whole = count is None or count >= len(dataset.test_labels)
    return Images(dataset.test_images[taken], dataset.test_labels[taken], whole)


def _read_npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        raise CommandError(f"{path} cannot be read as a .npy file: {error}") from None


def _require_some(chosen: Images) -> None:
    if not len(chosen.images):
        raise CommandError("there are no images to compare: name a file with one or more")


def demo(device: str | None = None, *, progress: bool | None = None) -> dict[str, Any]:
    """Run the whole held-out set of the bundled digits network on a board and compare every score.

    ``matches_pytorch`` compares with the digest of PyTorch's own scores that came with the model.
    """
    model = load("digits")
    held_out = images_for(model)
    with xnorgrid.open(device) as board:
        report = _measure(board, model, held_out, progress)
    return report


def simulate(
    model: Model,
    chosen: Images,
    *,
    kind: str = "auto",
    config: ArrayConfig | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Run ``chosen`` on a simulated board of ``config`` and compare every score with the reference."""
    _require_some(chosen)
    config = config or smallest_preset(model)
    with Board(open_simulated(kind, config), config=config) as board:
        return _measure(board, model, chosen, progress)


def run(
    model: Model, images: np.ndarray, device: str | None = None, *, progress: bool | None = None
) -> np.ndarray:
    """Scores (N, classes) int32 of ``images`` from a board."""
    with xnorgrid.open(device) as board:
        _load(board, model, progress)
        return _scores(board, images, progress)


def verify(
    model: Model,
    chosen: Images,
    device: str | None = None,
    *,
    with_torch: bool = True,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Compare PyTorch, the integer reference and the board on every value of every layer.

    ``difference`` names the first differing neuron of the first differing layer, or is ``None``.
    """
    _require_some(chosen)
    names = [layer.name for layer in model.layers]
    results = {"reference": [layer.values for layer in reference.layers(model, chosen.images)]}
    if with_torch:
        from .twin import TwinError, twin

        try:
            network = twin(model)
        except TwinError as error:
            raise CommandError(
                f"{error}; --no-torch compares the reference and the board only"
            ) from None
        results = {"PyTorch": network.trace(chosen.images), **results}
    with xnorgrid.open(device) as board:
        _load(board, model, progress, keep_layers=True)
        where = board.description
        step = board.config.cols
        parts = [
            board.layers(chosen.images[start : start + step])
            for start in _bar(range(0, len(chosen.images), step), progress, "passes")
        ]
    results[where] = [np.concatenate([part[name] for part in parts]) for name in names]
    difference = first_difference(names, results)
    return {
        "model": model.name,
        "images": len(chosen.images),
        "compared": list(results),
        "layers": [
            {"name": name, "values": int(layer.size)}
            for name, layer in zip(names, results["reference"], strict=True)
        ],
        "bit_exact": difference is None,
        "difference": None
        if difference is None
        else {**dataclasses.asdict(difference), "text": str(difference)},
    }


def inspect(model: Model, config: ArrayConfig | None = None) -> dict[str, Any]:
    """What a model is and, on each preset or on ``config``, whether it fits and how fast it would be."""
    known = [name for name, other in PRESETS.items() if other == config]
    configs = PRESETS if config is None else {known[0] if known else "configuration": config}
    return {**describe(model), "on": {name: _fit(model, c) for name, c in configs.items()}}


def bench(
    models: list[Model],
    *,
    directory: Path | None = None,
    config: ArrayConfig,
    kind: str = "auto",
    count: int | None = None,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """:func:`simulate` for several models on one board, with cycles beside what was predicted."""
    reports = []
    images = [images_for(model, directory=directory, count=count) for model in models]
    with Board(open_simulated(kind, config), config=config) as board:
        for model, chosen in zip(models, images, strict=True):
            report = _measure(board, model, chosen, progress)
            reports.append({**report, "predicted": _fit(model, config)})
    return reports


def smallest_preset(model: Model) -> ArrayConfig:
    """The first preset that holds ``model``; raises :class:`ModelDoesNotFit` if none does."""
    *smaller, largest = PRESETS.values()
    for config in smaller:
        with contextlib.suppress(ModelDoesNotFit):
            compile_model(model, config)
            return config
    compile_model(model, largest)
    return largest


def _measure(board: Board, model: Model, chosen: Images, progress: bool | None) -> dict[str, Any]:
    """Load, run, compare with the reference and read the counters."""
    start = time.perf_counter()
    program = _load(board, model, progress)
    load_seconds = time.perf_counter() - start
    start = time.perf_counter()
    scores = _scores(board, chosen.images, progress)
    seconds = time.perf_counter() - start
    counters, config = board.counters, board.config
    expected = reference.scores(model, chosen.images)
    count = max(1, len(chosen.images))
    cycles = counters.busy_cycles / count
    recorded = model.provenance.get("scores_sha256") if chosen.whole else None
    return {
        "model": model.name,
        "board": board.description,
        "array": {name: getattr(config, name) for name in ("rows", "cols", "lanes", "clock_hz")},
        "images": len(chosen.images),
        "accuracy": None
        if chosen.labels is None
        else float(np.mean(scores.argmax(1) == chosen.labels)),
        "bit_exact": bool((scores == expected).all()),
        "differing_scores": int((scores != expected).sum()),
        "matches_pytorch": None if recorded is None else scores_sha256(scores) == recorded,
        "cycles_per_image": cycles,
        "utilisation": counters.utilisation(config),
        "useful_lanes": counters.useful_lanes,
        "expected_lanes": reference.operations(model, len(chosen.images)),
        "operations_per_image": program.operations,
        "counters": dataclasses.asdict(counters),
        "images_per_second_at_clock": config.clock_hz / cycles if cycles else None,
        **_times(board, load_seconds, seconds, count),
    }


def _times(board: Board, load_seconds: float, seconds: float, count: int) -> dict[str, Any]:
    """Wall-clock figures: with the link, and of the array alone while it ran."""
    array_seconds = board.array_seconds
    return {
        "load_seconds": load_seconds,
        "run_seconds": seconds,
        "images_per_second": count / seconds if seconds else None,
        "array_seconds": array_seconds,
        "images_per_second_without_link": count / array_seconds if array_seconds else None,
    }


def _scores(board: Board, images: np.ndarray, progress: bool | None) -> np.ndarray:
    """``board.run`` in parts, with a bar. A part is what the board takes in one run."""
    assert board.program is not None
    step = board.program.max_passes * board.config.cols
    bar = _bar(range(0, max(1, len(images)), step), progress, "runs")
    return np.concatenate([board.run(images[start : start + step]) for start in bar])


def _load(
    board: Board, model: Model, progress: bool | None, *, keep_layers: bool = False
) -> Program:
    """``board.load`` with a bar."""
    with _bar(None, progress, "frames") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return board.load(model, keep_layers=keep_layers, progress=show)


def _bar(parts: range | None, progress: bool | None, unit: str) -> Any:
    """A progress bar on standard error; ``None`` shows it only on a terminal."""
    hidden = None if progress is None else not progress
    return tqdm(parts, unit=unit, disable=hidden, leave=False)


def _fit(model: Model, config: ArrayConfig) -> dict[str, Any]:
    """Whether ``model`` fits ``config``, and the exact cycles of a full run if it does."""
    try:
        program = compile_model(model, config)
    except ModelDoesNotFit as error:
        return {"fits": False, "why_not": str(error)}
    cycles = run_cycles(program, program.max_passes)
    per_image = cycles / (program.max_passes * config.cols)
    return {
        "fits": True,
        "passes_per_run": program.max_passes,
        "cycles_per_run": cycles,
        "cycles_per_image": per_image,
        "utilisation": program.operations / (per_image * config.lane_count),
        "images_per_second_at_clock": config.clock_hz / per_image,
    }


def run_cycles(program: Program, passes: int) -> int:
    """Busy cycles of a run, exactly as the gateware's counter will show them."""
    rest = timing(program.config)
    return program.cycles(passes, rest.turnaround) + rest.overhead
