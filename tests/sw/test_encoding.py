"""Encodings of pixels: by their definition, alike on the host, in PyTorch, the reference and on the board."""

import re

import numpy as np
import pytest
from encodings_by_definition import inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorgrid import modelfile
from xnorgrid.driver import Board
from xnorgrid.encoding import Hadamard, Thermometer, WeightPlanes
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.images import input_values
from xnorgrid.model import Conv, Dense, Input, Model, ModelError, describe
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.streams import new_seed

CASES = {
    "thermometer": Input((5, 4, 3), "thermometer", 255, encoding=Thermometer(32)),
    "thermometer of a grey image": Input((5, 4), "thermometer", 16, encoding=Thermometer(8)),
    "thermometer of one level": Input((7,), "thermometer", 1, encoding=Thermometer(1)),
    "hadamard": Input((5, 4, 3), "hadamard", 255, encoding=Hadamard(3, 1, (3, 3))),
    "hadamard, padded": Input((5, 4), "hadamard", 15, encoding=Hadamard(2, 9, (3, 2), (2, 1))),
    "hadamard of the image": Input((3, 5), "hadamard", 16, encoding=Hadamard(1, 2**63, (3, 5))),
    "hadamard of one value": Input((2, 2), "hadamard", 255, encoding=Hadamard(1, 4, (1, 1))),
    "weight planes": Input((5, 4, 3), "weight-planes", 255, encoding=WeightPlanes(2)),
    "many weight planes": Input((6,), "weight-planes", 1, encoding=WeightPlanes(16)),
}
every = pytest.mark.parametrize("source", CASES.values(), ids=CASES)


def model(source, rng, classes=4):
    """Scores of the encoded input."""
    bits = rng.integers(0, 2, (classes, source.encoded.size), np.uint8)
    return Model("net", source, (Dense("scores", bits),))


def pixels(source, rng, count=6):
    images = rng.integers(0, source.maximum + 1, (count, *source.shape))
    images[:1], images[1:2] = 0, source.maximum
    return images.astype(np.uint8)


@every
def test_host_and_reference_encode_by_the_definition(source):
    rng = np.random.default_rng(new_seed())
    net, images = model(source, rng), pixels(source, rng)
    expected = inputs(source, images)
    values = source.encode(input_values(net, images))
    assert values.dtype.kind == "u" and values.max() <= source.amplitude
    assert np.array_equal(2 * values.astype(int) - source.amplitude, expected)
    assert np.array_equal(reference.inputs(net, images).reshape(expected.shape), expected)
    assert source.encode(input_values(net, images[:0])).shape == (0, source.encoded.size)


@every
def test_pytorch_encodes_like_the_host(source):
    torch = pytest.importorskip("torch")
    from xnorgrid.network import BinaryMLP

    rng = np.random.default_rng(new_seed())
    planes = source.kind == "weight-planes"
    taken = Input(source.shape, "pixels", source.maximum) if planes else source
    network = BinaryMLP((taken.encoded.size, 3, 2), source)
    images = pixels(source, rng)
    assert np.array_equal(network.encode(images).numpy(), inputs(taken, images))
    # Autocast would round sums of pixels.
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(network.encode(images).numpy(), inputs(taken, images))


@given(u=st.integers(0, 255), levels=st.integers(1, 128))
@settings(max_examples=200, deadline=None)
def test_a_thermometer_rises_with_the_pixel(u, levels):
    bits = Thermometer(levels).values(np.array([[u]]), 255)[0].tolist()
    assert bits == sorted(bits, reverse=True)
    # The number of ones is the pixel's share of all levels, rounded.
    assert abs(sum(bits) - u * levels / 256) <= 0.5 + levels / 256


def test_thermometers_have_the_thresholds_of_the_format():
    assert Thermometer(4).thresholds(255).tolist() == [32, 96, 160, 224]
    assert Thermometer(8).thresholds(16).tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert Thermometer(3).thresholds(15).tolist() == [2, 8, 13]


