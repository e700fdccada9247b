"""What binarising costs a trained network: its accuracy with latent weights, BatchNorm refitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from xnorgrid.extras import requires
from xnorgrid.nn import sign

from .rows import Row, Section, Settings, reported, within
from .trained import BATCH, Statistics, Trained, TrainedLayer, batches

with requires("train"):
    import torch
    from torch import Tensor

__all__ = ["Change", "Refitted", "Variant", "unbinarised"]

#: Training images that BatchNorm is refitted on, at most: what enters the layers is held in memory.
_FIT = 2000


@dataclass(frozen=True)
class Variant:
    """The network altered: latent weights in some layers, no binary activations, or some of them flipped."""

    #: Indices of the layers that multiply with their latent weights.
    continuous: frozenset[int] = frozenset()
    #: What BatchNorm yields is handed on as it is.
    linear: bool = False
    #: Shares of the activations of some layers, by index, that change sign at random.
    flips: tuple[tuple[int, float], ...] = ()

    @property
    def start(self) -> int:
        """The first layer that is altered."""
        altered = [*self.continuous, *(index for index, _ in self.flips)]
        return 0 if self.linear else min(altered, default=0)


@dataclass(frozen=True)
class Change:
    """A change of accuracy in points, and its standard error: only images that change sides tell anything."""

    points: float
    error: float

    @classmethod
    def between(cls, before: np.ndarray, after: np.ndarray) -> Change:
        """The change from the images that were right ``before`` to those ``after``, both (N,) bool."""
        won, lost = int((after & ~before).sum()), int((before & ~after).sum())
        share = 100 / len(before)
        variance = max(won + lost - (won - lost) ** 2 / len(before), 0)
        return cls((won - lost) * share, variance**0.5 * share)


class Refitted:
    """A trained network and variants of it, all with BatchNorm's statistics of their own sums.

    These are those on the images ``fit``, of the last layer's BatchNorm too. A variant takes over what comes
    before its first alteration, so that this is not computed again. ``seed`` draws flips.
    """

    def __init__(self, trained: Trained, fit: np.ndarray, seed: int = 0) -> None:
        self.trained, self.seed = trained, seed
        #: What enters each layer of the unaltered network.
        self._inputs: list[Tensor] = []
        self._statistics = self._fit(Variant(), trained.inputs(fit), self._inputs)

    def right(
        self, variants: Mapping[str, Variant], test: tuple[np.ndarray, np.ndarray], bar: tqdm
    ) -> dict[str, np.ndarray]:
        """Which of the ``test`` images (images, labels) each of the ``variants`` puts right, (N,) bool.

        ``bar`` makes a step for each variant that is fitted, and for each batch of images.
        """
        bar.total = (bar.total or bar.n) + len(variants) + -(-len(test[0]) // BATCH)
        statistics = {}
        for name, variant in variants.items():
            later = self._fit(variant, self._inputs[variant.start])
            statistics[name] = [*self._statistics[: variant.start], *later]
            bar.update()
        right: dict[str, list[np.ndarray]] = {name: [] for name in variants}
        generators = {name: self._generator() for name in variants}
        images = self.trained.inputs(test[0])
        labels = torch.from_numpy(test[1].astype(np.int64))
        for part, wanted in batches(images, labels):
            entering = list(self._steps(Variant(), self._statistics, part, self._generator()))
            for name, variant in variants.items():
                inputs = entering[variant.start]
                *_, scores = self._steps(variant, statistics[name], inputs, generators[name])
                outputs = self.trained.outputs(scores, statistics[name][-1])
                right[name].append((outputs.argmax(1) == wanted).numpy())
            bar.update()
        return {name: np.concatenate(parts) for name, parts in right.items()}

    def changed(self, index: int) -> float:
        """The share of activations of hidden layer ``index`` that its latent weights alone change."""
        layer, inputs = self.trained.layers[index], self._inputs[index]
        pooled = [layer.pooled(layer.sums(part, layer.latent)) for (part,) in batches(inputs)]
        statistics = _moments(pooled)
        after = torch.cat(
            [sign(layer.normalised(part, statistics)).to(torch.int8) for part in pooled]
        )
        return float((self._inputs[index + 1] != after).float().mean())

    def _steps(
        self,
        variant: Variant,
        statistics: list[Statistics],
        inputs: Tensor,
        generator: torch.Generator,
    ) -> Iterator[Tensor]:
        """What enters each layer from the variant's first on, and last the scores."""
        x = inputs
        for index, layer in enumerate(self.trained.layers[variant.start :], variant.start):
            yield x
            sums = layer.sums(x, _weights(layer, index, variant))
            if layer.block is None:
                yield sums
            else:
                activations = layer.normalised(layer.pooled(sums), statistics[index])
                x = _handed_on(variant, index, activations, generator)

    def _fit(
        self, variant: Variant, inputs: Tensor, kept: list[Tensor] | None = None
    ) -> list[Statistics]:
        """Mean and variance of each layer's sums for ``inputs`` of the variant's first layer.

        Layer by layer, since what enters one depends on the statistics before it. ``kept`` takes what enters
        each.
        """
        x, found, generator = inputs, [], self._generator()
        for index, layer in enumerate(self.trained.layers[variant.start :], variant.start):
            if kept is not None:
                kept.append(x)
            weights = _weights(layer, index, variant)
            pooled = [layer.pooled(layer.sums(part, weights)) for (part,) in batches(x)]
            found.append(_moments(pooled))
            if layer.block is not None:
                parts = (layer.normalised(part, found[-1]) for part in pooled)
                x = torch.cat([_handed_on(variant, index, part, generator) for part in parts])
        return found

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def _weights(layer: TrainedLayer, index: int, variant: Variant) -> Tensor:
    return layer.latent if index in variant.continuous else layer.binary


