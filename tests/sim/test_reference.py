"""The reference against a ±1 integer matrix product, on random networks."""

from itertools import pairwise

import numpy as np
import pytest

from xnorgrid.model import Dense, Input, Model
from xnorgrid.sim import reference


def random_model(rng):
    """A network of odd sizes with constant channels (thresholds 0 and n + 1) and inverted ones."""
    sizes = rng.integers(1, 150, rng.integers(2, 6))
    layers = []
    for index, (fan_in, out) in enumerate(pairwise(sizes)):
        weights = rng.integers(0, 2, (out, fan_in), dtype=np.uint8)
        if index == len(sizes) - 2:
            layers.append(Dense("out", weights))
            continue
        thresholds = rng.integers(fan_in // 3, fan_in - fan_in // 3 + 1, out, dtype=np.int32)
        thresholds[rng.random(out) < 0.1] = 0
        thresholds[rng.random(out) < 0.1] = fan_in + 1
        layers.append(Dense(f"hidden{index}", weights, thresholds, rng.random(out) < 0.4))
    maximum = int(rng.integers(1, 256))
    source = Input((int(sizes[0]),), "threshold", maximum, int(rng.integers(0, maximum + 2)))
    return Model("random", source, tuple(layers))


def sign_network(model, images):
    """Yield (s, output) of every layer, in ±1 arithmetic from the definitions."""
    x = np.where(images.astype(int) >= model.input.threshold, 1, -1)
    for layer in model.layers:
        s = x @ (2 * layer.weights.astype(int) - 1).T
        if layer.thresholds is None:
            yield s, s
            return
        n = layer.weights.shape[1]
        x = np.where(s >= 2 * layer.thresholds - n, 1, -1) * np.where(layer.inverted, -1, 1)
        yield s, (x + 1) // 2


@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    images = rng.integers(0, model.input.maximum + 1, (int(rng.integers(0, 20)), model.input.size))
    results = reference.layers(model, images)
    expected = list(sign_network(model, images))
    assert [result.name for result in results] == [layer.name for layer in model.layers]
    for result, layer, (s, output) in zip(results, model.layers, expected, strict=True):
        n = layer.weights.shape[1]
        assert result.agreeing.dtype == np.int32
        assert np.array_equal(2 * result.agreeing - n, s)
        last = layer.thresholds is None
        assert (result.bits is None) == last and (result.scores is None) != last
        assert np.array_equal(result.scores if last else result.bits, output)
    scores = reference.scores(model, images)
    assert scores.dtype == np.int32
    assert np.array_equal(scores, expected[-1][1])


def test_blocks_join_without_a_seam():
    """More images than one block holds at this width."""
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 2, (1500, 70), dtype=np.uint8)
    model = Model("wide", Input((70,)), (Dense("out", weights),))
    images = rng.integers(0, 2, (300, 70))
    assert np.array_equal(
        reference.scores(model, images), (2 * images - 1) @ (2 * weights.astype(int) - 1).T
    )


def test_operations_count_real_weights_only():
    layers = (
        Dense("a", np.ones((3, 5), np.uint8), np.zeros(3, np.int32)),
        Dense("b", np.ones((2, 3), np.uint8)),
    )
    assert reference.operations(Model("net", Input((5,)), layers), 7) == 7 * (15 + 6)


@pytest.mark.parametrize(
    ("source", "images", "message"),
    [
        (Input((4,)), [[0, 1, 1]], r"each image must have 4 values, not \(3,\)"),
        (Input((3,)), [[0, 1, -1]], r"all 0/1 or all -1/\+1"),
        (Input((3,), "threshold", 9, 4), [[0, 1, 10]], r"integers in 0 … 9"),
        (Input((3,), "threshold", 9, 4), [[0, 1, 0.5]], r"integers in 0 … 9"),
    ],
)
def test_malformed(source, images, message):
    model = Model("net", source, (Dense("out", np.ones((2, source.size), np.uint8)),))
    with pytest.raises(ValueError, match=message):
        reference.scores(model, images)