def test_the_rotation_keeps_lengths_and_angles():
    """Sign flips and a Walsh-Hadamard transform are a rotation, times the root of the patch's size."""
    rotation = Hadamard(2, 5, (3, 3))
    flips = rotation.flips((8, 8, 3))
    assert flips.shape == (2, 32) and set(flips.ravel().tolist()) == {-1, 1}
    assert not np.array_equal(flips[0], flips[1])
    assert not np.array_equal(flips, Hadamard(2, 6, (3, 3)).flips((8, 8, 3)))
    # SHAKE-256 of seed 5: fixed for ever, since models depend on it.
    assert np.packbits(flips > 0, bitorder="little").tobytes().hex() == "b868e135545c3b03"
    assert rotation.additions((8, 8, 3)) == 6 * 6 * 2 * 32 * 5


def test_a_models_layers_take_what_the_encoding_gives():
    source = CASES["hadamard"]
    assert source.encoded == Input((3, 2, 96))
    assert (source.planes, source.amplitude) == (1, 1)
    assert CASES["thermometer"].encoded == Input((5, 4, 96))
    assert CASES["thermometer of a grey image"].encoded == Input((5, 4, 8))
    assert CASES["weight planes"].encoded == Input((5, 4, 6), "pixels", 511)
    assert (CASES["weight planes"].planes, CASES["weight planes"].amplitude) == (9, 511)
    assert Input((3,), "pixels", 7).encoded == Input((3,), "pixels", 7)
    net = model(source, np.random.default_rng(0))
    assert describe(net)["input"] == {
        "kind": "hadamard", "maximum": 255, "shape": [5, 4, 3], "threshold": 1,
        "draws": 3, "seed": 1, "patch": [3, 3], "padding": [0, 0],
    }  # fmt: skip


@every
def test_files_keep_the_encoding(source):
    net = model(source, np.random.default_rng(0))
    assert modelfile.from_bytes(modelfile.to_bytes(net)) == net


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "thermometer"}, "kind 'thermometer' goes with its encoding, not None"),
        ({"encoding": Thermometer(2)}, "kind 'bits' goes with no encoding, not Thermometer(levels=2)"),
        (
            {"kind": "hadamard", "encoding": Thermometer(2)},
            "kind 'hadamard' goes with its encoding, not Thermometer(levels=2)",
        ),
        (
            {"kind": "thermometer", "encoding": Thermometer(2), "threshold": 3},
            "kind 'thermometer' goes with threshold 1, not 3",
        ),
        ({"encoding": Thermometer(0)}, "levels must be in 1 … 8 for pixels up to 15, not 0"),
        ({"encoding": Thermometer(9)}, "levels must be in 1 … 8 for pixels up to 15, not 9"),
        ({"encoding": Hadamard(0, 1, (1, 1))}, "draws must be in 1 … 1024 and the seed in 0 … 2**64 - 1"),
        ({"encoding": Hadamard(1, -1, (1, 1))}, "2**64 - 1, not 1 and -1"),
        ({"encoding": Hadamard(1, 1, (7, 1))}, "patch must be (height, width), each from 1 to"),
        ({"encoding": Hadamard(1, 1, (3, 3), (3, 0))}, "to less than the patch's (3, 3), not (3, 0)"),
        (
            {"shape": (30,), "encoding": Hadamard(1, 1, (1, 1))},
            "patches are those of a map (height, width) or (height, width, channels), not of shape (30,)",
        ),
        (
            {"shape": (600, 600), "encoding": Thermometer(8)},
            "encoded, an image becomes 2880000 values, and the limit is 1048576",
        ),
        ({"encoding": WeightPlanes(1)}, "bits of weights must be in 2 … 13 for pixels up to 15, not 1"),
        ({"encoding": WeightPlanes(14)}, "bits of weights must be in 2 … 13 for pixels up to 15, not 14"),
        (
            {"maximum": 16, "encoding": WeightPlanes(2)},
            "planes of weights go with a maximum of a power of two less one, not 16",
        ),
    ],
)  # fmt: skip
def test_what_no_input_is(fields, message):
    encoding = fields.get("encoding")
    known = {"shape": (6, 5), "kind": "bits" if encoding is None else encoding.kind, "maximum": 15}
    if message.startswith("kind 'bits'"):
        known |= {"kind": "bits", "maximum": 1}
    with pytest.raises(ModelError, match=re.escape(message)):
        Input(**(known | fields))


