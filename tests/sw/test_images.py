"""Image checks of the host, and that host and reference agree on the values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorgrid.images import ImageError, input_values
from xnorgrid.model import Dense, Input, Model
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed

SIGNS = np.random.default_rng(6).choice([-1, 1], (5, 24))


def model(source):
    """Five scores of known signs."""
    return Model("net", source, (Dense("out", (SIGNS[:, : source.size] > 0).astype(np.uint8)),))


BITS = model(Input((2, 3)))
BINARY = model(Input((2, 3), "threshold", 16, 8))
PIXELS = model(Input((2, 3), "pixels", 15))
DEEP = model(Input((6,), "pixels", 0xFFFF))


def test_values_of_bits():
    expected = np.array([[1, 0, 1, 1, 0, 0]], np.uint8)
    signs = expected.astype(np.int8) * 2 - 1
    for images in (
        expected,
        expected.astype(bool),
        expected * 1.0,
        signs,
        signs.astype(np.float32),
    ):
        for shape in ((1, 2, 3), (1, 6)):
            bits = input_values(BITS, images.reshape(shape))
            assert bits.dtype == np.uint8 and np.array_equal(bits, expected)
    assert input_values(BITS, signs.tolist()).tolist() == expected.tolist()


def test_a_threshold_makes_bits():
    assert input_values(BINARY, [[0, 7, 8, 9, 16, 1]]).tolist() == [[0, 0, 1, 1, 1, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_pixels_stay_as_they_are(dtype):
    images = np.arange(12, dtype=dtype).reshape(2, 2, 3)
    values = input_values(PIXELS, images)
    assert values.dtype == np.uint8 and np.array_equal(values, images.reshape(2, 6))
    values[:] = 0
    assert images.any(), "the caller's images are not ours to change"


@pytest.mark.parametrize(
    ("maximum", "dtype"), [(1, np.uint8), (255, np.uint8), (511, np.uint16), (65535, np.uint16)]
)
def test_pixels_take_the_bytes_they_need(maximum, dtype):
    values = input_values(model(Input((2,), "pixels", maximum)), [[0, maximum]])
    assert values.dtype == dtype and values.tolist() == [[0, maximum]]


def test_axes_of_pixels_are_row_column_channel():
    images = np.moveaxis(np.arange(24).reshape(1, 3, 2, 4), 1, 3)  # came as (N, channels, …)
    values = input_values(model(Input((2, 4, 3), "pixels", 31)), images)
    assert values[0, :4].tolist() == [0, 8, 16, 1]


@pytest.mark.parametrize("net", [BITS, BINARY, PIXELS])
def test_no_images(net):
    assert input_values(net, np.zeros((0, 2, 3), np.uint8)).shape == (0, 6)
    assert reference.scores(net, np.zeros((0, 2, 3), np.uint8)).shape == (0, 5)


@settings(deadline=None)
@given(
    st.sampled_from([np.uint8, np.int16, np.int64]),
    st.integers(1, 250),
    st.integers(0, 4),
    st.data(),
)
def test_host_and_reference_agree_on_a_threshold(dtype, maximum, count, data):
    threshold = data.draw(st.integers(0, maximum + 1))
    net = model(Input((2, 3), "threshold", maximum, threshold))
    pixels = data.draw(st.lists(st.integers(0, maximum), min_size=6 * count, max_size=6 * count))
    images = np.array(pixels, dtype).reshape(count, 2, 3)
    expected = (2 * input_values(net, images).astype(int) - 1) @ SIGNS[:, :6].T
    assert np.array_equal(reference.scores(net, images), expected)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.booleans())
def test_host_and_reference_agree_on_bits(values, signs):
    images = np.array(values, int).reshape(2, 2, 3) * (2 if signs else 1) - (1 if signs else 0)
    expected = (2 * input_values(BITS, images).astype(int) - 1) @ SIGNS[:, :6].T
    assert np.array_equal(reference.scores(BITS, images), expected)


@pytest.mark.parametrize("planes", [1, 2, 8, 16])
def test_host_and_reference_agree_on_pixels(planes):
    maximum = 2**planes - 1
    net = model(Input((2, 3), "pixels", maximum))
    images = np.random.default_rng(new_seed()).integers(0, maximum + 1, (20, 2, 3))
    images[:2] = [[[0]], [[maximum]]]
    expected = (2 * input_values(net, images).astype(int) - maximum) @ SIGNS[:, :6].T
    assert np.array_equal(reference.scores(net, images), expected)


@pytest.mark.parametrize(
    ("net", "images", "message"),
    [
        (BITS, np.zeros((4, 3, 2)), r"shape \(N, 2, 3\) or \(N, 6\), not \(4, 3, 2\)$"),
        (BITS, np.zeros((2, 3)), r"not \(2, 3\); for a single image, add the first axis"),
        (BITS, np.zeros(6), r"not \(6,\); for a single image"),
        (BITS, 1, r"not \(\)$"),
        (BITS, [], r"not \(0,\)$"),
        (model(Input((6,))), np.zeros((4, 5)), r"shape \(N, 6\), not \(4, 5\)$"),
        (BITS, [[1, 2], [3]], r"images are no array"),
        (BITS, np.zeros((1, 6), object), r"images must be numbers, not object"),
        (BITS, np.zeros((1, 6), complex), r"images must be numbers, not complex128"),
        (BITS, [list("010101")], r"images must be numbers, not <U1"),
        (
            BITS,
            np.full((1, 6), np.nan),
            r"all 0/1 or all -1/\+1, but image 0 has nan at position 0",
        ),
        (BITS, np.eye(2, 6) * 0.5, r"but image 0 has 0.5 at position 0"),
        (BITS, [[1, 0, -1, 1, 1, 1]], r"there are both 0 and -1"),
        (BINARY, np.zeros((1, 6)), r"integers in 0 … 16, not float64; scaled images"),
        (BINARY, np.zeros((1, 6), bool), r"integers in 0 … 16, not bool"),
        (BINARY, [[0] * 6, [0, 0, 17, 0, 0, 0]], r"0 … 16, but image 1 has 17 at position 2"),
        (BINARY, [[0, -1, 0, 0, 0, 0]], r"but image 0 has -1 at position 1"),
        (PIXELS, np.zeros((1, 6)), r"integers in 0 … 15, not float64; scaled images"),
        (PIXELS, np.zeros((1, 6), bool), r"integers in 0 … 15, not bool"),
        (PIXELS, [[0, 0, 0, 0, 16, 0]], r"0 … 15, but image 0 has 16 at position 4"),
        (PIXELS, [[0, 0, 0, 0, -1, 0]], r"0 … 15, but image 0 has -1 at position 4"),
        (DEEP, [[0, 65536, 0, 0, 0, 0]], r"0 … 65535, but image 0 has 65536 at position 1"),
        (PIXELS, np.zeros((1, 3, 2), int), r"shape \(N, 2, 3\) or \(N, 6\), not \(1, 3, 2\)$"),
    ],
)
def test_malformed(net, images, message):
    with pytest.raises(ImageError, match=message):
        input_values(net, images)
