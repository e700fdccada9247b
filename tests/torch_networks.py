"""Random PyTorch networks, and what they and their models are in integers, with plain numpy."""

import numpy as np
import torch
from encodings_by_definition import inputs
from numpy.lib.stride_tricks import sliding_window_view

from xnorgrid.encoding import ENCODINGS, Hadamard, Thermometer, WeightPlanes
from xnorgrid.model import Conv, Input
from xnorgrid.network import BinaryNetwork
from xnorgrid.nn import BinaryConv2d, BinaryLinear, Block, ClassNorm


def convolve(x, weights, stride=1, padding=(0, 0), value=0):
    """Sums (N, height, width, out) int64 of a map (N, height, width, in) and ``weights`` (out, h, w, in)."""
    rows, columns = padding
    border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    padded = np.pad(x.astype(np.int64), border, constant_values=value)
    windows = sliding_window_view(padded, weights.shape[1:3], (1, 2))[:, ::stride, ::stride]
    return np.tensordot(windows, weights.astype(np.int64), ((4, 5, 3), (1, 2, 3)))


def pool(x, size, join):
    """``join`` (such as np.max) of size x size positions of a map (N, height, width, channels)."""
    n, height, width, channels = x.shape
    cut = x[:, : height // size * size, : width // size * size]
    return join(cut.reshape(n, height // size, size, width // size, size, channels), (2, 4))


def evaluate(model, images):
    """What ``model``'s layers yield for ``images``: by the words of the layers' contracts, no faster."""
    x, results = inputs(model.input, images).reshape(-1, *model.input_shape(0)), []
    for index, layer in enumerate(model.layers):
        amplitude, weights = model.amplitude(index), layer.weights.astype(np.int64) * 2 - 1
        if isinstance(layer, Conv):
            value = layer.fill * amplitude
            sums = convolve(x, weights, layer.stride, layer.padding, value)
        else:
            sums = x.reshape(len(x), -1) @ weights.T
        if layer.thresholds is None:
            return [*results, sums]
        halves = sums + layer.fan_in * amplitude
        if not layer.counts_halves:
            assert not (halves % 2).any()
        agreeing = halves if layer.counts_halves else halves // 2
        above = agreeing >= layer.thresholds
        if isinstance(layer, Conv):
            above = pool(above, layer.pool, np.any)
        bits = above ^ layer.inverted
        x = np.where(bits, 1, -1)
        results.append(bits)
    raise AssertionError


def randomise(norm, largest, rng):
    """Set BatchNorm for sums up to ``largest``: ties, zero gammas, both signs, channels that never flip."""
    count = norm.num_features
    gamma = rng.normal(size=count)
    gamma[rng.random(count) < 0.1] = 0
    beta = rng.normal(size=count) * rng.choice([0, 1e-3, 1, 100], count)
    mean = rng.normal(size=count) * largest**0.5
    # A whole mean and beta = 0 make the output exactly 0 at one sum, if the sum can be that.
    tie = rng.random(count) < 0.5
    mean[tie], beta[tie] = np.round(mean[tie]), 0
    out_of_reach = rng.random(count) < 0.1
    mean[out_of_reach] = rng.choice([-3, 3], out_of_reach.sum()) * largest
    variance = rng.choice([0, 1e-30, 1e-4, 1, largest, 1e30], count) * rng.random(count)
    with torch.no_grad():
        for target, row in (
            (norm.weight, gamma), (norm.bias, beta),
            (norm.running_mean, mean), (norm.running_var, variance),
        ):  # fmt: skip
            target.copy_(torch.as_tensor(row))


def random_source(rng, *, weight_planes=False):
    kinds = ["bits", "threshold", "pixels", *ENCODINGS]
    if not weight_planes:
        kinds.remove("weight-planes")
    kind = str(rng.choice(kinds))
    height, width, channels = (int(size) for size in rng.integers((7, 7, 1), (13, 13, 5)))
    shape = (height, width, channels) if channels > 1 else (height, width)
    if kind == "bits":
        return Input(shape)
    if kind == "thermometer":
        return Input(shape, kind, 100, encoding=Thermometer(int(rng.integers(1, 9))))
    if kind == "hadamard":
        patch = tuple(int(size) for size in rng.integers(1, 4, 2))
        rotation = Hadamard(
            int(rng.integers(1, 3)), int(rng.integers(1000)), patch, (patch[0] - 1, 0)
        )
        return Input(shape, kind, 255, encoding=rotation)
    if kind == "weight-planes":
        return Input(shape, kind, 255, encoding=WeightPlanes(int(rng.integers(2, 5))))
    maximum = 255 if kind == "threshold" else 2 ** int(rng.integers(1, 9)) - 1
    return Input(shape, kind, maximum, 100 if kind == "threshold" else 1)


def random_images(source, count, rng):
    return rng.integers(0, source.maximum + 1, (count, *source.shape))


def random_network(rng, *, weight_planes=False):
    """A network of up to three convolutions and up to two hidden dense layers, in eval mode.

    With ``weight_planes`` the first layer's weights may have several bits.
    """
    torch.manual_seed(int(rng.integers(1 << 31)))
    source = random_source(rng, weight_planes=weight_planes)
    planes = source.kind == "weight-planes"
    *size, channels = source.map_shape if planes else source.encoded.map_shape
    blocks, amplitude = [], source.amplitude
    for _ in range(rng.integers(int(planes), 4)):
        kernel = [int(k) for k in rng.integers(1, np.minimum(size, 5) + 1)]
        padding = [int(rng.integers(0, k)) for k in kernel]
        stride = int(rng.integers(1, 3))
        # Planes of weights are exact with the darkest pixel alone.
        fill = -1 if planes and not blocks else int(rng.integers(-1, 2))
        rest = [
            (s + 2 * p - k) // stride + 1 for s, p, k in zip(size, padding, kernel, strict=True)
        ]
        pooled = [None, "products", "activations"][rng.integers(0, 3 if min(rest) > 1 else 1)]
        size = [s // 2 if pooled else s for s in rest]
        out = int(rng.integers(1, 20))
        product = BinaryConv2d(
            channels, out, tuple(kernel), stride=stride, padding=tuple(padding), fill=fill
        )
        blocks.append(Block(product, pool=pooled))
        randomise(blocks[-1].norm, product.fan_in * amplitude, rng)
        channels, amplitude = out, 1
    width = size[0] * size[1] * channels
    for out in rng.integers(1, 20, rng.integers(0, 3)):
        blocks.append(Block(BinaryLinear(width, int(out))))
        randomise(blocks[-1].norm, width * amplitude, rng)
        width, amplitude = int(out), 1
    classes = int(rng.integers(2, 8))
    network = BinaryNetwork(
        source, blocks, BinaryLinear(width, classes), class_norm=bool(rng.integers(0, 2))
    )
    if rng.integers(0, 2) and isinstance(network.norm, ClassNorm):
        randomise(network.norm, width, rng)
        network.norm.running_var.clamp_(1e-3, 1e3)
    return network.eval()
