"""Random networks, images for them, and array configurations on which they run."""

import dataclasses

import numpy as np

from xnorgrid.compile import ModelDoesNotFit, compile
from xnorgrid.encoding import ENCODINGS, Hadamard, Thermometer, WeightPlanes
from xnorgrid.hw.config import ArrayConfig, ConfigError
from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim import reference


def random_network(rng, *, operations=40_000):
    """Draw a model of up to 4 convolutions, up to 3 hidden dense layers and scores.

    Kernels, strides, padding, pooling, channels and input are whatever a model allows, as long as an image
    takes no more than ``operations`` lane-operations.
    """
    while True:
        source, convolutions = _input(rng)
        encoded = source.encoded
        layers, shape = [], encoded.map_shape if convolutions else (encoded.size,)
        for index in range(convolutions):
            layers.append(_convolution(rng, f"conv{index}", shape, source, first=not layers))
            shape = layers[-1].output_shape(shape)
        dense = int(rng.integers(0, 4))
        for index in range(dense + 1):
            weights = _bits(rng, (_channels(rng), int(np.prod(shape))))
            amplitude = 1 if layers else source.amplitude
            name = f"dense{index}" if index < dense else "scores"
            layers.append(_dense(rng, name, weights, amplitude, hidden=index < dense))
            shape = (len(weights),)
        model = Model("random", source, tuple(layers), affine=_affine(rng, shape[0]))
        if sum(model.operations(k) for k in range(len(layers))) <= operations:
            return model


def met_thresholds(rng, model, images):
    """Return ``model`` with about half of its thresholds set to counts that ``images`` meet, or one more.

    A count just at the threshold is what a comparison gets wrong first, and what random thresholds of a wide
    layer never meet.
    """
    for index, layer in enumerate(model.layers[:-1]):
        counts = reference.layers(model, images)[index].agreeing.reshape(-1, layer.channels)
        met = counts[rng.integers(0, len(counts), layer.channels), np.arange(layer.channels)]
        limit = layer.threshold_limit(model.amplitude(index))
        met = np.minimum(met + rng.integers(0, 2, layer.channels), limit)
        chosen = np.where(rng.random(layer.channels) < 0.5, met, layer.thresholds)
        changed = dataclasses.replace(layer, thresholds=chosen.astype(np.int32))
        layers = (*model.layers[:index], changed, *model.layers[index + 1 :])
        model = dataclasses.replace(model, layers=layers)
    return model


def random_images(rng, model, count):
    """Draw images (count, *shape) of the type that ``model`` takes, some of them all dark or bright."""
    source = model.input
    images = rng.integers(0, source.maximum + 1, (count, *source.shape))
    for value in (0, source.maximum):
        images[rng.random(count) < 0.1] = value
    if source.kind == "bits":
        return 2 * images - 1 if rng.random() < 0.5 else images
    return images.astype(np.uint8)


def random_config(rng, model, **fields):
    """Draw an array on which ``model`` runs with all of its layers' results kept.

    Memories and accumulator are as small as they can be, or somewhat larger. About half the time that
    means weights that are streamed, segment by segment, while the array runs.
    """
    config, streamed = random_array(rng, **fields), rng.random() < 0.5
    while not fits(model, config, streamed=streamed):
        config = random_array(rng, **fields)
    names = [
        "weight_depth",
        "activation_depth",
        "preset_depth",
        "program_depth",
        "accumulator_bits",
    ]
    for name in map(str, rng.permutation(names)):
        least = _least(model, config, name, streamed)
        slack = int(rng.choice([0, 0, 1, rng.integers(0, 50)]))
        value = min(least + slack, getattr(config, name))
        larger = dataclasses.replace(config, **{name: value})
        # Somewhat larger memories may, rarely, be divided into worse segments.
        if not fits(model, larger, streamed=streamed):
            larger = dataclasses.replace(config, **{name: least})
        config = larger
    return config


def random_array(rng, **fields):
    """Draw an array of a few elements with ample memories; ``fields`` are those of the configuration."""
    while True:
        rows, cols, lanes = (_size(rng, most) for most in (9, 4, 20))
        tile_rows, tile_cols = (_divisor(rng, size) for size in (rows, cols))
        chosen = {
            "rows": rows, "cols": cols, "lanes": lanes, "tile_rows": tile_rows, "tile_cols": tile_cols,
            "weight_depth": 1 << 14, "activation_depth": 1 << 14, "preset_depth": 1 << 12,
            "program_depth": 256, "accumulator_bits": 24,
        }  # fmt: skip
        try:
            return ArrayConfig(**{**chosen, **fields})
        except ConfigError:
            continue


