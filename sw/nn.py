"""Binary layers and networks for PyTorch, trained as in BinaryNet (Courbariaux et al., 2016).

Weights and activations are ±1, sign(0) is +1. Weights are binarised from latent ones, which the
optimiser moves and :meth:`BinaryNetwork.clip` keeps in [-1, +1].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .extras import requires
from .model import Input

with requires("train"):
    import torch
    from torch import Tensor, nn

__all__ = ["BinaryLinear", "BinaryMLP", "BinaryNetwork", "Block", "TensorNorm", "binarize",
           "binarize_weight", "sign", "squared_hinge"]  # fmt: skip

#: BinaryNet's BatchNorm constants.
EPS = 1e-4
MOMENTUM = 0.1


def sign(x: Tensor) -> Tensor:
    """Return +1 where ``x`` >= 0 (both zeros included) and -1 elsewhere, in ``x``'s dtype."""
    # torch.sign is 0 at 0, which is no bit.
    return (x >= 0).to(x.dtype).mul_(2).sub_(1)


class _Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.abs() <= 1)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (window,) = ctx.saved_tensors
        return gradients[0] * window


class _BinarizeWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return sign(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return gradients[0]


def binarize(x: Tensor) -> Tensor:
    """Return :func:`sign` of ``x``; the gradient passes straight through where abs(x) <= 1."""
    return _Binarize.apply(x)


def binarize_weight(weight: Tensor) -> Tensor:
    """Return :func:`sign` of ``weight``; the gradient passes straight through everywhere.

    Clipping the latent weights after each step is what stands in for the window of
    :func:`binarize`.
    """
    return _BinarizeWeight.apply(weight)


def squared_hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of max(0, 1 - t·y)² over ``outputs`` (N, classes); t is ±1, 1 at the label."""
    targets = torch.full_like(outputs, -1).scatter_(1, labels.long()[:, None], 1)
    return (1 - targets * outputs).clamp_min(0).square().mean()


class BinaryLinear(nn.Linear):
    """Dense layer without bias whose latent weights (out, in) are binarised on use.

    On ±1 inputs in float32 the result is the exact integer dot product, whatever the order of
    summation, for fan-ins below 2**24.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, -1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, binarize_weight(self.weight))

    @property
    def rate_scale(self) -> float:
        """BinaryNet's factor on the learning rate: one over Glorot's initial standard deviation."""
        return ((self.in_features + self.out_features) / 1.5) ** 0.5


