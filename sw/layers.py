"""The layers of a folded network: binary weights and integer thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .checks import ModelError, assign, frozen, integers, require_text, same_array, type_of

__all__ = ["Conv", "Dense", "Layer"]

MAX_DIMENSION = 1 << 20
_MAX_THRESHOLD = (1 << 31) - 1


class _Layer:
    """What dense and convolutional layers share."""

    op: ClassVar[str]

    name: str
    weights: np.ndarray
    thresholds: np.ndarray | None
    inverted: np.ndarray | None

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weights.shape[0]

    @property
    def fan_in(self) -> int:
        """Inputs of each channel: n in s = 2p - n."""
        return self.weights[0].size

    @property
    def counts_halves(self) -> bool:
        """Whether thresholds are compared with 2p: a zero agrees by half."""
        return False

    def threshold_limit(self, amplitude: int) -> int:
        """Largest threshold, which no input reaches, for inputs of ``amplitude``."""
        return (1 + self.counts_halves) * self.fan_in * amplitude + 1

    def output_shape(
        self, shape: tuple[int, ...], giver: str = "what is before it"
    ) -> tuple[int, ...]:
        """Return the shape of the results for an input of ``shape``.

        Raises :class:`ModelError`, which calls what has that shape ``giver``, if it does not fit.
        """
        raise NotImplementedError

    def positions(self, shape: tuple[int, ...]) -> int:
        """Positions whose sums are computed for an input of ``shape``, before pooling."""
        return 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        arrays = {"weights", "thresholds", "inverted"}
        mine, others = vars(self), vars(other)
        return all(mine[name] == others[name] for name in mine.keys() - arrays) and all(
            same_array(mine[name], others[name]) for name in arrays
        )

    # Equal by content, which is too long to hash; None is Python's own way to say so.
    __hash__ = None  # type: ignore[assignment]

    def _check_weights(self, axes: str) -> None:
        """Check name and weights and freeze these; ``axes`` names theirs."""
        require_text("layer: name", self.name)
        where = f"layer {self.name!r}"
        weights, count = self.weights, axes.count(",") + 1
        if (
            not isinstance(weights, np.ndarray)
            or weights.dtype != np.uint8
            or weights.ndim != count
        ):
            raise ModelError(f"{where}: weights must be uint8 ({axes}), not {type_of(weights)}")
        if not weights.size or max(len(weights), weights[0].size) > MAX_DIMENSION:
            raise ModelError(
                f"{where}: weights need 1 … {MAX_DIMENSION} channels and inputs, "
                f"not shape {weights.shape}"
            )
        if weights.max() > 1:
            raise ModelError(f"{where}: weights must be 0 or 1, but one is {weights.max()}")
        assign(self, weights=frozen(weights, np.uint8))

    def _check_comparison(self) -> None:
        """Check and freeze thresholds and inverted channels; the model knows the thresholds' exact limit."""
        where = f"layer {self.name!r}"
        if self.thresholds is None:
            if self.inverted is not None:
                raise ModelError(f"{where}: a score layer (no thresholds) has no inverted channels")
            return
        out, thresholds = self.channels, self.thresholds
        if (
            not isinstance(thresholds, np.ndarray)
            or thresholds.dtype.kind not in "iu"
            or thresholds.shape != (out,)
        ):
            raise ModelError(
                f"{where}: thresholds must be int32 ({out},), one a channel, not {type_of(thresholds)}"
            )
        inverted = np.zeros(out, np.bool_) if self.inverted is None else self.inverted
        if (
            not isinstance(inverted, np.ndarray)
            or inverted.dtype != np.bool_
            or inverted.shape != (out,)
        ):
            raise ModelError(
                f"{where}: inverted must be bool ({out},), one a channel, not {type_of(inverted)}"
            )
        self._require_range(thresholds, _MAX_THRESHOLD, "what int32 holds")
        assign(self, thresholds=frozen(thresholds, np.int32), inverted=frozen(inverted, np.bool_))

    def check_thresholds(self, amplitude: int) -> None:
        """Raise :class:`ModelError` for thresholds out of range for inputs of ``amplitude``."""
        if self.thresholds is not None:
            limit = self.threshold_limit(amplitude)
            self._require_range(self.thresholds, limit, "one more than the largest count")

    def _require_range(self, thresholds: np.ndarray, limit: int, reason: str) -> None:
        outside = np.flatnonzero((thresholds < 0) | (thresholds > limit))
        if outside.size:
            raise ModelError(
                f"layer {self.name!r}: thresholds must be in 0 … {limit} ({reason}), "
                f"but channel {outside[0]} has {thresholds[outside[0]]}"
            )


