"""from_arrays: every threshold of every comparison, against the comparison itself."""

import numpy as np
import pytest

from xnorgrid.construct import from_arrays
from xnorgrid.model import Conv, Input, ModelError
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed


@pytest.mark.parametrize("compare", ["agreeing", "sum"])
@pytest.mark.parametrize("fan_in", [1, 2, 5, 6])
def test_thresholds_compare_as_documented(compare, fan_in):
    """One channel for each threshold from far below to far above, plain and inverted."""
    limits = np.arange(-2 * fan_in - 3, 2 * fan_in + 4)
    out = len(limits)
    images = np.tril(np.ones((fan_in + 1, fan_in), int), -1)  # p = 0 … fan_in with weights +1
    p = images.sum(axis=1)[:, None]
    value = p if compare == "agreeing" else 2 * p - fan_in
    for flip in (False, True):
        model = from_arrays(
            [np.ones((out, fan_in), int), np.ones((2, out), int)],
            [limits],
            inverted=[np.full(out, flip)],
            compare=compare,
        )
        bits = reference.layers(model, images)[0].bits
        assert np.array_equal(bits, value <= limits if flip else value >= limits)


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.int64])
def test_signs_and_bits_are_the_same_network(dtype):
    signs = [np.array([[1, -1, 1], [-1, -1, 1]], dtype), np.array([[1, 1], [1, -1]], dtype)]
    bits = [matrix > 0 for matrix in signs]
    model = from_arrays(signs, [[1, 2]])
    assert model == from_arrays(bits, [np.array([1.0, 2.0])])
    assert model == from_arrays([b.astype(dtype) for b in bits], [[1, 2]], inverted=[None])
    assert model.input == Input((3,)) and [layer.name for layer in model.layers] == [
        "layer0",
        "layer1",
    ]


def test_one_threshold_for_all_and_no_hidden_layer():
    assert from_arrays([np.ones((3, 4)), np.ones((2, 3))], [0], compare="sum").layers[
        0
    ].thresholds.tolist() == [2, 2, 2]
    assert from_arrays([[[1, -1]]], []).classes == 1


@pytest.mark.parametrize("limit", [2**53 - 1, -(2**53) + 1])
def test_huge_thresholds_make_constants(limit):
    layer = from_arrays([np.ones((1, 4)), [[1]]], [[limit]], compare="sum").layers[0]
    assert layer.thresholds.tolist() == [5 if limit > 0 else 0]


def sums_by_definition(x, weights, stride, padding, border):
    """Sums (N, height, width, out) of ±1 ``weights`` times maps ``x``, padded with ``border``."""
    rows, columns = padding
    x = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), constant_values=border)
    _, height, width, _ = weights.shape
    return np.array(
        [
            [
                [
                    (x[n, i : i + height, j : j + width] * weights).sum(axis=(1, 2, 3))
                    for j in range(0, x.shape[2] - width + 1, stride)
                ]
                for i in range(0, x.shape[1] - height + 1, stride)
            ]
            for n in range(len(x))
        ]
    )


def largest_of(maps, pool):
    """Maximum over windows of ``pool`` x ``pool`` positions of ``maps`` (N, height, width, out)."""
    height, width = maps.shape[1] // pool, maps.shape[2] // pool
    windows = maps[:, : height * pool, : width * pool]
    windows = windows.reshape(len(maps), height, pool, width, pool, maps.shape[3])
    return windows.max(axis=(2, 4))


