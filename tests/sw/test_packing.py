"""Bit order, checked against Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorgrid import packing


def test_bit_order_is_pinned():
    """Written out by hand, so that a consistent change of pack and unpack is still noticed."""
    bits = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1], np.uint8)
    assert packing.pack(bits, 5).tolist() == [[0b00001], [0b10000], [0b101]]
    assert packing.pack(bits, 12).tolist() == [[0x01, 0x06], [0x01, 0x00]]
    assert packing.pack(bits, 32).tolist() == [[0x01, 0x16, 0x00, 0x00]]


@settings(deadline=None)
@given(
    st.integers(1, 80),
    st.lists(st.lists(st.integers(0, 1), min_size=37, max_size=37), min_size=1, max_size=4),
)
def test_pack_is_the_integer_of_each_word(width, rows):
    bits = np.array(rows, np.uint8)
    packed = packing.pack(bits, width)
    assert packed.shape == (len(rows), packing.word_count(37, width), packing.word_bytes(width))
    for row, words in zip(rows, packed, strict=True):
        for index, word in enumerate(words):
            lanes = row[index * width : (index + 1) * width]
            value = sum(bit << lane for lane, bit in enumerate(lanes))
            assert int.from_bytes(word.tobytes(), "little") == value
    assert np.array_equal(packing.unpack(packed, width, 37), bits)


def test_pack_takes_bool_and_empty():
    assert packing.pack(np.array([True, False, True]), 2).tolist() == [[1], [1]]
    assert packing.pack(np.zeros((3, 0), np.uint8), 8).shape == (3, 0, 1)
    assert packing.pack(np.zeros((0, 9), np.uint8), 8).shape == (0, 2, 1)
    assert packing.unpack(np.zeros((0, 2, 1), np.uint8), 8, 9).shape == (0, 9)


def test_unpack_ignores_lanes_from_n_on_only():
    assert packing.unpack(np.array([[0b11111]], np.uint8), 5, 3).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"word of 5 bits has a bit set at or above bit 5"):
        packing.unpack(np.array([[0b100000]], np.uint8), 5, 3)


@settings(deadline=None)
@given(st.integers(1, 64), st.data())
def test_signed_words_are_twos_complement(width, data):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    values = [*data.draw(st.lists(st.integers(low, high), max_size=5)), low, high]
    words = packing.pack_signed(np.array(values, np.int64), width)
    assert words.shape == (len(values), packing.word_bytes(width))
    for value, word in zip(values, words, strict=True):
        assert int.from_bytes(word.tobytes(), "little") == value % (1 << width)
    assert packing.unpack_signed(words, width).tolist() == values
    planes = [[(value >> bit) & 1 for value in values] for bit in reversed(range(width))]
    assert packing.signed_from_planes(np.array(planes, np.uint8)).tolist() == values


@pytest.mark.parametrize("value", [-9, 8])
def test_signed_words_out_of_range(value):
    with pytest.raises(ValueError, match=r"signed word of 4 bits holds -8 … 7, not"):
        packing.pack_signed(np.array([0, value]), 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: packing.pack(np.array([0, 2]), 8), r"must be 0 or 1, not in 0 … 2"),
        (lambda: packing.pack(np.array([0, -1]), 8), r"must be 0 or 1, not in -1 … 0"),
        (lambda: packing.pack(np.array([0.0]), 8), r"integers or bool, not float64"),
        (lambda: packing.pack(np.array(1), 8), r"at least one axis"),
        (lambda: packing.pack(np.array([1]), 0), r"at least 1 bit, not 0"),
        (lambda: packing.unpack(np.zeros((1, 2), np.uint8), 8, 1), r"last axis of 1 bytes"),
        (lambda: packing.unpack(np.zeros((1, 1), np.int8), 8, 1), r"uint8 .* not int8 \(1, 1\)"),
        (lambda: packing.unpack(np.zeros((2, 1), np.uint8), 5, 11), r"do not hold 11 bits"),
        (lambda: packing.unpack(np.zeros(1, np.uint8), 5, 1), r"axes \(…, words, bytes\)"),
        (lambda: packing.pack_signed(np.array([0.5]), 8), r"integers, not float64"),
        (lambda: packing.pack_signed(np.array([0]), 65), r"1 … 64 bits, not 65"),
        (lambda: packing.unpack_signed(np.array([[8]], np.uint8), 3), r"at or above bit 3"),
        (lambda: packing.signed_from_planes(np.array([[2]])), r"0 or 1, not 2"),
        (lambda: packing.signed_from_planes(np.array(1)), r"at least one axis"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