def _handed_on(
    variant: Variant, index: int, activations: Tensor, generator: torch.Generator
) -> Tensor:
    """What layer ``index`` yields for its activations a_c."""
    if variant.linear:
        return activations
    # ±1 take a quarter of the memory as bytes.
    binary = sign(activations).to(torch.int8)
    for flipped, share in variant.flips:
        if flipped == index:
            binary[torch.rand(binary.shape, generator=generator) < share] *= -1
    return binary


def _moments(parts: list[Tensor]) -> Statistics:
    """Mean and variance by channel over all else, added up in float64."""
    axes = [axis for axis in range(parts[0].ndim) if axis != 1]
    count = sum(part.numel() for part in parts) / parts[0].shape[1]
    mean = torch.stack([part.sum(axes, dtype=torch.float64) for part in parts]).sum(0) / count
    shape = [-1 if axis == 1 else 1 for axis in range(parts[0].ndim)]
    centre = mean.float().view(shape)
    squares = torch.stack(
        [(part - centre).square().sum(axes, dtype=torch.float64) for part in parts]
    ).sum(0)
    return mean.float(), (squares / count).float()


_TEXT = """
Accuracy on the first {test:,} test images when the network multiplies with its latent weights instead of
their signs, in all convolutions or in one alone; activations stay binary. All means and variances of
BatchNorm are measured anew, on {fit:,} training images, for the binary network that the others are compared
with as well. ± is the standard error of the change. Where it is the activations that are not binarised,
BatchNorm is followed by nothing, and up to pooling the network is linear.

If a change is not accepted, the same is measured for a disturbance of the same size: latent weights change
the sign of a share of a layer's activations, and as many change sign at random. Where this costs as much, up
to two standard errors, or more, latent weights do no more harm than noise, and the loss tells how sensitive
the network is. The first layer's part is judged if all layers together lose more than two standard errors.
"""


