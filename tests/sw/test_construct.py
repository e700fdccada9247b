"""from_arrays: every threshold of every comparison, against the comparison itself."""

import numpy as np
import pytest

from xnorgrid.construct import from_arrays
from xnorgrid.model import Input, ModelError
from xnorgrid.sim import reference


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


W = [np.ones((2, 3)), np.ones((2, 2))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_arrays([], []), r"at least one matrix"),
        (
            lambda: from_arrays(W, []),
            r"2 weight matrices need thresholds for the 1 layers .* not 0",
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
        (lambda: from_arrays([[1, 0], [[1]]], [0]), r"matrix \(out, in\), not of shape \(2,\)"),
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
    ],
)
def test_malformed(make, message):
    with pytest.raises(ModelError, match=message):
        make()
