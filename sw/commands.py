"""What the command line does, as functions: each returns a JSON-ready report.

With :mod:`xnorgrid.cli` the one place that ties host, simulation and PyTorch together.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import xnorgrid
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated

from .compile import Program
from .driver import Board
from .image_choice import CommandError, Images, images_for
from .inspection import inspect, program_use, smallest_preset
from .model import Model
from .modelfile import load
from .provenance import scores_sha256
from .verify import first_difference

__all__ = [
    "CommandError",
    "Images",
    "bench",
    "compare",
    "demo",
    "images_for",
    "inspect",
    "run",
    "simulate",
    "verify",
]

#: Runs of all segments between two steps of the progress bar.
_STREAMED_RUNS = 8


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
    chosen.require_some()
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
    config: ArrayConfig | None = None,
    with_torch: bool = True,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Compare PyTorch, the integer reference and the board on every value of every layer.

    ``config`` is the array to simulate, or the one that a real board must have. ``difference`` names the
    first differing neuron of the first differing layer, or is ``None``.
    """
    chosen.require_some()
    traces = {}
    if with_torch:
        from .twin import TwinError, twin

        try:
            network = twin(model)
        except TwinError as error:
            raise CommandError(
                f"{error}; --no-torch compares the reference and the board only"
            ) from None
        traces = {"PyTorch": network.trace(chosen.images)}
    with xnorgrid.open(device, config=config) as board:
        return {"model": model.name, **compare(board, model, chosen.images, progress, traces)}


def compare(
    board: Board,
    model: Model,
    images: np.ndarray,
    progress: bool | None,
    others: Mapping[str, list[np.ndarray]],
) -> dict[str, Any]:
    """Load ``model`` with its layers' results kept, and compare them with the reference's and ``others``."""
    names = [layer.name for layer in model.layers]
    program = _load(board, model, progress, keep_layers=True)
    step = program.max_passes * board.config.cols
    expected, found = [], []
    for start in _bar(range(0, len(images), step), progress, "runs"):
        part = images[start : start + step]
        expected.append([layer.values for layer in reference.layers(model, part)])
        found.append(list(board.layers(part).values()))
    results = {
        **others,
        "reference": [np.concatenate(layer) for layer in zip(*expected, strict=True)],
        board.description: [np.concatenate(layer) for layer in zip(*found, strict=True)],
    }
    difference = first_difference(names, results)
    return {
        "images": len(images),
        "compared": list(results),
        "segments": len(program.segments),
        "layers": [
            {"name": name, "values": int(layer.size)}
            for name, layer in zip(names, results["reference"], strict=True)
        ],
        "bit_exact": difference is None,
        "difference": None
        if difference is None
        else {**dataclasses.asdict(difference), "text": str(difference)},
    }


def bench(
    models: list[Model],
    *,
    directory: Path | None = None,
    config: ArrayConfig,
    kind: str = "auto",
    count: int | None = None,
    images: Path | None = None,
    layers: int = 0,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """:func:`simulate` for several models on one board.

    ``layers`` images are run once more and compared on every value of every layer.
    """
    reports = []
    chosen = [
        images_for(model, images=images, directory=directory, count=count) for model in models
    ]
    for some in chosen:
        some.require_some()
    with Board(open_simulated(kind, config), config=config) as board:
        for model, some in zip(models, chosen, strict=True):
            report = _measure(board, model, some, progress)
            if layers:
                few = some.images[:layers]
                report["layers_compared"] = compare(board, model, few, progress, {})
            reports.append(report)
    return reports


def _measure(board: Board, model: Model, chosen: Images, progress: bool | None) -> dict[str, Any]:
    """Load, run, compare with the reference and read the counters.

    ``predicted_cycles`` and ``layers`` come from the program alone, the rest from the board.
    """
    start = time.perf_counter()
    program = _load(board, model, progress)
    load_seconds = time.perf_counter() - start
    start = time.perf_counter()
    scores = _scores(board, chosen.images, progress)
    seconds = time.perf_counter() - start
    counters, config = board.counters, board.config
    expected = reference.scores(model, chosen.images)
    count = len(chosen.images)
    cycles = counters.busy_cycles / count
    use = program_use(program, count)
    recorded = model.provenance.get("scores_sha256") if chosen.whole else None
    return {
        "model": model.name,
        "board": board.description,
        "array": {name: getattr(config, name) for name in ("rows", "cols", "lanes", "clock_hz")},
        "images": count,
        "passes": use.passes,
        "accuracy": None if chosen.labels is None else _accuracy(model, scores, chosen.labels),
        "bit_exact": bool((scores == expected).all()),
        "differing_scores": int((scores != expected).sum()),
        "matches_pytorch": None if recorded is None else scores_sha256(scores) == recorded,
        "cycles_per_image": cycles,
        "utilisation": counters.utilisation(config),
        "useful_lanes": counters.useful_lanes,
        "expected_lanes": reference.operations(model, count),
        "operations_per_image": program.operations,
        "counters": dataclasses.asdict(counters),
        "predicted_cycles": use.cycles,
        "cycles_outside_layers": use.outside,
        "layers": use.report(),
        "segments": len(program.segments),
        "streaming": dataclasses.asdict(board.streaming),
        "images_per_second_at_clock": config.clock_hz / cycles,
        **_times(board, load_seconds, seconds, count),
    }


def _accuracy(model: Model, scores: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(model.outputs(scores).argmax(1) == labels))


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
    """``board.run`` in parts, with a bar.

    A part is what the board takes in one run, or some of these if weights are streamed: while the array
    ends one, the first weights for the next are on their way.
    """
    assert board.program is not None
    step = board.program.max_passes * board.config.cols
    step *= 1 if len(board.program.segments) == 1 else _STREAMED_RUNS
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
