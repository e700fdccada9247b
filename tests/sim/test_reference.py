"""The reference against loops over positions and windows in ±1 integers, on random networks."""

import itertools

import numpy as np
import pytest
from encodings_by_definition import inputs
from networks import met_thresholds, random_images, random_network

from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim import reference


def sign_network(model, images):
    """Yield (2p, output) of every layer, by loops over positions and windows, from the definitions."""
    source = model.input
    x = inputs(source, images).reshape(len(images), *model.input_shape(0))
    amplitude = source.amplitude
    for layer in model.layers:
        signs = 2 * layer.weights.astype(int) - 1
        if layer.op == "dense":
            s = x.reshape(len(x), signs.shape[1]) @ signs.T
        else:
            s = convolution(x, signs, layer.stride, layer.padding, layer.fill * amplitude)
        twice = s + signs[0].size * amplitude
        if layer.thresholds is None:
            yield twice, s
            return
        output = twice >= layer.thresholds * (2 - layer.counts_halves)
        if layer.op == "conv":
            output = pooled(output, layer.pool)
        output = output != layer.inverted
        yield twice, output.astype(int)
        x, amplitude = np.where(output, 1, -1), 1


def convolution(x, signs, stride, padding, outside):
    """Sums at every position of a kernel ``signs`` (out, height, width, in), one by one."""
    (count, height, width, _), (out, rows, columns, _) = x.shape, signs.shape
    ys = range(-padding[0], height + padding[0] - rows + 1, stride)
    xs = range(-padding[1], width + padding[1] - columns + 1, stride)
    s = np.zeros((count, len(ys), len(xs), out), int)
    for i, j, row, column in itertools.product(*map(range, (len(ys), len(xs), rows, columns))):
        y, z = ys[i] + row, xs[j] + column
        inside = 0 <= y < height and 0 <= z < width
        values = x[:, y, z] if inside else np.full((count, x.shape[3]), outside)
        s[:, i, j] += values @ signs[:, row, column].T
    return s


def pooled(bits, size):
    count, height, width, out = bits.shape
    result = np.zeros((count, height // size, width // size, out), bool)
    for y, x in itertools.product(range(height // size), range(width // size)):
        window = bits[:, y * size : y * size + size, x * size : x * size + size]
        result[:, y, x] = window.any(axis=(1, 2))
    return result


@pytest.mark.parametrize("seed", range(100))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    model = random_network(rng)
    images = random_images(rng, model, 5)
    model = met_thresholds(rng, model, images)
    images = images[: rng.integers(0, 6)]
    results = reference.layers(model, images)
    expected = list(sign_network(model, images))
    assert [result.name for result in results] == [layer.name for layer in model.layers]
    for index, (result, layer) in enumerate(zip(results, model.layers, strict=True)):
        twice, output = expected[index]
        assert np.array_equal(result.agreeing * (2 - layer.counts_halves), twice)
        last = layer.thresholds is None
        assert (result.bits is None) == last and (result.scores is None) != last
        assert result.values.shape == (len(images), *model.shapes[index])
        assert np.array_equal(result.values, output)
    scores = reference.scores(model, images)
    assert scores.dtype == np.int32
    assert np.array_equal(scores, expected[-1][1])
    assert np.array_equal(reference.outputs(model, images), model.outputs(scores))
    assert reference.operations(model, 3) == 3 * sum(
        model.operations(index) for index in range(len(model.layers))
    )


def test_zero_padding_agrees_by_half():
    """One weight of +1 on the map [[1]], seen through a 2 x 1 kernel whose other half is padding."""
    layer = Conv(
        "conv", np.ones((5, 2, 1, 1), np.uint8), np.arange(5, dtype=np.int32), None, 1, (1, 0), 0
    )
    model = Model("net", Input((1, 1)), (layer, Dense("out", np.ones((2, 10), np.uint8))))
    lit, dark = (reference.layers(model, [[[pixel]]])[0] for pixel in (1, 0))
    assert lit.agreeing.tolist() == [[[[3] * 5], [[3] * 5]]]
    assert lit.bits.tolist() == [[[[1, 1, 1, 1, 0]], [[1, 1, 1, 1, 0]]]]
    assert dark.agreeing.tolist() == [[[[1] * 5], [[1] * 5]]]


def test_sums_beyond_single_precision_are_exact():
    """3 * 65535 * 2**11 needs 29 bits; float32 holds 24."""
    fan_in = 3 << 11
    weights = np.ones((2, fan_in), np.uint8)
    weights[1, 0] = 0
    model = Model("wide", Input((fan_in,), "pixels", 65535), (Dense("out", weights),))
    images = np.full((1, fan_in), 65535, np.uint16)
    full = fan_in * 65535
    assert reference.scores(model, images).tolist() == [[full, full - 2 * 65535]]


def test_an_affine_is_rounded_once():
    """3 * 0.1f - 0.3f is 0.1f's and 0.3f's error, which a product in single precision loses."""
    affine = np.array([[0.1, 0.1], [-0.3, 1e9]], np.float32)
    model = Model("net", Input((3,)), (Dense("out", np.ones((2, 3), np.uint8)),), affine=affine)
    exact = 3 * float(np.float32(0.1)) - float(np.float32(0.3))
    assert exact != 0
    assert reference.outputs(model, np.ones((1, 3), int)).tolist() == [
        [exact, 3 * float(np.float32(0.1)) + 1e9]
    ]


def test_blocks_join_without_a_seam(monkeypatch):
    """More images than are run at once, and more positions than are multiplied at once."""
    monkeypatch.setattr(reference, "_HELD", 1000)
    monkeypatch.setattr(reference, "_BLOCK", 500)
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 2, (15, 70), dtype=np.uint8)
    model = Model("wide", Input((70,)), (Dense("out", weights),))
    images = rng.integers(0, 2, (300, 70))
    assert np.array_equal(
        reference.scores(model, images), (2 * images - 1) @ (2 * weights.astype(int) - 1).T
    )


def test_operations_count_real_weights_only():
    """Of 5 x 4 positions pooling takes 4 x 4; each of 5 channels has 6 weights and 3 bits an input."""
    layers = (
        Conv("a", np.ones((5, 3, 2, 1), np.uint8), np.zeros(5, np.int32), None, 2, (1, 1), 1, 2),
        Dense("b", np.ones((2, 20), np.uint8)),
    )
    model = Model("net", Input((10, 6), "pixels", 7), layers)
    assert reference.layers(model, np.zeros((1, 10, 6), int))[0].agreeing.shape == (1, 5, 4, 5)
    assert reference.operations(model, 7) == 7 * (16 * 5 * 6 * 3 + 40)


@pytest.mark.parametrize(
    ("source", "images", "message"),
    [
        (Input((4,)), [[0, 1, 1]], r"each image must have 4 values, not \(3,\)"),
        (Input((3,)), [[0, 1, -1]], r"all 0/1 or all -1/\+1"),
        (Input((3,), "threshold", 9, 4), [[0, 1, 10]], r"integers in 0 … 9"),
        (Input((3,), "threshold", 9, 4), [[0, 1, 0.5]], r"integers in 0 … 9"),
        (Input((3,), "pixels", 7), [[0, 1, 8]], r"integers in 0 … 7"),
    ],
)
def test_malformed(source, images, message):
    model = Model("net", source, (Dense("out", np.ones((2, source.size), np.uint8)),))
    with pytest.raises(ValueError, match=message):
        reference.scores(model, images)