def unbinarised(trained: Trained, settings: Settings, bar: tqdm | None = None) -> Section:
    """Accuracies without binary weights, in all convolutions and in one layer at a time."""
    bar = tqdm(disable=True) if bar is None else bar
    dataset = trained.dataset
    fit = dataset.train_images[: min(settings.count, _FIT)]
    test = dataset.test_images[: settings.count], dataset.test_labels[: settings.count]
    names = [layer.name for layer in trained.layers]
    studied = [layer.name for layer in trained.studied]
    first, *later = studied
    single = {name: Variant(frozenset([names.index(name)])) for name in names[:-1]}
    together = Variant(frozenset(names.index(name) for name in studied))
    variants = {"binary": Variant(), "all": together, **single, "linear": Variant(linear=True)}
    network = Refitted(trained, fit, settings.seed)
    right = network.right(variants, test, bar)
    before = right.pop("binary")
    changes = {name: Change.between(before, after) for name, after in right.items()}
    rows = [
        reported("unbinarised.trained", "accuracy, BatchNorm as trained", _as_trained(trained, test),
                 unit=" %"),
        reported("unbinarised.binary", "accuracy, BatchNorm refitted", 100 * before.mean(), unit=" %"),
        _change("all", f"weights of {first} to {studied[-1]}", changes, -5, None,
                "drops only 3 percent"),
        _first(first, changes),
        *(
            _change(name, f"weights of {name}", changes, -1, 1, "no degradation")
            for name in later
        ),
        *(
            _change(name, f"weights of {name}", changes)
            for name in (first, *(name for name in single if name not in studied))
        ),
        _change("linear", "all hidden activations", changes, paper="substantial impact"),
    ]  # fmt: skip
    failed = {row.key.removeprefix("unbinarised.") for row in rows if row.passed is False}
    if failed:
        alone = [name for name in later if name in failed]
        whole = failed > set(alone)
        shares = {
            name: network.changed(names.index(name)) for name in (studied if whole else alone)
        }
        flips = {name: Variant(flips=((names.index(name), shares[name]),)) for name in alone}
        if whole:
            every = tuple((names.index(name), share) for name, share in shares.items())
            flips["all"] = Variant(flips=every)
        flipped = network.right(flips, test, bar)
        rows += [_flips(name, changes[name], Change.between(before, flipped[name]), shares)
                 for name in flips]  # fmt: skip
    return Section(
        key="unbinarised",
        title="Inside a trained network: what binary weights and activations cost",
        source="section 3.2",
        text=_TEXT.format(test=len(test[0]), fit=len(fit)),
        rows=tuple(rows),
        curves={"changes": {name: changes[name] for name in ("all", *studied)}},
    )


def _as_trained(trained: Trained, test: tuple[np.ndarray, np.ndarray]) -> float:
    outputs = trained.network.outputs(test[0])
    return 100 * float(np.mean(outputs.argmax(1) == test[1]))


def _change(
    name: str,
    what: str,
    changes: Mapping[str, Change],
    low: float | None = None,
    high: float | None = None,
    paper: str | None = None,
) -> Row:
    """The change of accuracy when ``what`` is not binarised; it passes from ``low`` to ``high`` points."""
    change = changes[name]
    key, what = f"unbinarised.{name}", f"change of accuracy, {what} not binarised"
    if low is None and high is None:
        return reported(key, what, change.points, unit=" points", paper=paper, error=change.error)
    return within(
        key, what, change.points, low, high, unit=" points", paper=paper, error=change.error,
        because=f"unbinarised.flips.{name}",
    )  # fmt: skip


def _first(name: str, changes: Mapping[str, Change]) -> Row:
    """The first layer's part of the loss, if there is a loss to speak of."""
    key, what, both = "unbinarised.share", f"{name}'s part of the loss", changes["all"]
    if both.points >= 0:
        return reported(key, f"{what}: nothing is lost", 0, unit=" %", paper="all of it")
    share = 100 * changes[name].points / both.points
    if both.points >= -2 * both.error:
        what += ", which is within two standard errors of 0"
        return reported(key, what, share, unit=" %", paper="all of it")
    return within(
        key, what, share, 60, None, unit=" %", paper="all of it", because="unbinarised.flips.all"
    )


def _flips(name: str, latent: Change, flipped: Change, shares: Mapping[str, float]) -> Row:
    """The change by as many flips as latent weights make; it explains a loss that is no larger."""
    if name == "all":
        what = f"as many activations of {', '.join(shares)} flipped at random"
    else:
        what = f"as many activations of {name}, {100 * shares[name]:.1f} %, flipped at random"
    margin = 2 * (latent.error**2 + flipped.error**2) ** 0.5
    return within(
        f"unbinarised.flips.{name}", f"change of accuracy, {what}", flipped.points, None,
        latent.points + margin, unit=" points", error=flipped.error,
    )  # fmt: skip