@pytest.mark.parametrize("pool_of", ["sums", "outputs"])
@pytest.mark.parametrize("compare", ["agreeing", "sum"])
@pytest.mark.parametrize("maximum", [1, 7])
@pytest.mark.parametrize(
    ("stride", "padding", "fill", "pool"),
    [
        (1, 0, -1, 1),
        (2, (1, 0), -1, 1),
        (1, 1, 1, 2),
        (1, 1, 0, 1),
        (1, (0, 2), 0, 2),
        (2, 1, 0, 2),
    ],
)
def test_convolutions_compute_as_documented(stride, padding, fill, pool, maximum, compare, pool_of):
    """Two channels, one inverted, for each of some thresholds from below all counts to above them."""
    rng = np.random.default_rng(new_seed())
    largest = 18 * maximum
    if compare == "sum":
        limits = np.unique(rng.integers(-largest // 3, largest // 3, 20))
        limits = np.concatenate([limits, [-largest - 1, -largest, largest, largest + 1]])
    else:
        limits = np.unique(rng.integers(2 * largest // 6, 8 * largest // 6, 20)) / 2
        limits = np.concatenate([limits, [-1, 0, largest, largest + 1]])
        limits = limits if fill == 0 else np.floor(limits)
    limits = np.repeat(limits, 2)
    flip = np.arange(len(limits)) % 2 == 1
    weights = rng.choice([-1, 1], (len(limits), 3, 3, 2))
    images = rng.integers(0, maximum + 1, (3, 5, 6, 2))
    rows, columns = padding if isinstance(padding, tuple) else (padding, padding)
    sums = sums_by_definition(
        2 * images - maximum, weights, stride, (rows, columns), fill * maximum
    )
    value = sums if compare == "sum" else (sums + largest) / 2
    if pool_of == "sums":
        value = largest_of(value, pool)
    expected = np.where(flip, value <= limits, value >= limits)
    if pool_of == "outputs":
        expected = largest_of(expected, pool)
    _, *result = expected.shape
    model = from_arrays(
        [weights, np.ones((2, np.prod(result)))],
        [limits],
        inverted=[flip],
        compare=compare,
        convolutions={
            0: {
                "stride": stride,
                "padding": padding,
                "fill": fill,
                "pool": pool,
                "pool_of": pool_of,
            }
        },
        input=Input((5, 6, 2), "pixels", maximum) if maximum > 1 else Input((5, 6, 2)),
    )
    assert model.shapes[0] == tuple(result)
    assert np.array_equal(reference.layers(model, images)[0].bits, expected)
    assert expected.any() and not expected.all()


@pytest.mark.parametrize("compare", ["agreeing", "sum"])
def test_a_dense_layer_of_pixels(compare):
    limits = np.arange(-12, 24)
    pixels = np.arange(16).reshape(4, 4)[:, :3] % 6 % 4
    model = from_arrays(
        [np.ones((len(limits), 3)), np.ones((1, len(limits)))],
        [limits],
        compare=compare,
        input=Input((3,), "pixels", 3),
    )
    value = pixels.sum(1) if compare == "agreeing" else (2 * pixels - 3).sum(1)
    assert np.array_equal(reference.layers(model, pixels)[0].bits, value[:, None] >= limits)


def test_transposed_as_the_docstring_says():
    """A network in PyTorch's order of axes: convolution, flatten, dense."""
    rng = np.random.default_rng(new_seed())
    kernel, dense = rng.choice([-1, 1], (5, 3, 2, 2)), rng.choice([-1, 1], (4, 5 * 3 * 2))
    images = rng.choice([-1, 1], (6, 3, 4, 3))  # (N, channels, height, width)
    model = from_arrays(
        [
            kernel.transpose(0, 2, 3, 1),
            dense.reshape(4, 5, 3, 2).transpose(0, 2, 3, 1).reshape(4, -1),
        ],
        [0],
        compare="sum",
        input=Input((4, 3, 3)),
    )
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), (2, 3))
    maps = np.where(np.einsum("nchwij,ocij->nohw", windows, kernel) >= 0, 1, -1)
    scores = reference.scores(model, images.transpose(0, 2, 3, 1))
    assert np.array_equal(scores, maps.reshape(6, -1) @ dense.T)


def test_options_by_index_and_by_name():
    arrays = [np.ones((2, 3, 3, 1)), np.ones((2, 1, 1, 2)), np.ones((1, 8))]
    zeros = {"padding": 1, "fill": 0, "pool": 2}

    def made(convolutions, source=None):
        return from_arrays(
            arrays, [0, 0], layer_names="abc", convolutions=convolutions,
            input=source or Input((4, 4)),
        )  # fmt: skip

    model = made({"a": zeros, "b": {}})
    assert model == made({0: zeros}) == made({np.int64(0): {**zeros, "padding": [1, 1]}, 1: {}})
    first, second, _ = model.layers
    assert isinstance(first, Conv) and isinstance(second, Conv)
    assert (first.stride, first.padding, first.fill, first.pool) == (1, (1, 1), 0, 2)
    assert (second.stride, second.padding, second.fill, second.pool) == (1, (0, 0), -1, 1)
    # Without padding there is nothing to fill.
    assert model == made({"a": zeros, "b": {"fill": 0}}) == made({"a": zeros, "b": {"fill": 1}})


def test_an_affine():
    model = from_arrays([np.ones((2, 3))], [], affine=[[1, -0.1], [0, 3]])
    assert model.affine.dtype == np.float32
    assert np.array_equal(model.affine, np.array([[1, -0.1], [0, 3]], np.float32))


W = [np.ones((2, 3)), np.ones((2, 2))]
C = [np.ones((2, 3, 3, 1)), np.ones((1, 8))]


def conv(convolutions=None, thresholds=0, source=None):
    return from_arrays(
        C, [thresholds], convolutions=convolutions, input=source or Input((4, 4), "pixels", 255)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_arrays([], []), r"at least one array"),
        (
            lambda: from_arrays(W, []),
            r"2 weight arrays need thresholds for the 1 layers .* not 0",
        ),
        (lambda: from_arrays(W, [0], compare="popcount"), r"'agreeing' or 'sum', not 'popcount'"),
        (lambda: from_arrays(W, [0], inverted=[]), r"inverted must have an entry .* not 0"),
        (lambda: from_arrays(W, [0], layer_names=["a"]), r"2 layers need as many names, not 1"),
        (
            lambda: from_arrays([W[0] / 2, W[1]], [0]),
            r"'layer0': .* all ±1 or all 0/1, but one is 0.5",
        ),
        (lambda: from_arrays([W[0] * np.nan, W[1]], [0]), r"but one is nan; binarise"),
        (lambda: from_arrays([[[1, 0, -1]], [[1]]], [0]), r"'layer0': .* hold both 0 and -1"),
        (lambda: from_arrays([[[1, 0], [1]], [[1]]], [0]), r"'layer0': weights is no array"),
        (
            lambda: from_arrays([[1, 0], [[1]]], [0]),
            r"weights must be \(out, in\), or .* not of shape \(2,\)",
        ),
        (lambda: from_arrays([[["1"]], [[1]]], [0]), r"weights must be numbers or bool, not <U1"),
        (lambda: from_arrays(W, [[1, 2, 3]]), r"'layer0': thresholds .* \(2,\), not int64 \(3,\)"),
        (lambda: from_arrays(W, [[0.5, 1]]), r"whole numbers, but one is 0.5; round up for >="),
        (lambda: from_arrays(W, [[np.inf, 1]]), r"whole numbers, but one is inf"),
        (lambda: from_arrays(W, [[np.nan, 1]]), r"whole numbers, but one is nan"),
        (lambda: from_arrays(W, [0], inverted=[[1, 0, 1]]), r"inverted must be bool \(2,\)"),
        (lambda: from_arrays(W, [0], inverted=[[-1, 1]]), r"inverted must be bool \(2,\)"),
        (
            lambda: from_arrays([W[0], W[0]], [0]),
            r"'layer1': takes 3 values, but layer 'layer0' gives 2",
        ),
        (
            lambda: from_arrays(W, [0], input=Input((4,))),
            r"takes 3 values, but the input gives 4",
        ),
        (
            lambda: from_arrays(C[:1], []),
            r"'layer0': the last layer gives the scores and must be dense, .* shape \(2, 3, 3, 1\)$",
        ),
        (
            lambda: from_arrays(C, [0]),
            r"'layer0': a convolution needs .*: pass input=Input\(\(height, width, 1\)\)$",
        ),
        (lambda: conv(source=Input((16,))), r"input: shape \(16,\) is no feature map"),
        (lambda: conv(source=Input((5, 4))), r"takes 8 values, but layer 'layer0' gives 12"),
        (lambda: from_arrays([np.ones((1, 2, 2)), [[1]]], [0]), r"not of shape \(1, 2, 2\)$"),
        (lambda: conv([{}]), r"must map a layer's index or name to its options, not \[{}\]"),
        (lambda: conv({2: {}}), r"convolutions: there is no layer 2$"),
        (lambda: conv({-1: {}}), r"convolutions: there is no layer -1$"),
        (lambda: conv({"conv1": {}}), r"convolutions: there is no layer 'conv1'$"),
        (lambda: conv({0: {}, "layer0": {}}), r"convolutions: layer 'layer0' is there twice"),
        (lambda: conv({1: {}}), r"layer 'layer1' is dense: its weights are \(out, in\), and those"),
        (lambda: conv({0: 2}), r"'layer0': the options of a convolution are a dict, not 2"),
        (
            lambda: conv({0: {"strides": 2}}),
            r"no option 'strides'; there are stride, padding, fill, pool, pool_of$",
        ),
        (
            lambda: conv({0: {"pool_of": "bits"}}),
            r"pool_of must be 'sums' or 'outputs', not 'bits'",
        ),
        (lambda: conv({0: {"padding": 1}}), r"'layer0': padding needs a fill, .*in PyTorch, 0"),
        (lambda: conv({0: {"padding": "same"}}), r"'layer0': padding must be integers, not"),
        (lambda: conv({0: {"padding": 3, "fill": 0}}), r"less than the kernel's \(3, 3\)"),
        (lambda: conv({0: {"padding": 1, "fill": 2}}), r"fill must be -1, 0 or \+1, .* not 2"),
        (lambda: conv({0: {"fill": 2}}), r"fill must be -1, 0 or \+1, .* not 2"),
        (lambda: conv({0: {"stride": 0}}), r"'layer0': stride and pool must be in 1"),
        (
            lambda: conv({0: {"stride": (1, 2)}}),
            r"'layer0': stride, fill and pool must be integers",
        ),
        (lambda: conv(thresholds=0.5), r"thresholds must be whole numbers, but one is 0.5"),
        (
            lambda: conv({0: {"padding": 1, "fill": 0}}, 0.25),
            r"thresholds must be whole numbers or halves, but one is 0.25",
        ),
        (lambda: from_arrays(W, [0], affine=np.ones((2, 3))), r"affine must be float32 \(2, 2\)"),
        (lambda: from_arrays(W, [0], affine=[["1"], ["2"]]), r"affine must be numbers, not <U1"),
        (lambda: from_arrays(W, [0], affine=[[1], [1, 2]]), r"model: affine is no array"),
    ],
)
def test_malformed(make, message):
    with pytest.raises(ModelError, match=message):
        make()
