"""Image checks of the host, and that host and reference agree on the bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorgrid.images import ImageError, input_bits
from xnorgrid.model import Dense, Input, Model
from xnorgrid.sim import reference


def model(source):
    return Model("net", source, (Dense("out", np.ones((2, source.size), np.uint8)),))


BITS = model(Input((2, 3)))
PIXELS = model(Input((2, 3), "threshold", 16, 8))


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
            bits = input_bits(BITS, images.reshape(shape))
            assert bits.dtype == np.uint8 and np.array_equal(bits, expected)
    assert input_bits(BITS, signs.tolist()).tolist() == expected.tolist()


def test_pixels_are_compared_with_the_threshold():
    assert input_bits(PIXELS, [[0, 7, 8, 9, 16, 1]]).tolist() == [[0, 0, 1, 1, 1, 0]]


def test_no_images():
    assert input_bits(PIXELS, np.zeros((0, 2, 3), np.uint8)).shape == (0, 6)
    assert reference.scores(PIXELS, np.zeros((0, 2, 3), np.uint8)).shape == (0, 2)


@settings(deadline=None)
@given(
    st.sampled_from([np.uint8, np.int16, np.int64]),
    st.integers(1, 250),
    st.integers(0, 4),
    st.data(),
)
def test_host_and_reference_agree(dtype, maximum, count, data):
    threshold = data.draw(st.integers(0, maximum + 1))
    net = model(Input((2, 3), "threshold", maximum, threshold))
    pixels = data.draw(st.lists(st.integers(0, maximum), min_size=6 * count, max_size=6 * count))
    images = np.array(pixels, dtype).reshape(count, 2, 3)
    assert np.array_equal(input_bits(net, images), reference.input_bits(net, images))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.booleans())
def test_host_and_reference_agree_on_bits(values, signs):
    images = np.array(values, int).reshape(2, 2, 3) * (2 if signs else 1) - (1 if signs else 0)
    assert np.array_equal(input_bits(BITS, images), reference.input_bits(BITS, images))


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
        (PIXELS, np.zeros((1, 6)), r"integers in 0 … 16, not float64; scaled images"),
        (PIXELS, np.zeros((1, 6), bool), r"integers in 0 … 16, not bool"),
        (PIXELS, [[0] * 6, [0, 0, 17, 0, 0, 0]], r"0 … 16, but image 1 has 17 at position 2"),
        (PIXELS, [[0, -1, 0, 0, 0, 0]], r"but image 0 has -1 at position 1"),
    ],
)
def test_malformed(net, images, message):
    with pytest.raises(ImageError, match=message):
        input_bits(net, images)
