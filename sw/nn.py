"""Binary layers for PyTorch, trained as in BinaryNet (Courbariaux et al., 2016).

Weights and activations are ±1, sign(0) is +1. Weights are binarised from latent ones, which the
optimiser moves and :meth:`xnorgrid.network.BinaryNetwork.clip` keeps in [-1, +1]. Feature maps are
(N, channels, height, width), as everywhere in PyTorch, and channels-last in memory.
"""

from __future__ import annotations

from typing import Any

from .extras import requires

with requires("train"):
    import torch
    from torch import Tensor, nn

__all__ = ["BinaryConv2d", "BinaryLinear", "Block", "ClassNorm", "TensorNorm", "binarize",
           "binarize_weight", "levels", "quantize_weight", "sign",
           "squared_hinge"]  # fmt: skip

#: BinaryNet's BatchNorm constants.
EPS = 1e-4
MOMENTUM = 0.1


def sign(x: Tensor) -> Tensor:
    """Return +1 where ``x`` >= 0 (both zeros included) and -1 elsewhere, in ``x``'s dtype."""
    # torch.sign is 0 at 0, which is no bit. A comparison to x's own type is ten times faster than one to
    # bool and a conversion.
    return torch.ge(x, 0, out=torch.empty_like(x)).mul_(2).sub_(1)


class _Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], x, -1, 1)


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return gradients[0]