def test_fields_are_whole_numbers():
    with pytest.raises(ModelError, match="input: levels must be integers"):
        Thermometer(2.5)
    with pytest.raises(ModelError, match="input: patch must be integers"):
        Hadamard(1, 1, ("3", 3))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thermometer", "5x4x3, pixels 0 … 255 as thermometers of 32 bits"),
        ("hadamard", "5x4x3, pixels 0 … 255, signs of 3x3 patches under 3 random rotations"),
        ("weight planes", "5x4x3, pixels 0 … 255 with all of their bits, for weights of 2 bits"),
    ],
)
def test_inspect_tells_the_encoding(call, tmp_path, name, text):
    path = tmp_path / "net.safetensors"
    modelfile.save(model(CASES[name], np.random.default_rng(0)), path)
    status, out, _ = call("inspect", path)
    assert status == 0 and text in out


def test_planes_have_no_latent_weights(tmp_path):
    pytest.importorskip("torch")
    from xnorgrid.checkpoint import CheckpointError
    from xnorgrid.latent import latent_weights

    net = model(CASES["weight planes"], np.random.default_rng(0))
    with pytest.raises(
        CheckpointError, match="'scores' of model 'net' has weights of 2 bits, whose"
    ):
        latent_weights(tmp_path / "state", net)


#: Lanes that divide nothing here, and memories that hold the inputs of several images.
ARRAY = ArrayConfig(
    rows=3, cols=2, lanes=10, weight_depth=512, activation_depth=4096, preset_depth=256,
    accumulator_bits=18, link="fifo",
)  # fmt: skip


@pytest.fixture(scope="module")
def board():
    with Board(open_simulated("compiled", ARRAY), config=ARRAY) as board:
        yield board


NETWORKS = {
    "thermometer": (Thermometer(6), {"fill": 0}),
    "hadamard": (Hadamard(2, 3, (3, 3), (1, 1)), {"fill": 0}),
    "weight planes": (WeightPlanes(3), {"fill": -1}),
    "weight planes without padding": (WeightPlanes(2), {}),
}


@pytest.mark.parametrize(("encoding", "options"), NETWORKS.values(), ids=NETWORKS)
def test_pytorch_reference_and_board_agree(board, encoding, options):
    """Two convolutions and a dense layer, folded, saved and loaded: every bit of every layer."""
    torch = pytest.importorskip("torch")
    from torch_networks import randomise

    from xnorgrid.fold import fold
    from xnorgrid.network import BinaryCNN
    from xnorgrid.twin import twin

    seed = new_seed()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    source = Input((8, 7, 3), encoding.kind, 255, encoding=encoding)
    network = BinaryCNN([(5, 1), (4, 2)], (6, 3), source, **options).eval()
    for block in network.hidden:
        randomise(block.norm, block.product.largest, rng)
    images = rng.integers(0, 256, (5, *source.shape), np.uint8)
    folded = modelfile.from_bytes(modelfile.to_bytes(fold(network, "net")))
    traced, rebuilt = network.trace(images), twin(folded).trace(images)
    board.load(folded, keep_layers=True)
    on_board = board.layers(images).values()
    results = reference.layers(folded, images)
    for values in zip(results, traced, rebuilt, on_board, strict=True):
        expected, *others = values
        assert all(np.array_equal(expected.values, other) for other in others), expected.name
    assert board.counters.useful_lanes == reference.operations(folded, len(images))


def test_a_convolution_may_pool_encoded_pixels():
    """Encoded values are laid out like any others, windows apart or not."""
    rng = np.random.default_rng(new_seed())
    source = Input((6, 6), "thermometer", 15, encoding=Thermometer(3))
    bits = rng.integers(0, 2, (5, 3, 3, 3), np.uint8)
    conv = Conv("conv", bits, np.full(5, 14, np.int32), pool=2)
    net = Model("net", source, (conv, Dense("scores", rng.integers(0, 2, (3, 20), np.uint8))))
    images = rng.integers(0, 16, (4, 6, 6), np.uint8)
    signs = inputs(source, images).reshape(4, 6, 6, 3)
    windows = np.lib.stride_tricks.sliding_window_view(signs, (3, 3), (1, 2))
    sums = np.einsum("nyxchw,ohwc->nyxo", windows, 2 * bits.astype(int) - 1)
    largest = sums.reshape(4, 2, 2, 2, 2, 5).max((2, 4))
    assert np.array_equal(reference.layers(net, images)[0].values, (largest + 27) // 2 >= 14)
