"""Train a binary network: the method of BinaryNet on a whole data set held in memory."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .checkpoint import Checkpoint, CheckpointError
from .data import Dataset, load
from .encoding import Hadamard, Thermometer, WeightPlanes
from .extras import requires
from .model import Input, ModelError
from .network import BinaryCNN, BinaryMLP, BinaryNetwork, product_input
from .nn import BinaryConv2d, BinaryLinear, squared_hinge
from .recipe import Recipe, RecipeError

with requires("train"):
    import torch
    from torch import Tensor

__all__ = ["Result", "accuracy", "build_network", "train"]

#: Fields that recipes of checkpoints have not always had, and what trainings then did.
_LATER = {
    "class_norm": False,
    "first_layer": "planes",
    "levels": 32,
    "draws": 4,
    "weight_bits": 1,
}


@dataclass(frozen=True)
class Result:
    """A trained network with the weights of its best epoch, in eval mode."""

    network: BinaryNetwork
    recipe: Recipe
    #: Epochs finished; fewer than the recipe's if the training was interrupted.
    epochs: int
    best_epoch: int
    validation_accuracy: float
    interrupted: bool
    dataset: Dataset


def accuracy(network: BinaryNetwork, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of ``images`` whose largest output, or the first such, is the label's."""
    return float(np.mean(network.outputs(images).argmax(1) == labels))


