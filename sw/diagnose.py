"""Which layer of a network hurts, by how much, and what is wrong with it.

docs/diagnose.md defines every quantity. ``hurt`` is the accuracy, in points, that the network regains on
labelled images when one layer alone is put right: 0 for a layer that has no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import diagnose_layers as layers
from .diagnose_faults import Examination, Found
from .diagnose_flips import YARD_STICK, flipped_activations, flipped_weights
from .diagnose_latent import continuous_sums, products_compared, weights_compared
from .diagnose_trial import Trial, pooled, sums_of

__all__ = ["DAMAGED", "SOUND", "SUFFERS", "diagnose"]

#: Verdicts: a fault of its own; none, but it comes after one; none.
DAMAGED, SUFFERS, SOUND = "damaged", "suffers", "sound"
#: Images whose dot products are compared before and after binarising.
_COMPARED = 64

Curves = dict[str, dict[str, Any]]


def diagnose(
    trial: Trial,
    latent: Mapping[str, np.ndarray] | None = None,
    *,
    seed: int = 0,
    told: Callable[[], Any] = lambda: None,
) -> tuple[dict[str, Any], Curves]:
    """Return a JSON-ready report on every layer of ``trial``'s network, and by layer what figures need.

    ``latent`` weights by layer add what needs them. ``seed`` draws the flips. ``told`` is called after
    each layer.
    """
    model, latent = trial.model, dict(latent or {})
    examination = Examination(trial, latent)
    rows: list[dict[str, Any]] = []
    curves: Curves = {}
    for index, layer in enumerate(model.layers):
        row: dict[str, Any] = {
            "name": layer.name,
            "op": layer.op,
            "channels": layer.channels,
            "fan_in": layer.fan_in,
            "positive_weights": float(layer.weights.mean()),
        }
        curves[layer.name] = {}
        faults_before = [earlier["name"] for earlier in rows if earlier["findings"]]
        if layer.thresholds is None:
            found = examination.scores()
            outputs = model.outputs(trial.results[index].values)
            curves[layer.name]["score_margins"] = layers.score_margins(outputs, trial.labels)
        else:
            found = examination.hidden(index)
            described, drawn = _hidden(trial, index)
            row |= described
            curves[layer.name] |= drawn
        row |= found.figures
        if layer.name in latent:
            described, drawn = _latent(trial, index, latent[layer.name])
            row["latent"] = described
            curves[layer.name] |= drawn
        row["flips"] = {"weights": flipped_weights(trial, index, YARD_STICK, seed).points}
        if layer.thresholds is not None:
            flips = flipped_activations(trial, index, YARD_STICK, seed)
            row["flips"]["activations"] = flips.points
        row["findings"] = found.findings
        row["after"] = faults_before[:1]
        row["verdict"] = DAMAGED if found.findings else SUFFERS if faults_before else SOUND
        row["hurt"] = _hurt(found)
        rows.append(row)
        told()
    ranking = sorted(rows, key=_rank)
    return {
        "model": model.name,
        "images": len(trial.labels),
        "accuracy": trial.accuracy,
        "recorded_accuracy": _recorded_accuracy(model.provenance),
        "seed": seed,
        "ranking": [row["name"] for row in ranking],
        "damaged": [row["name"] for row in ranking if row["verdict"] == DAMAGED],
        "layers": rows,
    }, curves


def _hidden(trial: Trial, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What hidden layer ``index`` does, and the curves of its figure."""
    model, layer, result = trial.model, trial.model.layers[index], trial.results[index]
    bits, amplitude = result.values, model.amplitude(index)
    sums = pooled(sums_of(layer, result, amplitude), layer)
    described = layers.activity(bits) | layers.correlations(bits)
    described |= layers.sums_and_thresholds(sums, layer, amplitude)
    flat = sums.reshape(-1, layer.channels)
    # The threshold lies between two sums. An inverted channel fires below it.
    switch = layers.switching_sums(layer, amplitude) - 0.5
    assert layer.inverted is not None
    direction = np.where(layer.inverted, -1, 1)
    bands = (np.percentile(flat, (1, 50, 99), axis=0) - switch) * direction
    drawn = {
        "rates": bits.reshape(-1, layer.channels).mean(0),
        "bands": np.sort(bands / np.maximum(flat.std(0), 0.5), axis=0),
    }
    norm = model.batchnorm.get(layer.name)
    if norm is not None:
        gamma, beta, _, variance = norm.astype(np.float64)
        scale = np.abs(gamma) / np.sqrt(variance + model.batchnorm_eps)
        described["batchnorm"] = {
            "gamma_min": float(np.abs(gamma).min()),
            "gamma_median": float(np.median(np.abs(gamma))),
            "gamma_max": float(np.abs(gamma).max()),
            "beta_min": float(beta.min()),
            "beta_max": float(beta.max()),
            "scale_median": float(np.median(scale)),
        }
    return described, drawn


def _latent(trial: Trial, index: int, latent: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """What binarising the weights of layer ``index`` does, and the curves of its figure."""
    layer, amplitude = trial.model.layers[index], trial.model.amplitude(index)
    binary = sums_of(layer, trial.results[index], amplitude)[:_COMPARED]
    values = trial.values(index)[:_COMPARED]
    continuous = continuous_sums(values, layer, latent, amplitude)
    described = weights_compared(layer, latent)
    described |= products_compared(binary, continuous, layer, latent)
    drawn = {name: described.pop(name) for name in ("angles", "pairs")}
    drawn["compared"] = {name: described[name] for name in ("r", "slope", "r_independent")}
    return described, drawn


def _hurt(found: Found) -> dict[str, Any]:
    """The repair that regains most, with points and standard error; no repair regains nothing."""
    if not found.repairs:
        return {"points": 0.0, "error": 0.0, "repair": None}
    name = max(found.repairs, key=lambda repair: found.repairs[repair].points)
    best = found.repairs[name]
    return {"points": best.points, "error": best.error, "repair": name}


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Damaged layers first; then by what repair regains; then by what faults of binarisation's size cost."""
    return (row["verdict"] != DAMAGED, -row["hurt"]["points"], min(row["flips"].values()))


def _recorded_accuracy(provenance: Mapping[str, Any]) -> float | None:
    value = provenance.get("test_accuracy")
    return float(value) if isinstance(value, (int, float)) else None
