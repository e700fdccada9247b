"""What in a layer contradicts the record of its training, and the accuracy regained by putting it right.

The record is a BatchNorm's rows in the model file and, with a checkpoint, the latent weights.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from xnorgrid.sim import reference

from . import diagnose_layers as layers
from .diagnose_latent import continuous_sums
from .diagnose_trial import Change, Trial, pooled, sums_of
from .layers import Conv, Layer

__all__ = ["Examination", "Found"]

#: Share of a layer's results that may be others than its BatchNorm's, by rounding.
_DIFFERING = 0.01
#: Share of weights that may be others than the latent weights' signs.
_WEIGHTS = 0.001
#: Divergence, in nats a channel, from which on sums are not those of training: more than settled statistics
#: are off, and more than training's own shifting and mirroring of images makes in the first layer.
_DRIFT = 0.08
_DRIFT_OF_FIRST = 0.1
#: From which on they are not if refitting BatchNorm regains accuracy as well.
_DRIFT_THAT_COSTS = 0.03
#: What is added to these for N images: few / N. N images alone make some 1 / N.
_DRIFT_OF_FEW = 4.0
#: Share of channels that may be dead, and images that it takes to tell.
_DEAD = 0.1
_ENOUGH = 20


@dataclasses.dataclass
class Found:
    """What one layer has: faults as text, figures for the report, and repairs with what each regains."""

    findings: list[str] = dataclasses.field(default_factory=list)
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)
    repairs: dict[str, Change] = dataclasses.field(default_factory=dict)


class Examination:
    """Examines the layers of a trial's network from first to last.

    Faults before a layer spoil what it gets. Where the record allows, a faulty layer's results are put right
    for the layers after it; where it does not, ``spoilt`` names it, and later layers' sums are not held to
    the record.
    """

    def __init__(self, trial: Trial, latent: dict[str, np.ndarray]) -> None:
        self.trial, self.latent = trial, latent
        self.spoilt: str | None = None
        #: Results of the network with its faults so far put right.
        self._sound = trial.results
        #: Whether a layer so far is faulty, and whether one has dead channels: those of the layers after it
        #: are then no fault of theirs, nor is a gain from moving their thresholds.
        self._faults = self._dead = False

    def hidden(self, index: int) -> Found:
        """Examine hidden layer ``index``, after those before it."""
        trial, found = self.trial, Found()
        layer, latent = trial.model.layers[index], self._latent(index)
        norm = trial.model.batchnorm.get(layer.name)
        sums, sound = self._sums(index, trial.results), self._sums(index, self._sound)
        restored = layer if latent is None else with_signs(layer, latent)
        if latent is not None:
            self._compare_weights(found, layer, restored)
        if norm is not None:
            eps = trial.model.batchnorm_eps
            wanted = layers.batchnorm_bits(sound, norm, eps)
            share = float((wanted != self._sound[index].values).mean())
            drift = layers.drift(sound, norm, eps, self._dropped(index))
            found.figures |= {"differing": share, "drift": drift}
            if share > _DIFFERING:
                found.findings.append(
                    f"its thresholds are not those of its BatchNorm: {share:.1%} of its results differ"
                )
        if found.findings:
            found.repairs["as recorded"] = self._bits(index, self._recorded(index, restored, sums))
            self._go_on(index, restored)
        if norm is not None and latent is None and self.spoilt is None:
            self._hold_to_statistics(found, index, sums, norm)
        if not found.findings and not self._faults:
            self._count_dead(found, index, sums)
        if norm is None and not self._dead:
            middle = self._bits(index, layers.centred_bits(sums, layer))
            if middle.significant:
                found.findings.append("its thresholds are far from the middle of its sums")
                found.repairs["thresholds at the medians"] = middle
        if not found.findings and not self._faults and latent is not None and norm is not None:
            continuous = self._continuous(index, latent)
            bits = layers.refitted_bits(pooled(continuous, layer), norm)
            self._not_binarised(found, self._bits(index, bits))
        self._faults |= bool(found.findings)
        return found

    def scores(self) -> Found:
        """Examine the last layer. Only latent weights are a record of it."""
        trial, found = self.trial, Found()
        index = len(trial.model.layers) - 1
        layer, latent = trial.model.layers[index], self._latent(index)
        if latent is None:
            return found
        restored = with_signs(layer, latent)
        self._compare_weights(found, layer, restored)
        if found.findings:
            right = trial.right_with_layer(index, restored)
            found.repairs["as recorded"] = trial.change(right)
        elif not self._faults:
            scores = self._continuous(index, latent)
            if trial.model.affine is not None:
                # Gain and offset of each class are for the scale of the binary scores.
                binary = trial.results[index].values
                spread = np.maximum(scores.std(0), 1e-6)
                scores = (scores - scores.mean(0)) / spread * binary.std(0) + binary.mean(0)
            self._not_binarised(found, trial.change(trial.right_scores(scores)))
        return found

    def _latent(self, index: int) -> np.ndarray | None:
        return self.latent.get(self.trial.model.layers[index].name)

    def _sums(self, index: int, results: list[reference.LayerResult]) -> np.ndarray:
        layer = self.trial.model.layers[index]
        return pooled(sums_of(layer, results[index], self.trial.model.amplitude(index)), layer)

    def _bits(self, index: int, bits: np.ndarray) -> Change:
        return self.trial.change(self.trial.right_with_bits(index, bits))

    def _compare_weights(self, found: Found, layer: Layer, restored: Layer) -> None:
        share = float((layer.weights != restored.weights).mean())
        if share > _WEIGHTS:
            found.findings.append(
                f"{share:.1%} of its weights are not the signs of the checkpoint's"
            )

    def _not_binarised(self, found: Found, change: Change) -> None:
        """Note what the layer's latent weights do in the place of its binary ones. That is no repair."""
        found.figures["not_binarised"] = {"points": change.points, "error": change.error}

    def _recorded(self, index: int, restored: Layer, sums: np.ndarray) -> np.ndarray:
        """Bits of layer ``index`` as recorded, on the inputs that it has in the network as it is."""
        model = self.trial.model
        if restored is not model.layers[index]:
            sums = self.trial.sums_with_layer(index, restored, self.trial.inputs(index))
        return self._by_record(index, restored, sums)

    def _by_record(self, index: int, layer: Layer, sums: np.ndarray) -> np.ndarray:
        model = self.trial.model
        norm = model.batchnorm.get(layer.name)
        if norm is not None:
            return layers.batchnorm_bits(sums, norm, model.batchnorm_eps)
        assert layer.inverted is not None
        above = sums >= layers.switching_sums(layer, model.amplitude(index))
        bits: np.ndarray = (above ^ layer.inverted).astype(np.uint8)
        return bits

    def _go_on(self, index: int, restored: Layer) -> None:
        """Put layer ``index`` right for the layers after it."""
        inputs = self.trial.images if index == 0 else self._sound[index - 1].values
        sums = self.trial.sums_with_layer(index, restored, inputs)
        bits = self._by_record(index, restored, sums)
        after = self.trial.from_layer(index + 1, bits)
        here = dataclasses.replace(self._sound[index], bits=bits)
        self._sound = [*self._sound[:index], here, *after]

    def _hold_to_statistics(
        self, found: Found, index: int, sums: np.ndarray, norm: np.ndarray
    ) -> None:
        """Compare the sums with BatchNorm's mean and variance: all that is known of the weights."""
        layer, drift = self.trial.model.layers[index], found.figures["drift"]
        few = _DRIFT_OF_FEW / len(sums)
        refitted = self._bits(index, layers.refitted_bits(sums, norm))
        sure = drift > (_DRIFT if index else _DRIFT_OF_FIRST) + few
        if isinstance(layer, Conv) and layer.pool > 1 and self._dropped(index):
            # The largest of sums that dropout made noisy is larger, by what the record does not tell.
            sure = False
        costs = index > 0 and drift > _DRIFT_THAT_COSTS + few and refitted.significant
        if not sure and not costs:
            return
        cause = "its weights were altered since or BatchNorm had not settled"
        if index == 0:
            cause += ", or the images were not as in training"
        found.findings.append(
            f"its sums are not those of training, {drift:.2f} nats a channel from its BatchNorm's mean "
            f"and variance, as if {cause}"
        )
        self.spoilt = layer.name
        found.repairs["BatchNorm refitted"] = refitted

    def _count_dead(self, found: Found, index: int, sums: np.ndarray) -> None:
        layer = self.trial.model.layers[index]
        dead = layers.activity(self.trial.results[index].values)["dead"]
        if dead > _DEAD * layer.channels and len(self.trial.labels) >= _ENOUGH:
            found.findings.append(f"{dead} of its {layer.channels} channels are dead")
            bits = self.trial.results[index].values
            rates = bits.mean(tuple(range(bits.ndim - 1)))
            alive, centred = (rates > 0) & (rates < 1), layers.centred_bits(sums, layer)
            found.repairs |= {
                "thresholds at the medians": self._bits(index, centred),
                "those of dead channels at the medians": self._bits(
                    index, np.where(alive, bits, centred)
                ),
            }
            self._dead = True

    def _dropped(self, index: int) -> float:
        """Variance that dropout added to the sums of layer ``index`` in training, by the model's recipe.

        A share p of the n inputs is zeroed and the others are scaled by 1/(1 - p): each adds p/(1 - p) of
        its mean square.
        """
        recipe = self.trial.model.provenance.get("recipe")
        share = (
            recipe.get("dropout" if index else "input_dropout") if isinstance(recipe, dict) else 0
        )
        if not isinstance(share, (int, float)) or not 0 < share < 1:
            return 0.0
        square = np.square(self.trial.values(index).astype(np.float64)).mean()
        return float(self.trial.model.layers[index].fan_in * square * share / (1 - share))

    def _continuous(self, index: int, latent: np.ndarray) -> np.ndarray:
        model = self.trial.model
        values = self.trial.values(index)
        return continuous_sums(values, model.layers[index], latent, model.amplitude(index))


def with_signs(layer: Layer, latent: np.ndarray) -> Layer:
    """Return ``layer`` with the signs of ``latent`` as its weights; sign(0) is +1."""
    return dataclasses.replace(layer, weights=(latent >= 0).astype(np.uint8))