def train(
    recipe: Recipe,
    *,
    directory: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    log: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> Result:
    """Train ``recipe``'s network; return it as it was after the epoch best on validation data.

    ``device`` is ``"cuda"`` or ``"cpu"``, by default the GPU if there is one; the network that is
    returned is on the CPU. The same recipe, data, torch build, device and number of ``threads`` give the
    same network. ``checkpoint`` is written after every epoch; with ``resume`` the training continues from
    it, to the same end as if it had never stopped. Ctrl-C ends the training with the best epoch so
    far. ``log`` receives one JSON object a line: the recipe, then each epoch. ``progress`` shows
    a bar, by default on a terminal. Raises :class:`RecipeError` for what cannot be trained,
    :class:`~xnorgrid.data.DataError` for the data set and
    :class:`~xnorgrid.checkpoint.CheckpointError` for a checkpoint that is missing, damaged or
    another recipe's.
    """
    chosen = _device(device)
    dataset = load(recipe.dataset, directory)
    if recipe.validation > len(dataset.train_labels) - recipe.batch:
        raise RecipeError(
            f"validation must leave at least one batch of the "
            f"{len(dataset.train_labels)} training images"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    gpus = [torch.cuda.current_device()] if chosen.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=gpus),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(recipe.seed)
        return _Training(recipe, dataset, checkpoint, resume, log, chosen).run(progress)


def _device(name: str | None) -> torch.device:
    available = torch.cuda.is_available()
    if name not in (None, "cpu", "cuda"):
        raise RecipeError(f"device must be cpu or cuda, not {name!r}")
    if name == "cuda" and not available:
        raise RecipeError(
            "PyTorch finds no GPU here; train with device cpu, or install a build of torch for your GPU"
        )
    return torch.device(name or ("cuda" if available else "cpu"))


class _Training:
    """State of one training run."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        checkpoint: Any,
        resume: bool,
        log: Any,
        device: torch.device,
    ) -> None:
        self.recipe, self.dataset, self.device = recipe, dataset, device
        self.network = build_network(recipe, dataset).to(self.device)
        binary = [m for m in self.network.modules() if isinstance(m, (BinaryLinear, BinaryConv2d))]
        latent = {id(m.weight) for m in binary}
        groups = [{"params": [m.weight], "scale": m.rate_scale} for m in binary]
        groups.append(
            {"params": [p for p in self.network.parameters() if id(p) not in latent], "scale": 1.0}
        )
        self.optimiser = torch.optim.Adam(groups, lr=recipe.rate, fused=True)

        order = torch.randperm(len(dataset.train_labels)).numpy()
        chosen, kept = order[: recipe.validation], order[recipe.validation :]
        self.validation = dataset.train_images[chosen], dataset.train_labels[chosen]
        # Background around it, so that a shift is a choice of window.
        border = ((0, 0), *[(recipe.shift,) * 2] * 2, (0, 0))
        pixels = np.pad(
            dataset.train_images[kept].reshape(-1, *self.network.input.map_shape), border
        )
        self.pixels = torch.from_numpy(pixels).to(self.device)
        self.labels = torch.from_numpy(dataset.train_labels[kept]).to(self.device)

        self.epoch, self.best_epoch, self.best_accuracy = 0, 0, -1.0
        self.best = self._copy()
        self.checkpoint = None if checkpoint is None else Checkpoint(Path(checkpoint))
        if resume:
            self._restore()
        self.log = None if log is None else Path(log)
        if self.log and not resume:
            self.log.write_text(json.dumps({"recipe": dataclasses.asdict(recipe)}) + "\n")

    def run(self, progress: bool | None) -> Result:
        shown = sys.stderr.isatty() if progress is None else progress
        interrupted = False
        steps = len(self.labels) // self.recipe.batch
        with tqdm(
            total=self.recipe.epochs * steps,
            initial=self.epoch * steps,
            unit="step",
            disable=not shown,
        ) as bar:
            try:
                while self.epoch < self.recipe.epochs:
                    started = time.monotonic()
                    bar.set_description(f"epoch {self.epoch + 1} of {self.recipe.epochs}")
                    loss = self._epoch(bar)
                    current = accuracy(self.network, *self.validation)
                    self.epoch += 1
                    # Of equals the later: its learning rate was lower.
                    if current >= self.best_accuracy:
                        self.best_epoch, self.best_accuracy = self.epoch, current
                        self.best = self._copy()
                    self._record(loss, current, time.monotonic() - started)
                    bar.set_postfix(
                        loss=f"{loss:.4f}",
                        validation=f"{current:.2%}",
                        best=f"{self.best_accuracy:.2%}",
                    )
            except KeyboardInterrupt:
                interrupted = True
        self.network.load_state_dict(self.best)
        return Result(
            self.network.cpu().eval(),
            self.recipe,
            self.epoch,
            self.best_epoch,
            max(self.best_accuracy, 0.0),
            interrupted,
            self.dataset,
        )

    def _epoch(self, bar: tqdm) -> float:
        """Train for one epoch, a step of ``bar`` each batch; returns the mean loss."""
        recipe = self.recipe
        rate = _rate(recipe, self.epoch / recipe.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.network.train()
        total, batches = 0.0, 0
        # A last batch that is not full is left out: BatchNorm would weigh its images more.
        order = torch.randperm(len(self.labels))
        for chosen in order[: len(order) // recipe.batch * recipe.batch].split(recipe.batch):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bfloat16):
                outputs = self.network(self._inputs(chosen))
            labels = self.labels[chosen.to(self.device)]
            if recipe.loss == "cross-entropy":
                loss = torch.nn.functional.cross_entropy(outputs, labels.long())
            else:
                loss = squared_hinge(outputs, labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.network.clip()
            total, batches = total + loss.item(), batches + 1
            bar.update()
        return total / batches

    def _inputs(self, chosen: Tensor) -> Tensor:
        """Return inputs (batch, in) float32 for the ``chosen`` images, moved and mirrored at random."""
        recipe, count = self.recipe, len(chosen)
        height, width, _ = self.network.input.map_shape
        top, left = torch.randint(0, 2 * recipe.shift + 1, (2, count, 1))
        rows, columns = top + torch.arange(height), left + torch.arange(width)
        if recipe.flip:
            columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
        where = (chosen[:, None, None], rows[:, :, None], columns[:, None, :])
        moved = self.pixels[tuple(index.to(self.device) for index in where)]
        return self.network.encode_pixels(moved).flatten(1)

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    def _record(self, loss: float, current: float, seconds: float) -> None:
        if self.checkpoint:
            self.checkpoint.save(
                self._facts(),
                {
                    "network": self.network.state_dict(),
                    "best": self.best,
                    "optimiser": _flatten(self.optimiser.state_dict()["state"]),
                    "random": self._random(),
                },
            )
        if self.log:
            line = {
                "epoch": self.epoch,
                "loss": loss,
                "validation_accuracy": current,
                "seconds": round(seconds, 3),
            }
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _random(self) -> dict[str, Tensor]:
        states = {"state": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _facts(self) -> dict[str, Any]:
        return {"recipe": dataclasses.asdict(self.recipe), "epoch": self.epoch,
                "best_epoch": self.best_epoch, "best_accuracy": self.best_accuracy}  # fmt: skip

    def _restore(self) -> None:
        if self.checkpoint is None:
            raise CheckpointError("there is nothing to resume from: no checkpoint was named")
        facts, groups = self.checkpoint.load()
        mine = json.loads(json.dumps(dataclasses.asdict(self.recipe)))
        # Checkpoints of earlier versions do not have these.
        theirs = {**_LATER, **facts["recipe"]}
        if theirs != mine:
            names = [n for n in {**mine, **theirs} if theirs.get(n) != mine.get(n)]
            raise CheckpointError(
                f"{self.checkpoint.path} is of another recipe (different: {', '.join(names)}); "
                f"use that recipe, or train without resuming"
            )
        self.network.load_state_dict(groups["network"])
        self.best = groups["best"]
        state = self.optimiser.state_dict()
        state["state"] = _unflatten(groups["optimiser"])
        self.optimiser.load_state_dict(state)
        torch.set_rng_state(groups["random"]["state"])
        if "cuda" in groups["random"] and self.device.type == "cuda":
            torch.cuda.set_rng_state(groups["random"]["cuda"])
        self.epoch, self.best_epoch = facts["epoch"], facts["best_epoch"]
        self.best_accuracy = facts["best_accuracy"]


def build_network(recipe: Recipe, dataset: Dataset) -> BinaryNetwork:
    """Return ``recipe``'s network, not trained; raises :class:`RecipeError` if it suits not the images."""
    source = _input(recipe, dataset)
    sizes = (*recipe.hidden, len(dataset.labels))
    options: dict[str, Any] = {
        "dropout": recipe.dropout,
        "input_dropout": recipe.input_dropout,
        "class_norm": recipe.class_norm,
    }
    if not recipe.features:
        return BinaryMLP((product_input(source).size, *sizes), source, **options)
    try:
        return BinaryCNN(recipe.features, sizes, source, fill=recipe.fill, **options)
    except ValueError as error:
        raise RecipeError(f"features do not suit {dataset.name}: {error}") from None


def _input(recipe: Recipe, dataset: Dataset) -> Input:
    shape, maximum = dataset.train_images.shape[1:], dataset.maximum
    try:
        if recipe.first_layer == "thermometer":
            return Input(shape, "thermometer", maximum, encoding=Thermometer(recipe.levels))
        if recipe.first_layer == "hadamard":
            convolution = bool(recipe.features)
            patch = (3, 3) if convolution else shape[:2]
            padding = (1, 1) if convolution and recipe.fill is not None else (0, 0)
            rotation = Hadamard(recipe.draws, recipe.seed, patch, padding)
            return Input(shape, "hadamard", maximum, encoding=rotation)
    except ModelError as error:
        raise RecipeError(f"first_layer does not suit {dataset.name}: {error}") from None
    if recipe.input_bits == 1:
        return Input(shape, "threshold", maximum, dataset.threshold)
    if maximum != 255:
        raise RecipeError(
            f"{dataset.name} has pixels in 0 … {maximum}, which are not {recipe.input_bits} bits; "
            f"use input_bits 1"
        )
    if recipe.weight_bits > 1:
        return Input(shape, "weight-planes", maximum, encoding=WeightPlanes(recipe.weight_bits))
    return Input(shape, "pixels", maximum)


def _rate(recipe: Recipe, done: float) -> float:
    """Return the learning rate after the fraction ``done`` of the epochs."""
    if recipe.schedule == "cosine":
        share = (1 + math.cos(math.pi * done)) / 2
        return recipe.final_rate + (recipe.rate - recipe.final_rate) * share
    return recipe.rate * (recipe.final_rate / recipe.rate) ** done


def _flatten(state: dict[int, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def _unflatten(flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        i, name = key.split(".")
        state.setdefault(int(i), {})[name] = value
    return state
