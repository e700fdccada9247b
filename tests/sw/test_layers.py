"""Layers: what they refuse, by message; shapes against a count of windows; equality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorgrid.layers import Conv, Dense
from xnorgrid.model import ModelError


def ones(*shape):
    return np.ones(shape, np.uint8)


def dense(**changes):
    return Dense(**({"name": "a", "weights": ones(3, 4), "thresholds": np.full(3, 2)} | changes))


def conv(shape=(3, 2, 3, 4), **changes):
    values = {"name": "c", "weights": ones(*shape), "thresholds": np.full(shape[0], 2)}
    return Conv(**(values | changes))


def test_arrays_are_copied_and_read_only():
    for make, shape in ((Dense, (3, 4)), (Conv, (3, 2, 3, 4))):
        weights, thresholds = ones(*shape), np.array([0, 2, 5], np.int64)
        layer = make("a", np.asfortranarray(weights), thresholds)
        weights[0] = 0
        thresholds[:] = 1
        assert layer.weights.all() and layer.weights.flags.c_contiguous
        assert layer.thresholds.dtype == np.int32 and layer.thresholds.tolist() == [0, 2, 5]
        assert layer.inverted.dtype == np.bool_ and layer.inverted.tolist() == [False] * 3
        for array in (layer.weights, layer.thresholds, layer.inverted):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


def test_numbers_become_plain():
    layer = conv(stride=np.int64(2), padding=[np.int8(1), 0], fill=np.int8(0), pool=np.uint8(3))
    assert (layer.stride, layer.padding, layer.fill, layer.pool) == (2, (1, 0), 0, 3)
    assert all(type(number) is int for number in (layer.stride, *layer.padding, layer.fill))


def test_sizes():
    assert (dense().channels, dense().fan_in) == (3, 4)
    assert (conv().channels, conv().fan_in, conv().kernel) == (3, 24, (2, 3))


@pytest.mark.parametrize("amplitude", [1, 255])
def test_zeros_double_the_largest_threshold(amplitude):
    assert dense().threshold_limit(amplitude) == 4 * amplitude + 1
    for fill in (-1, 1):
        layer = conv(padding=(1, 0), fill=fill)
        assert not layer.counts_halves and layer.threshold_limit(amplitude) == 24 * amplitude + 1
    layer = conv(padding=(0, 1), fill=0)
    assert layer.counts_halves and layer.threshold_limit(amplitude) == 48 * amplitude + 1


def windows(size, pad, kernel, stride, pool):
    """How many windows of positions an axis has, by trying each place for a kernel and a window."""
    places = [at for at in range(0, size + 2 * pad, stride) if at + kernel <= size + 2 * pad]
    return len([first for first in range(0, len(places), pool) if first + pool <= len(places)])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_shapes_count_the_windows(data):
    map_size = [data.draw(st.integers(1, 12)) for _ in range(2)]
    kernel = [data.draw(st.integers(1, 7)) for _ in range(2)]
    padding = tuple(data.draw(st.integers(0, size - 1)) for size in kernel)
    stride, pool = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    layer = conv((5, *kernel, 2), stride=stride, padding=padding, pool=pool)
    height, width = (
        windows(size, pad, taps, stride, pool)
        for size, pad, taps in zip(map_size, padding, kernel, strict=True)
    )
    if height and width:
        assert layer.output_shape((*map_size, 2)) == (height, width, 5)
        assert layer.positions((*map_size, 2)) == height * width * pool * pool
    else:
        with pytest.raises(ModelError, match=r"layer 'c': the feature map .* is too small"):
            layer.output_shape((*map_size, 2))


def test_a_dense_layer_takes_a_map_or_a_row():
    assert dense().output_shape((4,)) == dense().output_shape((2, 1, 2)) == (3,)
    assert dense().positions((4,)) == 1


CHANGED = [
    {"name": "other"},
    {"weights": ones(3, 2, 3, 4) * 0},
    {"thresholds": np.array([2, 2, 3])},
    {"inverted": np.array([False, True, False])},
    {"stride": 2},
    {"padding": (1, 0)},
    {"padding": (1, 0), "fill": 1},
    {"padding": (1, 0), "fill": 0},
    {"padding": (0, 1)},
    {"pool": 2},
]


@pytest.mark.parametrize("changes", CHANGED)
def test_equality_is_by_content(changes):
    assert conv() == conv(inverted=np.zeros(3, bool))
    assert conv(**changes) == conv(**changes)
    for other in (conv(), *(conv(**others) for others in CHANGED if others is not changes)):
        assert conv(**changes) != other and other != conv(**changes)


def test_layers_of_another_kind_differ():
    scores = dense(thresholds=None)
    assert scores == dense(thresholds=None)
    assert scores != dense() and dense() != scores
    assert conv((3, 1, 1, 4), name="a") != dense() != conv((3, 1, 1, 4), name="a")
    assert dense() != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(dense())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(name=""), r"^layer: name must be 1 … 200 printable characters, not ''$"),
        (lambda: dense(name="a\x1b[2J"), r"printable characters, not 'a\\x1b\[2J'"),
        (lambda: dense(weights=[[1]]), r"^layer 'a': weights must be uint8 \(out, in\), not list"),
        (lambda: dense(weights=ones(2, 3) * 1.0), r"not float64 \(2, 3\)"),
        (lambda: dense(weights=ones(3)), r"not uint8 \(3,\)"),
        (lambda: dense(weights=ones(3, 2, 3, 4)), r"\(out, in\), not uint8 \(3, 2, 3, 4\)"),
        (lambda: dense(weights=ones(0, 3)), r"1 … 1048576 channels and inputs, not shape \(0, 3\)"),
        (lambda: dense(weights=ones(3, 0)), r"channels and inputs, not shape \(3, 0\)"),
        (lambda: dense(weights=ones(1, 2**20 + 1)), r"inputs, not shape \(1, 1048577\)"),
        (lambda: dense(weights=ones(2**20 + 1, 1)), r"inputs, not shape \(1048577, 1\)"),
        (lambda: dense(weights=ones(3, 4) * 2), r"'a': weights must be 0 or 1, but one is 2"),
        (
            lambda: dense(thresholds=None, inverted=np.ones(3, bool)),
            r"'a': a score layer \(no thresholds\) has no inverted channels",
        ),
        (
            lambda: dense(thresholds=np.array([1, 2])),
            r"'a': thresholds must be int32 \(3,\), one a channel, not int64 \(2,\)",
        ),
        (lambda: dense(thresholds=[1, 2, 3]), r"int32 \(3,\), one a channel, not list"),
        (lambda: dense(thresholds=np.full(3, 0.5)), r"not float64 \(3,\)"),
        (
            lambda: dense(thresholds=np.array([0, -1, 5])),
            r"thresholds must be in 0 … 2147483647 \(what int32 holds\), but channel 1 has -1$",
        ),
        (
            lambda: dense(thresholds=np.array([0, 0, 1 << 31], np.uint64)),
            r"but channel 2 has 2147483648$",
        ),
        (
            lambda: dense(inverted=np.zeros(3, np.uint8)),
            r"'a': inverted must be bool \(3,\), one a channel, not uint8 \(3,\)",
        ),
        (lambda: dense(inverted=np.zeros(4, bool)), r"one a channel, not bool \(4,\)"),
        (
            lambda: conv(weights=ones(3, 4)),
            r"^layer 'c': weights must be uint8 \(out, height, width, in\), not uint8 \(3, 4\)$",
        ),
        (lambda: conv((3, 0, 3, 4)), r"channels and inputs, not shape \(3, 0, 3, 4\)"),
        (lambda: conv((1, 1024, 1024, 2)), r"and inputs, not shape \(1, 1024, 1024, 2\)"),
        (
            lambda: conv(thresholds=None),
            r"'c': a convolution needs thresholds; only a dense layer gives scores",
        ),
        (lambda: conv(thresholds=np.zeros(2, int)), r"one a channel, not int64 \(2,\)"),
        (lambda: conv(thresholds=np.full(3, -1)), r"'c': .* but channel 0 has -1$"),
        (lambda: conv(stride=0), r"'c': stride and pool must be in 1 … 1048576, not 0 and 1$"),
        (lambda: conv(pool=0), r"in 1 … 1048576, not 1 and 0$"),
        (lambda: conv(stride=2**20 + 1), r"not 1048577 and 1$"),
        (
            lambda: conv(stride=1.5),
            r"'c': stride, fill and pool must be integers, not \(1.5, -1, 1",
        ),
        (lambda: conv(stride=(2, 2)), r"must be integers, not \(\(2, 2\), -1, 1\)"),
        (lambda: conv(pool=True), r"must be integers, not \(1, -1, True\)"),
        (lambda: conv(padding=1), r"'c': padding must be a sequence, not int$"),
        (lambda: conv(padding=(1, 0.5)), r"'c': padding must be integers, not \(1, 0.5\)$"),
        (
            lambda: conv(padding=(2, 0)),
            r"padding must be \(rows, columns\), each from 0 to less than the kernel's .*, not \(2, 0\)$",
        ),
        (lambda: conv(padding=(0, 3)), r"kernel's \(2, 3\), not \(0, 3\)$"),
        (lambda: conv(padding=(0, -1)), r"not \(0, -1\)$"),
        (lambda: conv(padding=(1,)), r"not \(1,\)$"),
        (lambda: conv(padding=(1, 1, 1)), r"not \(1, 1, 1\)$"),
        (
            lambda: conv(padding=(1, 1), fill=2),
            r"'c': fill must be -1, 0 or \+1, and -1 without padding, not 2$",
        ),
        (lambda: conv(fill=0), r"-1 without padding, not 0$"),
        (lambda: conv(fill=1), r"-1 without padding, not 1$"),
        (
            lambda: dense().output_shape((5,)),
            r"^layer 'a': takes 4 values, but what is before it gives 5$",
        ),
        (
            lambda: conv().output_shape((5, 5, 3), "layer 'b'"),
            r"^layer 'c': takes a feature map \(height, width, 4\), but layer 'b' gives \(5, 5, 3\)$",
        ),
        (lambda: conv().output_shape((4,)), r"what is before it gives \(4,\)$"),
        (
            lambda: conv(stride=2, pool=2).output_shape((3, 5, 4), "the input"),
            r"\(3, 5, 4\) that the input gives is too small for kernel \(2, 3\), .* stride 2 and pool 2$",
        ),
    ],
)
def test_malformed(make, message):
    with pytest.raises(ModelError, match=message):
        make()