@dataclass(frozen=True, eq=False)
class Dense(_Layer):
    """Fully connected binary layer.

    ``weights`` (out, in) uint8, 1 is +1 and 0 is -1. With p the number of agreeing lanes, a threshold
    layer's bit is ``(p >= thresholds[c]) ^ inverted[c]``, ``thresholds`` (out,) int32 in 0 … in+1 and
    ``inverted`` (out,) bool (default: none). A score layer (``thresholds is None``) yields s = 2p - in
    as int32. As the first layer on pixels of ``maximum``, an input u counts u where its weight is +1 and
    maximum - u where it is -1; p, in and thresholds then reach ``maximum`` times as far. A feature map
    is flattened row, column, channel. The arrays are copied and made read-only. Raises
    :class:`ModelError` for others.
    """

    op = "dense"

    name: str
    weights: np.ndarray
    thresholds: np.ndarray | None = None
    inverted: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._check_weights("out, in")
        self._check_comparison()

    def output_shape(
        self, shape: tuple[int, ...], giver: str = "what is before it"
    ) -> tuple[int, ...]:
        if math.prod(shape) != self.fan_in:
            raise ModelError(
                f"layer {self.name!r}: takes {self.fan_in} values, "
                f"but {giver} gives {math.prod(shape)}"
            )
        return (self.channels,)


@dataclass(frozen=True, eq=False)
class Conv(_Layer):
    """Two-dimensional binary convolution with thresholds and max-pooling.

    ``weights`` (out, height, width, in) uint8; n = height * width * in inputs agree or not. The kernel moves
    by ``stride`` over the feature map (height, width, in) with ``padding`` = (rows above and below, columns
    left and right). The padding's values are ``fill``: -1, +1 or 0, on pixels times their maximum; a 0
    agrees by half with any weight. At each position the comparison is that of :class:`Dense`, except that
    with fill 0 it is with 2p, and ``thresholds`` lie in 0 … 2n+1. Of ``pool`` x ``pool`` positions one bit
    is made by OR, *before* the inversion; rows and columns that fill no window are left out. Raises
    :class:`ModelError` for other values, among them padding as large as the kernel, and a fill other than
    -1 where there is no padding: equal convolutions have equal fields.
    """

    op = "conv"

    name: str
    weights: np.ndarray
    thresholds: np.ndarray | None
    inverted: np.ndarray | None = None
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    fill: int = -1
    pool: int = 1

    def __post_init__(self) -> None:
        self._check_weights("out, height, width, in")
        where = f"layer {self.name!r}"
        if self.thresholds is None:
            raise ModelError(
                f"{where}: a convolution needs thresholds; only a dense layer gives scores"
            )
        stride, fill, pool = integers(
            f"{where}: stride, fill and pool", (self.stride, self.fill, self.pool)
        )
        padding = integers(f"{where}: padding", self.padding)
        if not 1 <= stride <= MAX_DIMENSION or not 1 <= pool <= MAX_DIMENSION:
            raise ModelError(
                f"{where}: stride and pool must be in 1 … {MAX_DIMENSION}, not {stride} and {pool}"
            )
        if len(padding) != 2 or not all(
            0 <= pad < size for pad, size in zip(padding, self.kernel, strict=True)
        ):
            raise ModelError(
                f"{where}: padding must be (rows, columns), each from 0 to less than the kernel's "
                f"{self.kernel}, not {padding}"
            )
        if fill not in (-1, 0, 1) or (fill != -1 and not any(padding)):
            raise ModelError(
                f"{where}: fill must be -1, 0 or +1, and -1 without padding, not {fill}"
            )
        assign(self, stride=stride, padding=padding, fill=fill, pool=pool)
        self._check_comparison()

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width."""
        return self.weights.shape[1], self.weights.shape[2]

    @property
    def counts_halves(self) -> bool:
        return self.fill == 0

    def output_shape(
        self, shape: tuple[int, ...], giver: str = "what is before it"
    ) -> tuple[int, ...]:
        if len(shape) != 3 or shape[2] != self.weights.shape[3]:
            raise ModelError(
                f"layer {self.name!r}: takes a feature map (height, width, {self.weights.shape[3]}), "
                f"but {giver} gives {shape}"
            )
        height, width = (
            ((size + 2 * pad - kernel) // self.stride + 1) // self.pool
            for size, pad, kernel in zip(shape[:2], self.padding, self.kernel, strict=True)
        )
        if height < 1 or width < 1:
            raise ModelError(
                f"layer {self.name!r}: the feature map {shape} that {giver} gives is too small for kernel "
                f"{self.kernel}, padding {self.padding}, stride {self.stride} and pool {self.pool}"
            )
        return height, width, self.channels

    def positions(self, shape: tuple[int, ...]) -> int:
        height, width, _ = self.output_shape(shape)
        return height * width * self.pool**2


Layer = Dense | Conv