class TensorNorm(nn.Module):
    """Normalise a whole tensor with one mean, variance, gain and offset.

    One affine map with a positive gain for all classes: the largest integer score stays the
    largest output.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            variance, mean = torch.var_mean(x)
            with torch.no_grad():
                self.mean.lerp_(mean, MOMENTUM)
                self.variance.lerp_(variance, MOMENTUM)
        else:
            variance, mean = self.variance, self.mean
        return (x - mean) * torch.rsqrt(variance + EPS) * self.gain + self.offset


class Block(nn.Module):
    """Hidden layer: binary product, BatchNorm, sign. ±1 in, ±1 out.

    In training a fraction ``dropout`` of the outputs is zeroed.
    """

    def __init__(self, product: BinaryLinear, dropout: float = 0.0, eps: float = EPS) -> None:
        super().__init__()
        self.product = product
        self.norm = nn.BatchNorm1d(product.out_features, eps=eps, momentum=MOMENTUM)
        self.dropout = nn.Dropout(dropout)

    def activate(self, products: Tensor) -> Tensor:
        """Return the ±1 activations (N, out) for dot products (N, out); folding evaluates this."""
        return binarize(self.norm(products))

    def forward(self, x: Tensor) -> Tensor:
        # Under autocast the products arrive in bfloat16; statistics need float32.
        return self.dropout(self.activate(self.product(x).float()))


class BinaryNetwork(nn.Module):
    """Blocks from a 1-bit input to a layer of integer scores.

    ``blocks`` yield ±1; ``head`` yields the dot products that are the scores; ``norm`` scales
    them for the loss and never changes their order. ``input_dropout`` is the fraction of inputs
    zeroed in training.
    """

    def __init__(
        self,
        input: Input,
        blocks: Sequence[Block],
        head: BinaryLinear,
        *,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = input
        self.input_dropout = nn.Dropout(input_dropout)
        self.blocks = nn.ModuleList(blocks)
        self.head = head
        self.norm = TensorNorm()

    @property
    def hidden(self) -> list[Block]:
        """The hidden layers, first to last."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the loss's view (N, classes) of the scores for ±1 inputs ``x`` (N, in) float32."""
        x = self.input_dropout(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(self.head(x).float())

    @torch.no_grad()
    def clip(self) -> None:
        """Clip latent weights to [-1, +1], keep the loss's gain positive; call after each step."""
        for module in self.modules():
            if isinstance(module, BinaryLinear):
                module.weight.clamp_(-1, 1)
        self.norm.gain.clamp_(min=1e-4)

    def encode(self, images: np.ndarray) -> Tensor:
        """Return ``images`` (N, *shape) or (N, in) as ±1 float32 (N, in).

        Raises :class:`ValueError` for a wrong shape, type or range.
        """
        images, source = np.asarray(images), self.input
        if images.ndim == 0 or images.shape[1:] not in (source.shape, (source.size,)):
            raise ValueError(
                f"images must have shape (N, {', '.join(map(str, source.shape))}), "
                f"not {images.shape}"
            )
        if source.kind == "threshold":
            if images.dtype.kind not in "iu":
                raise ValueError(f"images must be integers, not {images.dtype}")
            if images.size and (images.min() < 0 or images.max() > source.maximum):
                raise ValueError(
                    f"images must lie in 0 … {source.maximum}, but some lie in "
                    f"{images.min()} … {images.max()}"
                )
        elif not (np.isin(images, (0, 1)).all() or np.isin(images, (-1, 1)).all()):
            raise ValueError("images must be all 0/1 or all -1/+1")
        bits = (images >= source.threshold).reshape(len(images), source.size)
        return torch.from_numpy(bits).float().mul_(2).sub_(1)

    @torch.no_grad()
    def trace(self, images: np.ndarray, *, batch: int = 1024) -> list[np.ndarray]:
        """Return what every layer yields in eval mode for ``images`` (N, *shape).

        Hidden layers give (N, out) uint8 bits, 1 for +1; the last gives (N, classes) int32 scores.
        Weights and statistics stay as they are, and so does the mode.
        """
        training = self.training
        self.eval()
        try:
            x = self.encode(images)
            parts = [self._trace(part) for part in (x.split(batch) if len(x) else (x,))]
        finally:
            self.train(training)
        return [np.concatenate(layer) for layer in zip(*parts, strict=True)]

    def scores(self, images: np.ndarray, *, batch: int = 1024) -> np.ndarray:
        """Return the integer scores (N, classes) int32 in eval mode for ``images`` (N, *shape)."""
        return self.trace(images, batch=batch)[-1]

    def _trace(self, x: Tensor) -> list[np.ndarray]:
        layers = []
        for block in self.blocks:
            x = block(x)
            layers.append((x > 0).to(torch.uint8).numpy())
        return [*layers, self.head(x).to(torch.int32).numpy()]


class BinaryMLP(BinaryNetwork):
    """Dense binary network; ``sizes`` are the widths from input to classes, e.g. (784, 256, 10)."""

    def __init__(
        self,
        sizes: Sequence[int],
        input: Input,
        *,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        eps: float = EPS,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be two or more positive widths, not {tuple(sizes)}")
        if input.size != sizes[0]:
            raise ValueError(
                f"the first size must be the input's {input.size} values, not {sizes[0]}"
            )
        linear = [BinaryLinear(a, b) for a, b in itertools.pairwise(sizes)]
        super().__init__(
            input,
            [Block(product, dropout, eps) for product in linear[:-1]],
            linear[-1],
            input_dropout=input_dropout,
        )