def fits(model, config, *, streamed=True):
    """Whether ``model`` compiles with all results kept, and in one segment unless ``streamed``."""
    try:
        program = compile(model, config, keep_layers=True)
    except ModelDoesNotFit:
        return False
    return streamed or len(program.segments) == 1


def _least(model, config, name, streamed):
    """Smallest value of a field with which ``model`` still fits."""
    low, high = 0, getattr(config, name)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            smaller = dataclasses.replace(config, **{name: middle})
        except ConfigError:
            low = middle
            continue
        if fits(model, smaller, streamed=streamed):
            high = middle
        else:
            low = middle
    return high


def _input(rng):
    """An input and how many convolutions take it."""
    convolutions = int(rng.integers(0, 5))
    kind = str(rng.choice(["bits", "threshold", "pixels", *ENCODINGS]))
    maximum = 1 if kind == "bits" else int(rng.integers(1, 256))
    if kind in ("pixels", "weight-planes"):
        maximum = (1 << int(rng.integers(1, 9))) - 1
    threshold = int(rng.integers(0, maximum + 2)) if kind == "threshold" else 1
    if convolutions:
        shape = (*(int(size) for size in rng.integers(1, 13, 2)), _size(rng, 20))
        shape = shape[:2] if rng.random() < 0.3 else shape
    else:
        axes = int(rng.integers(2 if kind == "hadamard" else 1, 4))
        shape = tuple(int(size) for size in rng.integers(1, 9, axes))
    return Input(
        shape, kind, maximum, threshold, _encoding(rng, kind, shape, maximum)
    ), convolutions


def _encoding(rng, kind, shape, maximum):
    if kind == "thermometer":
        return Thermometer(_size(rng, (maximum + 1) // 2))
    if kind == "weight-planes":
        return WeightPlanes(int(rng.integers(2, 5)))
    if kind == "hadamard":
        patch = tuple(int(rng.integers(1, min(size, 4) + 1)) for size in shape[:2])
        padding = tuple(int(rng.integers(0, size)) for size in patch)
        return Hadamard(int(rng.integers(1, 4)), int(rng.integers(0, 1 << 63)), patch, padding)
    return None


def _convolution(rng, name, shape, source, *, first):
    while True:
        kernel = tuple(int(size) for size in rng.integers(1, 8, 2))
        if rng.random() < 0.5:
            kernel = (kernel[0],) * 2
        stride, pool = (1 + int(rng.random() < 0.3) for _ in range(2))
        padding = (0, 0)
        if rng.random() < 0.7:
            padding = tuple(int(rng.integers(0, size)) for size in kernel)
        fill = int(rng.integers(-1, 2)) if any(padding) else -1
        sizes = [
            ((size + 2 * pad - length) // stride + 1) // pool
            for size, pad, length in zip(shape, padding, kernel, strict=False)
        ]
        if min(sizes) >= 1:
            break
    weights = _bits(rng, (_channels(rng), *kernel, shape[2]))
    amplitude = source.amplitude if first else 1
    thresholds = _thresholds(rng, weights, amplitude, doubled=fill == 0)
    inverted = _inverted(rng, len(weights))
    return Conv(name, weights, thresholds, inverted, stride, padding, fill, pool)


def _dense(rng, name, weights, amplitude, *, hidden):
    if not hidden:
        return Dense(name, weights)
    thresholds = _thresholds(rng, weights, amplitude, doubled=False)
    return Dense(name, weights, thresholds, _inverted(rng, len(weights)))


def _thresholds(rng, weights, amplitude, *, doubled):
    """Thresholds around the middle, where counts of random inputs lie, and some at either end."""
    out, full = len(weights), (1 + doubled) * weights[0].size * amplitude
    spread = (1 + doubled) * amplitude * weights[0].size ** 0.5 / 2
    thresholds = np.rint(rng.normal((full + 1) / 2, spread, out))
    ends = rng.choice([0, 1, full, full + 1], out)
    thresholds = np.where(rng.random(out) < 0.15, ends, thresholds)
    return np.clip(thresholds, 0, full + 1).astype(np.int32)


def _inverted(rng, out):
    return rng.random(out) < rng.choice([0.0, 0.4, 1.0])


def _affine(rng, classes):
    if rng.random() < 0.5:
        return None
    return rng.normal(0, 1, (2, classes)).astype(np.float32)


def _bits(rng, shape):
    return rng.integers(0, 2, shape, dtype=np.uint8)


def _channels(rng):
    return _size(rng, 20)


def _size(rng, most):
    """A size from 1 to ``most``, small ones more often."""
    return int(most ** rng.random() + rng.random())


def _divisor(rng, size):
    return int(rng.choice([part for part in range(1, size + 1) if size % part == 0]))
