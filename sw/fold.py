"""Fold a trained network into bits and integer thresholds.

No formula: PyTorch's own BatchNorm and sign are evaluated at every dot product a neuron can meet,
and the threshold is read off where the bit flips. Rounding, ties and gamma = 0 come out right by
construction.

Max-pooling is OR before the inversion of a falling channel (gamma < 0). For ``pool="products"`` that is
the network's own order: the largest sum reaches T if any does, and the inversion comes after. For
``pool="activations"`` any position *below* the threshold makes the bit 1, which no OR before the inversion
gives. So there a falling channel's weights are negated instead: n - p inputs agree then, and it rises.
Padding may stay as it is: it is what the channel sees, not what it gives, and a negated weight's product
with -1, +1 or 0 is the negated product.

A first layer with weights of several bits becomes one of binary weights, their planes, on pixels that the
host shifts (:class:`~xnorgrid.encoding.WeightPlanes`). The shifted pixels' sums differ from the weights' own
by a constant of each channel, which goes into its threshold.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from .encoding import WeightPlanes
from .extras import requires
from .fold_checks import FoldError, block_problems, head_problems, layer_names
from .model import Conv, Dense, Layer, Model
from .network import BinaryNetwork
from .nn import EPS, BinaryConv2d, BinaryLinear, Block, ClassNorm, levels

with requires("train"):
    import torch
    from torch.nn import BatchNorm1d

__all__ = ["FoldError", "fold", "fold_block"]

#: Activations evaluated at once; bounds the memory of wide layers.
_VALUES = 1 << 20


def fold(
    network: BinaryNetwork,
    name: str,
    *,
    labels: Sequence[str] = (),
    provenance: dict[str, Any] | None = None,
) -> Model:
    """Return the :class:`Model` that yields ``network``'s eval-mode bits and scores exactly.

    Hidden layers are called conv1, conv2, …, dense1, …, and the last one scores. The bits are those of
    PyTorch on the CPU; ``network`` is left as and where it is. The model's BatchNorm is that of its
    weights: where they were negated, gamma and mean are, too, which gives the same results bit for bit.
    A layer with an ``activate`` of its own has none. Raises :class:`FoldError` that lists all layers that
    have no integer form.
    """
    if not isinstance(network, BinaryNetwork):
        raise FoldError(
            f"a {type(network).__name__} has no integer form; build the network as BinaryNetwork, "
            f"BinaryMLP or BinaryCNN of xnorgrid.network"
        )
    network = copy.deepcopy(network).cpu().eval()
    norms = [block.norm for block in network.hidden if isinstance(block.norm, BatchNorm1d)]
    eps = norms[0].eps if norms else EPS
    layers: list[Layer] = []
    batchnorm, problems = {}, []
    for layer, block in zip(layer_names(network), network.blocks, strict=True):
        found = [f"{layer}: {problem}" for problem in block_problems(block, eps)]
        if not found and isinstance(block, Block):
            try:
                folded, rows = fold_block(block, layer)
            except FoldError as error:
                found.append(str(error))
            else:
                layers.append(folded)
                if rows is not None:
                    batchnorm[layer] = rows
        problems += found
    problems += [f"scores: {problem}" for problem in head_problems(network)]
    if len(problems) > 1:
        raise FoldError("\n  ".join(["these layers have no integer form:", *problems]))
    if problems:
        raise FoldError(problems[0])
    layers.append(Dense("scores", _bits(network.head)))
    norm = network.norm
    return Model(
        name=name,
        input=network.input,
        layers=tuple(layers),
        labels=tuple(labels),
        provenance=provenance or {},
        batchnorm=batchnorm,
        batchnorm_eps=eps,
        affine=norm.gain_and_offset().numpy() if isinstance(norm, ClassNorm) else None,
    )


def fold_block(block: Block, name: str) -> tuple[Layer, np.ndarray | None]:
    """Return ``block``, in eval mode, as a layer called ``name``, and its BatchNorm's rows.

    With p of n inputs agreeing, the activation is +1 just where ``(p >= threshold) ^ inverted``. A
    channel that never flips has the threshold 0 or the largest count plus 1. The rows are float32
    (4, out), as in :class:`Model`, or ``None`` if the block's ``activate`` is its own. Raises
    :class:`FoldError` for activations that are no threshold.
    """
    product, weights, rows = block.product, _bits(block.product), None
    if type(block).activate is Block.activate:
        rows = _rows(block.norm)
    # A zero agrees by half, so with zeros around the map sums are odd and even.
    halves = isinstance(product, BinaryConv2d) and product.fill == 0 and any(product.padding)
    largest = product.largest
    ones, flips, falling = _sweep(block, largest, 1 if halves else 2)
    if flips.max() > 1:
        channel = int(np.argmax(flips > 1))
        raise FoldError(
            f"{name}: in channel {channel} its activation flips {flips[channel]} times as the dot product "
            f"rises from -{largest} to {largest}, so no threshold yields it; use an activation that is "
            f"monotone, such as BatchNorm and sign"
        )
    # Rising, the last `ones` of all counts give 1. Falling, the first do: p >= ones, inverted.
    counts = (2 if halves else 1) * largest + 1
    inverted = falling
    if block.pool == "activations":
        weights[falling] ^= 1
        if rows is not None:
            rows[0, falling] *= -1
            rows[2, falling] *= -1
        inverted = np.zeros_like(falling)
    thresholds = np.where(inverted, ones, counts - ones).astype(np.int32)
    if product.weight_bits > 1:
        thresholds += _plane_offset(product, weights)
    if isinstance(product, BinaryLinear):
        return Dense(name, weights, thresholds, inverted), rows
    padding = (int(product.padding[0]), int(product.padding[1]))
    return Conv(
        name,
        weights,
        thresholds,
        inverted,
        stride=product.stride[0],
        padding=padding,
        fill=product.fill if any(padding) else -1,
        pool=2 if block.pool else 1,
    ), rows


@torch.no_grad()
def _sweep(block: Block, largest: int, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate ``block`` at the dot products -largest, -largest + step, … largest.

    Returns for each channel how many give +1, how often neighbours differ, and whether the first is +1
    and the last is not.
    """
    out = block.product.channels
    ones, flips = np.zeros(out, np.int64), np.zeros(out, np.int64)
    first = last = np.zeros(out, bool)
    span = max(1, _VALUES // out) * step
    for start in range(-largest, largest + 1, span):
        products = torch.arange(start, min(start + span, largest + 1), step).float()
        # The same module, dtype, memory layout and rank as in the network's forward pass: the same
        # kernel.
        bits = (block.activate(products[:, None].repeat(1, out)) > 0).numpy()
        if start == -largest:
            first = last = bits[0]
        flips += (bits[0] != last) + np.count_nonzero(bits[1:] != bits[:-1], axis=0)
        ones += np.count_nonzero(bits, axis=0)
        last = bits[-1]
    return ones, flips, first & ~last


def _bits(product: BinaryLinear | BinaryConv2d) -> np.ndarray:
    """Return the binary weights as uint8, input channels last; of several bits their planes, lowest first."""
    if product.weight_bits > 1:
        numbers = levels(product.weight.detach(), product.weight_bits).to(torch.uint8)
    else:
        numbers = (product.weight.detach() >= 0).to(torch.uint8)
    rows = (numbers if numbers.ndim == 2 else numbers.permute(0, 2, 3, 1)).numpy()
    planes = rows[..., None] >> np.arange(product.weight_bits, dtype=np.uint8) & 1
    return planes.reshape(*rows.shape[:-1], rows.shape[-1] * product.weight_bits)


def _plane_offset(product: BinaryLinear | BinaryConv2d, weights: np.ndarray) -> np.ndarray:
    """How much larger the count p of shifted pixels is than that of weights of several bits, (out,).

    With x = 2u - M a plane w_i gives Σ w_i 2^i x to the sum, and Σ w_i (2^(i+1) u - M') with shifted pixels:
    Σ w_i (M' - 2^i M) less. Twice a count is its sum and what the sum can reach.
    """
    encoding, maximum = WeightPlanes(product.weight_bits), product.amplitude
    shifted = encoding.maximum(maximum)
    signs = 2 * weights.reshape(product.channels, -1, encoding.bits).astype(np.int64) - 1
    less = (signs * (shifted - maximum * 2 ** np.arange(encoding.bits))).sum((1, 2))
    reach = product.fan_in * encoding.bits * shifted
    return ((reach - less - product.largest) // 2).astype(np.int32)


def _rows(norm: BatchNorm1d) -> np.ndarray:
    """Return gamma (1 if there is none), beta (0), mean and variance, float32 (4, out)."""
    rows = np.repeat(np.array([[1], [0], [0], [0]], np.float32), norm.num_features, axis=1)
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    for row, tensor in zip(rows, tensors, strict=True):
        if tensor is not None:
            row[:] = tensor.detach().numpy()
    return rows
