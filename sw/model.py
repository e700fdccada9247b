"""A folded binary network: bits and integer thresholds, independent of any array configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Dense", "Input", "Model", "ModelError"]


class ModelError(ValueError):
    """A model, or a model file, that is malformed; the message says what and where."""


@dataclass(frozen=True)
class Input:
    """What the network is fed.

    ``kind`` is ``"bits"`` (values 0/1, bool, or -1/+1) or ``"threshold"`` (integer pixels in
    0 … ``maximum``; the bit is ``pixel >= threshold``).
    """

    shape: tuple[int, ...]
    kind: str = "bits"
    maximum: int = 1
    threshold: int = 1


@dataclass(frozen=True)
class Dense:
    """Fully connected binary layer.

    ``weights`` (out, in) uint8, 1 is +1 and 0 is -1. With p the number of agreeing lanes, a threshold
    layer's bit is ``(p >= thresholds[c]) ^ inverted[c]``, ``thresholds`` (out,) int32 in 0 … in+1 and
    ``inverted`` (out,) bool. A score layer (``thresholds is None``) yields s = 2p - in as int32.
    """

    name: str
    weights: np.ndarray
    thresholds: np.ndarray | None = None
    inverted: np.ndarray | None = None


@dataclass(frozen=True)
class Model:
    """Layers from input to scores; the last layer, and only the last, is a score layer.

    ``provenance`` is JSON-ready: how it was trained, on what, with what accuracy. ``batchnorm`` maps a
    hidden layer's name to float32 (4, out) rows weight (gamma), bias (beta), running mean and running variance
    and, with ``batchnorm_eps``, lets the PyTorch network be rebuilt; it is empty for models made elsewhere.
    """

    name: str
    input: Input
    layers: tuple[Dense, ...]
    labels: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)
    batchnorm: dict[str, np.ndarray] = field(default_factory=dict)
    batchnorm_eps: float = 1e-4