class _QuantizeWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bits: int) -> Tensor:
        return sign(weight) if bits == 1 else levels(weight, bits).mul_(2).sub_((1 << bits) - 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def binarize(x: Tensor) -> Tensor:
    """Return :func:`sign` of ``x``; the gradient passes straight through where abs(x) < 1."""
    return _Binarize.apply(x)


def binarize_weight(weight: Tensor) -> Tensor:
    """Return :func:`sign` of ``weight``; the gradient passes straight through everywhere.

    Clipping the latent weights after each step is what stands in for the window of
    :func:`binarize`.
    """
    return quantize_weight(weight, 1)


def levels(weight: Tensor, bits: int) -> Tensor:
    """Return which of 2**bits equal parts of -1 … +1 ``weight`` lies in, from 0, in its dtype.

    A weight on the border of two is in the upper part, like 0 of one bit; beyond either end it is in the
    last part.
    """
    return weight.add(1).mul_(1 << (bits - 1)).floor_().clamp_(0, (1 << bits) - 1)


def quantize_weight(weight: Tensor, bits: int) -> Tensor:
    """Return ``weight`` as an odd whole number of ``bits`` bits, 2 :func:`levels` - 2**bits + 1.

    It is the sum of 2**i times plane i of ±1. The gradient passes straight through, as in
    :func:`binarize_weight`, which is this with one bit.
    """
    return _QuantizeWeight.apply(weight, bits)


def squared_hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of max(0, 1 - t·y)² over ``outputs`` (N, classes); t is ±1, 1 at the label."""
    targets = torch.full_like(outputs, -1).scatter_(1, labels.long()[:, None], 1)
    return (1 - targets * outputs).clamp_min(0).square().mean()


class _Product:
    """What dense and convolutional layers share: binary weights and the range of their inputs."""

    weight: Tensor

    #: Largest absolute input: 1, or a pixel layer's maximum. Inputs are all odd or all ±1.
    amplitude = 1
    #: Bits of each weight: more than 1 in a first layer alone.
    weight_bits = 1

    @property
    def largest(self) -> int:
        """Largest absolute sum."""
        return self.fan_in * self.amplitude * ((1 << self.weight_bits) - 1)

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, -1, 1)

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @property
    def fan_in(self) -> int:
        """Inputs of each channel."""
        return self.weight[0].numel()

    @property
    def rate_scale(self) -> float:
        """BinaryNet's factor on the learning rate: one over Glorot's initial standard deviation."""
        fan_out = self.channels * self.weight[0, 0].numel()
        return ((self.fan_in + fan_out) / 1.5) ** 0.5


class BinaryLinear(_Product, nn.Linear):
    """Dense layer without bias whose latent weights (out, in) are binarised on use.

    A feature map is flattened row, column, channel. On whole inputs in float32 the result is the exact
    integer dot product, whatever the order of summation, for sums up to 2**24.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        return nn.functional.linear(x, quantize_weight(self.weight, self.weight_bits))


class BinaryConv2d(_Product, nn.Conv2d):
    """Convolution without bias whose latent weights (out, in, height, width) are binarised on use.

    ``padding`` rows and columns around the map hold ``fill``: -1, +1 or 0, times the largest input.
    Exact like :class:`BinaryLinear` in eval mode. Folding takes no ``dilation`` and no ``groups``. Raises
    :class:`ValueError` for another ``fill``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        fill: int = -1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        if fill not in (-1, 0, 1):
            raise ValueError(f"fill must be -1, 0 or 1, not {fill}")
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.fill = fill

    def forward(self, x: Tensor) -> Tensor:
        weight = quantize_weight(self.weight, self.weight_bits)
        padding: tuple[int, ...] = tuple(map(int, self.padding))
        if self.fill and any(padding):
            rows, columns = padding
            border = (columns, columns, rows, rows)
            x = nn.functional.pad(x, border, value=self.fill * self.amplitude)
            padding = (0, 0)
        products = nn.functional.conv2d(
            x, weight, None, self.stride, padding, self.dilation, self.groups
        )
        # Winograd's algorithm, which PyTorch takes where it finds no oneDNN, is off by some 2**-10.
        return products if self.training else _Round.apply(products)


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


class ClassNorm(nn.BatchNorm1d):
    """BatchNorm of scores: a gain and an offset for each class, which can change their order.

    In eval mode scores are multiplied and added in float64 by the float32 :meth:`gain_and_offset`. An
    integer score times a float32 is exact there, so that numpy, which does the same on the host, gives the
    same outputs.
    """

    @torch.no_grad()
    def gain_and_offset(self) -> Tensor:
        """Return float32 (2, classes): gain and offset of each class in eval mode."""
        variance, mean = self.running_var.double(), self.running_mean.double()  # type: ignore[union-attr]
        gain = self.weight.double() / (variance + self.eps).sqrt()
        return torch.stack((gain, self.bias.double() - mean * gain)).float()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        gain, offset = self.gain_and_offset().double()
        return x.double() * gain + offset


class Block(nn.Module):
    """Hidden layer: binary product, BatchNorm, sign. ±1 in, ±1 out.

    ``pool`` joins 2x2 positions of a convolution by their maximum: of the dot products (``"products"``,
    before BatchNorm) or of the activations (``"activations"``, after sign). In training a fraction
    ``dropout`` of the outputs is zeroed.
    """

    def __init__(
        self,
        product: BinaryLinear | BinaryConv2d,
        dropout: float = 0.0,
        eps: float = EPS,
        *,
        pool: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(product, (BinaryLinear, BinaryConv2d)):
            raise ValueError(
                f"a block's product must be a BinaryLinear or BinaryConv2d, not {type(product).__name__}"
            )
        if pool not in (None, "products", "activations"):
            raise ValueError(f"pool must be None, 'products' or 'activations', not {pool!r}")
        if pool is not None and not isinstance(product, BinaryConv2d):
            raise ValueError("only a convolution has positions to pool")
        self.product = product
        self.pool = pool
        self.norm = nn.BatchNorm1d(product.channels, eps=eps, momentum=MOMENTUM)
        self.dropout = nn.Dropout(dropout)

    def activate(self, products: Tensor) -> Tensor:
        """Return the ±1 activations (N, out) for dot products (N, out); folding evaluates this."""
        return binarize(self.norm(products))

    def forward(self, x: Tensor) -> Tensor:
        products = self.product(x)
        if products.ndim == 2:
            # Under autocast the products arrive in bfloat16; statistics of a batch need float32.
            return self.dropout(self.activate(products.float()))
        if self.pool == "products":
            products = nn.functional.max_pool2d(products, 2)
        # One channel a column, like a dense layer's: the same BatchNorm kernel for every layer. It
        # accumulates in float32 whatever the map's type.
        maps = products.permute(0, 2, 3, 1)
        activations = self.activate(maps.reshape(-1, maps.shape[3])).view(maps.shape)
        result = activations.permute(0, 3, 1, 2)
        if self.pool == "activations":
            result = nn.functional.max_pool2d(result, 2)
        return self.dropout(result)
