"""An array whose weight memory is so small that models of a few layers run in segments."""

import numpy as np

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.model import Conv, Dense, Input, Model

CONFIG = ArrayConfig(
    rows=3, cols=2, lanes=5, weight_depth=60, activation_depth=160, preset_depth=32, program_depth=12,
    accumulator_bits=8, link="fifo",
)  # fmt: skip
#: Sizes of dense models by the number of segments that they take.
SIZES = {
    3: (25, 15, 21, 9, 4),
    4: (25, 15, 21, 18, 4),
    5: (25, 15, 21, 21, 10),
    6: (25, 15, 21, 21, 15, 4),
}


def random_model(rng, segments):
    """Draw a model of so many segments: dense layers, or for 2 convolutions with many instructions."""
    if segments == 2:
        layers = [
            _hidden(rng, Conv, f"conv{k}", (2, 3, 3, 2), padding=(1, 1), fill=0) for k in range(2)
        ]
        last, source = (3, 32), Input((4, 4, 2))
    else:
        sizes = SIZES[segments]
        pairs = list(zip(sizes[1:], sizes[:-1], strict=True))
        layers = [_hidden(rng, Dense, f"dense{k}", shape) for k, shape in enumerate(pairs[:-1])]
        last, source = pairs[-1], Input((sizes[0],))
    scores = Dense("scores", rng.integers(0, 2, last, np.uint8))
    affine = rng.normal(0, 1, (2, len(scores.weights))).astype(np.float32)
    return Model("streamed", source, (*layers, scores), affine=affine)


def _hidden(rng, kind, name, shape, **fields):
    """Thresholds around the middle, so that neither bit is rare."""
    weights = rng.integers(0, 2, shape, np.uint8)
    full = weights[0].size * (2 if fields.get("fill") == 0 else 1)
    thresholds = rng.integers(full // 3, full - full // 3 + 1, len(weights)).astype(np.int32)
    return kind(name, weights, thresholds, rng.integers(0, 2, len(weights)).astype(bool), **fields)


def random_images(rng, model, count):
    return rng.integers(0, 2, (count, *model.input.shape), np.uint8)
