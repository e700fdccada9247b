"""Binary networks for PyTorch: blocks from an input to integer scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .encoding import Hadamard, Thermometer, WeightPlanes
from .extras import requires
from .model import Input
from .nn import EPS, BinaryConv2d, BinaryLinear, Block, ClassNorm, TensorNorm, sign

with requires("train"):
    import torch
    from torch import Tensor, nn

__all__ = ["BinaryCNN", "BinaryMLP", "BinaryNetwork", "product_input"]


class BinaryNetwork(nn.Module):
    """Blocks from an input to a layer of integer scores.

    ``blocks`` yield ±1; ``head`` yields the dot products that are the scores; ``norm`` scales
    them for the loss: one gain for all classes, which never changes their order, or with
    ``class_norm`` one for each. If ``input`` is encoded as planes of weights, the first product's weights
    have so many bits, and it takes the pixels themselves. ``input_dropout`` is the fraction of inputs zeroed
    in training. Other modules than :class:`Block` run here, but :func:`xnorgrid.fold.fold` refuses them.
    """

    def __init__(
        self,
        input: Input,
        blocks: Sequence[Block],
        head: BinaryLinear,
        *,
        input_dropout: float = 0.0,
        class_norm: bool = False,
    ) -> None:
        super().__init__()
        self.input = input
        self.input_dropout = nn.Dropout(input_dropout)
        self.blocks = nn.ModuleList(blocks)
        self.head = head
        self.norm = ClassNorm(head.channels) if class_norm else TensorNorm()
        taken = product_input(input)
        self._first.amplitude = taken.amplitude
        if isinstance(input.encoding, WeightPlanes):
            self._first.weight_bits = input.encoding.bits
        # A dense layer may take images of any number of axes.
        self._map = taken.map_shape if isinstance(self._first, BinaryConv2d) else None

    @property
    def hidden(self) -> list[Block]:
        """The hidden layers, first to last."""
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def _first(self) -> BinaryLinear | BinaryConv2d:
        return next((block.product for block in self.hidden), self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Return the loss's view (N, classes) of the scores for inputs ``x``, as of :meth:`encode`."""
        x = self.shaped(self.input_dropout(x))
        for block in self.blocks:
            x = block(x)
        return self.norm(self.head(x).float())

    @torch.no_grad()
    def clip(self) -> None:
        """Clip latent weights to [-1, +1], keep the loss's gain positive; call after each step."""
        for module in self.modules():
            if isinstance(module, (BinaryLinear, BinaryConv2d)):
                module.weight.clamp_(-1, 1)
        if isinstance(self.norm, TensorNorm):
            self.norm.gain.clamp_(min=1e-4)

    def encode(self, images: np.ndarray) -> Tensor:
        """Return ``images`` (N, *shape) or (N, size) as float32 (N, in), what the first layer takes.

        Values are ±1, or 2u - maximum for pixels u, encoded if the input says so. Raises
        :class:`ValueError` for a wrong shape, type or range.
        """
        return self.encode_pixels(self._pixels(images))

    def _pixels(self, images: np.ndarray) -> Tensor:
        """Return ``images`` as integer pixels (N, size), bits as 0 and 1."""
        images, source = np.asarray(images), self.input
        if images.ndim == 0 or images.shape[1:] not in (source.shape, (source.size,)):
            raise ValueError(
                f"images must have shape (N, {', '.join(map(str, source.shape))}), "
                f"not {images.shape}"
            )
        flat = images.reshape(len(images), source.size)
        if source.kind == "bits":
            if not (np.isin(images, (0, 1)).all() or np.isin(images, (-1, 1)).all()):
                raise ValueError("images must be all 0/1 or all -1/+1")
            return torch.from_numpy((flat >= 1).astype(np.uint8))
        if images.dtype.kind not in "iu":
            raise ValueError(f"images must be integers, not {images.dtype}")
        if images.size and (images.min() < 0 or images.max() > source.maximum):
            raise ValueError(
                f"images must lie in 0 … {source.maximum}, but some lie in "
                f"{images.min()} … {images.max()}"
            )
        return torch.from_numpy(flat.astype(np.int32))

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Return integer ``pixels`` (N, …) in 0 … maximum as the inputs they stand for: float32 (N, in)."""
        pixels, source = pixels.flatten(1), self.input
        encoding = source.encoding
        if isinstance(encoding, Hadamard):
            maps = pixels.view(-1, *source.map_shape).permute(0, 3, 1, 2)
            return self._rotated_signs(encoding, maps.float().mul_(2).sub_(source.maximum))
        if isinstance(encoding, Thermometer):
            thresholds = torch.from_numpy(encoding.thresholds(source.maximum))
            bits = pixels[..., None] >= thresholds.to(pixels.device, pixels.dtype)
            return bits.flatten(1).float().mul_(2).sub_(1)
        if source.kind in ("bits", "threshold"):
            return (pixels >= source.threshold).float().mul_(2).sub_(1)
        return pixels.float().mul_(2).sub_(source.maximum)

    def _rotated_signs(self, encoding: Hadamard, maps: Tensor) -> Tensor:
        """Signs of the rotated patches of ``maps`` (N, channels, height, width): (N, bits).

        The transform is a matrix here, the same sums as the host's additions and exact like them.
        """
        shape = self.input.shape
        flips, size = encoding.flips(shape), encoding.size(shape)
        index = np.arange(size)
        hadamard = 1 - 2 * (np.bitwise_count(index[:, None] & index) & 1).astype(np.int32)
        # Torch's patches are channel, row, column.
        taken = (*encoding.patch, maps.shape[1])
        order = np.arange(int(np.prod(taken))).reshape(taken).transpose(2, 0, 1).ravel()
        rotation = (hadamard * flips[:, None]).reshape(-1, size)[:, order]
        patches = nn.functional.unfold(maps, encoding.patch, padding=encoding.padding)
        weights = torch.from_numpy(rotation).to(maps.device, torch.float32)
        # In bfloat16 the sums would not be exact.
        with torch.autocast(maps.device.type, enabled=False):
            return sign(patches.transpose(1, 2) @ weights.T).flatten(1)

    @torch.no_grad()
    def trace(self, images: np.ndarray, *, batch: int = 256) -> list[np.ndarray]:
        """Return what every layer yields in eval mode for ``images`` (N, *shape).

        Hidden layers give uint8 bits, 1 for +1: (N, out), convolutions (N, height, width, out). The last
        gives (N, classes) int32 scores. Weights and statistics stay as they are, and so does the mode.
        """
        return self._in_eval_mode(self._trace, images, batch)

    def scores(self, images: np.ndarray, *, batch: int = 256) -> np.ndarray:
        """Return the integer scores (N, classes) int32 in eval mode for ``images`` (N, *shape)."""
        return self._in_eval_mode(lambda x: self._trace(x)[-1:], images, batch)[0]

    def outputs(self, images: np.ndarray, *, batch: int = 256) -> np.ndarray:
        """Return what the class is chosen by in eval mode: the scores, or their :class:`ClassNorm`."""
        scores = self.scores(images, batch=batch)
        if not isinstance(self.norm, ClassNorm):
            return scores
        gain, offset = self.norm.gain_and_offset().cpu().numpy().astype(np.float64)
        return scores * gain + offset

    @torch.no_grad()
    def _in_eval_mode(self, function, images: np.ndarray, batch: int) -> list[np.ndarray]:
        training, device = self.training, self.head.weight.device
        self.eval()
        try:
            x = self._pixels(images)
            # Encoded, all images at once might not fit into memory.
            parts = [
                function(self.encode_pixels(part.to(device)))
                for part in (x.split(batch) if len(x) else (x,))
            ]
        finally:
            self.train(training)
        return [np.concatenate(layer) for layer in zip(*parts, strict=True)]

    def _trace(self, x: Tensor) -> list[np.ndarray]:
        layers = []
        x = self.shaped(x)
        for block in self.blocks:
            x = block(x)
            last = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
            layers.append((last > 0).to(torch.uint8).cpu().numpy())
        return [*layers, self.head(x).to(torch.int32).cpu().numpy()]

    def shaped(self, x: Tensor) -> Tensor:
        """Return inputs (N, in) as the first layer takes them."""
        return x if self._map is None else x.view(len(x), *self._map).permute(0, 3, 1, 2)


class BinaryMLP(BinaryNetwork):
    """Dense binary network; ``sizes`` are the widths from input to classes, e.g. (784, 256, 10)."""

    def __init__(
        self,
        sizes: Sequence[int],
        input: Input,
        *,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        class_norm: bool = False,
        eps: float = EPS,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be two or more positive widths, not {tuple(sizes)}")
        size = product_input(input).size
        if size != sizes[0]:
            raise ValueError(f"the first size must be the input's {size} values, not {sizes[0]}")
        blocks, head = _dense(sizes, dropout, eps)
        super().__init__(
            input,
            blocks,
            head,
            input_dropout=input_dropout,
            class_norm=class_norm,
        )


class BinaryCNN(BinaryNetwork):
    """3x3 convolutions, then dense layers.

    ``features`` holds for each convolution its output channels and the size of its max-pooling, 1 (none)
    or 2; pooling comes before BatchNorm. ``sizes`` are the widths of the dense layers, classes last.
    ``fill`` is ``None`` for no padding, else what the padding of one pixel holds: -1, 0 or 1. Where the input
    is rotated patches the first kernel is of 1x1: it takes a patch at each position already. Raises
    :class:`ValueError` if a kernel does not fit its feature map.
    """

    def __init__(
        self,
        features: Sequence[tuple[int, int]],
        sizes: Sequence[int],
        input: Input,
        *,
        fill: int | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        class_norm: bool = False,
        eps: float = EPS,
    ) -> None:
        height, width, channels = product_input(input).map_shape
        blocks = []
        for number, (out, pool) in enumerate(features, 1):
            patches = number == 1 and isinstance(input.encoding, Hadamard)
            kernel, padding = (1, 0) if patches else (3, 0 if fill is None else 1)
            height, width = ((size + 2 * padding - kernel + 1) // pool for size in (height, width))
            if min(height, width) < 1:
                raise ValueError(
                    f"convolution {number}: its feature map is smaller than its kernel"
                )
            product = BinaryConv2d(
                channels, out, kernel, padding=padding, fill=-1 if fill is None else fill
            )
            pooled = "products" if pool == 2 else None
            blocks.append(Block(product, dropout, eps, pool=pooled))
            channels = out
        dense, head = _dense((height * width * channels, *sizes), dropout, eps)
        super().__init__(
            input,
            [*blocks, *dense],
            head,
            input_dropout=input_dropout,
            class_norm=class_norm,
        )


def product_input(input: Input) -> Input:
    """What the first product takes: with weights of several bits the pixels, which the host shifts later."""
    if isinstance(input.encoding, WeightPlanes):
        return Input(input.shape, "pixels", input.maximum)
    return input.encoded


def _dense(sizes: Sequence[int], dropout: float, eps: float) -> tuple[list[Block], BinaryLinear]:
    """Blocks of the widths ``sizes``, from the first to the last but one, and the head to the last."""
    *hidden, head = (BinaryLinear(a, b) for a, b in itertools.pairwise(sizes))
    return [Block(product, dropout, eps) for product in hidden], head
