"""Fold a trained network into bits and integer thresholds.

No formula: PyTorch's own BatchNorm and sign are evaluated at every dot product a neuron can meet,
and the threshold is read off where the bit flips. Rounding, ties and gamma = 0 come out right by
construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .extras import requires
from .model import Dense, Model
from .network import BinaryNetwork
from .nn import EPS, BinaryLinear, Block

with requires("train"):
    import torch

__all__ = ["FoldError", "fold", "fold_block"]

#: Dot products evaluated at once; bounds the memory of wide layers.
_ROWS = 1024


class FoldError(ValueError):
    """A network that has no exact integer form; the message names layer and channel."""


def fold(
    network: BinaryNetwork,
    name: str,
    *,
    labels: Sequence[str] = (),
    provenance: dict[str, Any] | None = None,
) -> Model:
    """Return the :class:`Model` that yields ``network``'s eval-mode bits and scores exactly.

    Hidden layers are called dense1, dense2, … and the last one scores. ``network`` is left as it
    is. Raises :class:`FoldError` for values that are not finite and for activations that are no
    threshold.
    """
    layers, batchnorm = [], {}
    constants = sorted({block.norm.eps for block in network.hidden}) or [EPS]
    if len(constants) > 1:
        raise FoldError(
            f"the BatchNorm layers use several eps ({constants}), but a model keeps one"
        )
    for index, block in enumerate(network.hidden, 1):
        layer = f"dense{index}"
        weights = _bits(block.product, layer)
        thresholds, inverted = fold_block(block, layer)
        layers.append(Dense(layer, weights, thresholds, inverted))
        batchnorm[layer] = _rows(block)
    layers.append(Dense("scores", _bits(network.head, "scores")))
    return Model(
        name=name,
        input=network.input,
        layers=tuple(layers),
        labels=tuple(labels),
        provenance=provenance or {},
        batchnorm=batchnorm,
        batchnorm_eps=constants[0],
    )


def fold_block(block: Block, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds (out,) int32 and inverted (out,) bool of ``block``'s channels.

    With p of n inputs agreeing, the eval-mode activation is +1 just where ``(p >= threshold) ^
    inverted``. A channel that never flips has the threshold 0 or n + 1. Raises :class:`FoldError`
    that calls the layer ``name``.
    """
    unusable = np.flatnonzero(~np.isfinite(_rows(block)).all(0) | (_rows(block)[3] < 0))
    if unusable.size:
        raise FoldError(
            f"{name}, channel {unusable[0]}: its BatchNorm has a value that is not finite or a "
            f"negative variance, so the network cannot run; train it again with a lower rate"
        )
    bits = _activations(block)
    n = len(bits) - 1
    flips = np.count_nonzero(bits[1:] != bits[:-1], axis=0)
    if flips.max() > 1:
        channel = int(np.argmax(flips > 1))
        raise FoldError(
            f"{name}, channel {channel}: its activation flips {flips[channel]} times as the dot "
            f"product rises from -{n} to {n}, so no threshold yields it; use an activation that is "
            f"monotone, such as BatchNorm and sign"
        )
    ones = np.count_nonzero(bits, axis=0)
    inverted = bits[0] & ~bits[-1]
    # Rising, the last `ones` of the n + 1 counts give 1. Falling, the first do: p >= ones, inverted.
    thresholds = np.where(inverted, ones, n + 1 - ones)
    return thresholds.astype(np.int32), inverted


@torch.no_grad()
def _activations(block: Block) -> np.ndarray:
    """Return the eval-mode bits (n + 1, out) bool at the dot products -n, -n + 2, … n."""
    n, out = block.product.in_features, block.product.out_features
    # The same module, dtype, memory layout and rank as in the network's forward pass: the same
    # kernel.
    products = torch.arange(-n, n + 1, 2, dtype=torch.float32)
    training = block.training
    block.eval()
    try:
        parts = [
            (block.activate(part[:, None].repeat(1, out)) > 0).numpy()
            for part in products.split(_ROWS)
        ]
    finally:
        block.train(training)
    return np.concatenate(parts)


def _bits(product: BinaryLinear, name: str) -> np.ndarray:
    latent = product.weight.detach().numpy()
    unusable = np.flatnonzero(~np.isfinite(latent).all(1))
    if unusable.size:
        raise FoldError(
            f"{name}, channel {unusable[0]}: a weight is not finite and has no sign; "
            f"train the network again with a lower rate"
        )
    return (latent >= 0).astype(np.uint8)


def _rows(block: Block) -> np.ndarray:
    norm = block.norm
    rows = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return np.stack([row.detach().numpy() for row in rows if row is not None])
