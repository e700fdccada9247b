"""Networks: what evaluation yields, and the images they take."""

import numpy as np
import pytest
import torch
from torch_networks import convolve, inputs, pool, random_images, random_network

from xnorgrid.model import Input
from xnorgrid.network import BinaryCNN, BinaryMLP, BinaryNetwork
from xnorgrid.nn import BinaryConv2d, BinaryLinear, Block
from xnorgrid.sim.streams import new_seed

BITS = Input((24,))


def dense_network(seed, sizes=(24, 13, 9, 5), input=BITS):
    """A network whose normalisations have seen data and whose gammas have both signs."""
    torch.manual_seed(seed)
    network = BinaryMLP(sizes, input)
    for block in network.hidden:
        torch.nn.init.normal_(block.norm.weight)
        torch.nn.init.normal_(block.norm.bias)
        torch.nn.init.normal_(block.norm.running_mean, std=3)
        torch.nn.init.uniform_(block.norm.running_var, 0.1, 30)
    return network.eval()


def random_bits(seed, count, width=24):
    return np.random.default_rng(seed).integers(0, 2, (count, width))


def test_clip_bounds_latent_weights_and_keeps_the_gain_positive():
    network = dense_network(0)
    for layer in (network.blocks[0].product, network.head):
        layer.weight.data.mul_(5)
    before = network.blocks[0].norm.weight.clone()
    network.norm.gain.data.fill_(-3)
    network.clip()
    for layer in (network.blocks[0].product, network.head):
        assert layer.weight.min().item() == -1
        assert layer.weight.max().item() == 1
    assert network.norm.gain.item() > 0
    assert torch.equal(network.blocks[0].norm.weight, before)


@pytest.mark.parametrize("seed", range(3))
def test_trace_is_what_the_modules_yield(seed):
    network = dense_network(seed)
    images = random_bits(seed, 50)
    x = torch.tensor(images * 2.0 - 1, dtype=torch.float32)
    *bits, scores = network.trace(images)
    for block, layer in zip(network.blocks, bits, strict=True):
        x = block(x)
        assert layer.dtype == np.uint8
        assert np.array_equal(layer * 2.0 - 1, x.detach().numpy())
    assert scores.dtype == np.int32
    assert np.array_equal(scores, network.head(x).detach().numpy())
    assert np.array_equal(scores, network.scores(images))


@pytest.mark.parametrize("seed", range(3))
def test_trace_does_not_depend_on_the_batch(seed):
    network = dense_network(seed)
    images = random_bits(seed, 23)
    whole = network.trace(images)
    for batch in (1, 2, 7, 23):
        parts = network.trace(images, batch=batch)
        assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_trace_of_no_images_is_empty():
    shapes = [layer.shape for layer in dense_network(0).trace(np.zeros((0, 24), np.uint8))]
    assert shapes == [(0, 13), (0, 9), (0, 5)]


def test_trace_leaves_mode_and_statistics_alone():
    network = dense_network(0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.trace(random_bits(0, 10))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_encode_compares_pixels_with_the_threshold():
    network = dense_network(0, (4, 2), Input((2, 2), "threshold", 16, 8))
    images = np.array([[[0, 7], [8, 16]]], np.uint8)
    assert network.encode(images).tolist() == [[-1, -1, 1, 1]]


@pytest.mark.parametrize(
    "images", [[[0, 1, 1]], [[-1, 1, 1]], [[False, True, True]], [[-1.0, 1.0, 1.0]]]
)
def test_encode_takes_bits_of_every_kind(images):
    network = dense_network(0, (3, 2), Input((3,)))
    assert network.encode(np.array(images)).tolist() == [[-1, 1, 1]]


def test_encode_takes_flat_images():
    network = dense_network(0, (6, 2), Input((2, 3), "threshold", 255, 128))
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 3))
    assert np.array_equal(network.scores(images), network.scores(images.reshape(9, 6)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 5), int), r"images must have shape \(N, 3\), not \(2, 5\)"),
        (np.zeros(3, int), r"images must have shape \(N, 3\), not \(3,\)"),
        (np.zeros((2, 2, 3), int), r"images must have shape \(N, 3\), not \(2, 2, 3\)"),
        (np.full((2, 3), 2), "images must be all 0/1 or all -1/\\+1"),
        (np.full((2, 3), 0.5), "images must be all 0/1 or all -1/\\+1"),
        (np.array([[-1, 0, 1]]), "images must be all 0/1 or all -1/\\+1"),
    ],
)
def test_encode_refuses_what_is_no_bit(images, message):
    with pytest.raises(ValueError, match=message):
        dense_network(0, (3, 2), Input((3,))).trace(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.array([[3, 4, 17]]), "images must lie in 0 … 16, but some lie in 3 … 17"),
        (np.array([[3, -4, 7]]), "images must lie in 0 … 16, but some lie in -4 … 7"),
        (np.zeros((2, 3)), "images must be integers, not float64"),
    ],
)
def test_encode_refuses_what_is_no_pixel(images, message):
    network = dense_network(0, (3, 2), Input((3,), "threshold", 16, 8))
    with pytest.raises(ValueError, match=message):
        network.trace(images)


def test_sizes_must_fit_the_input():
    with pytest.raises(ValueError, match="the first size must be the input's 24 values, not 25"):
        BinaryMLP((25, 2), BITS)
    with pytest.raises(ValueError, match="two or more positive widths"):
        BinaryMLP((24,), BITS)


def integers(network, images):
    """The trace by plain integers, and by PyTorch's BatchNorm of them."""
    source, bits = network.input, 1
    if source.kind == "weight-planes":
        # The pixels as they are meet weights of several bits.
        source, bits = Input(source.shape, "pixels", source.maximum), source.encoding.bits
    x, results = inputs(source, images), []
    if isinstance(network.blocks[0].product if network.blocks else network.head, BinaryConv2d):
        x = x.reshape(-1, *source.encoded.map_shape)
    amplitude = source.amplitude
    for block in network.blocks:
        product = block.product
        latent = product.weight.detach().numpy()
        weights = np.where(latent >= 0, 1, -1)
        if bits > 1:
            parts = np.floor((latent + np.float32(1)) * 2 ** (bits - 1))
            weights = (2 * parts.clip(0, 2**bits - 1) - 2**bits + 1).astype(int)
        if isinstance(product, BinaryConv2d):
            weights, value = weights.transpose(0, 2, 3, 1), product.fill * amplitude
            sums = convolve(x, weights, product.stride[0], product.padding, value)
        else:
            sums = x.reshape(len(x), -1) @ weights.T
        assert abs(sums).max() < 1 << 24
        if block.pool == "products":
            sums = pool(sums, 2, np.max)
        columns = torch.tensor(sums.reshape(-1, sums.shape[-1]), dtype=torch.float32)
        x = (block.norm(columns).detach().numpy() >= 0).reshape(sums.shape) * 2 - 1
        if block.pool == "activations":
            x = pool(x, 2, np.max)
        results.append(x > 0)
        amplitude, bits = 1, 1
    return [*results, x.reshape(len(x), -1) @ np.where(network.head.weight.detach() >= 0, 1, -1).T]


def test_trace_of_random_networks_is_integer_arithmetic():
    rng = np.random.default_rng(new_seed())
    for _ in range(40):
        network = random_network(rng, weight_planes=True)
        images = random_images(network.input, 5, rng)
        found, expected = network.trace(images), integers(network, images)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("class_norm", [False, True])
def test_outputs_are_what_the_loss_sees_or_the_scores(class_norm):
    rng = np.random.default_rng(new_seed())
    network = BinaryMLP((24, 9, 4), BITS, class_norm=class_norm).train()
    images = rng.integers(0, 2, (60, 24))
    for _ in range(5):
        network(network.encode(images))
    if class_norm:
        network.norm.weight.data = torch.tensor([1.0, -1.0, 0.5, 0.0])
    outputs = network.outputs(images)
    network.eval()
    with torch.no_grad():
        seen = network(network.encode(images)).numpy()
    scores = network.scores(images)
    if class_norm:
        assert outputs.dtype == np.float64
        assert np.array_equal(outputs, seen)
        assert not np.array_equal(outputs.argmax(1), scores.argmax(1))
    else:
        assert np.array_equal(outputs, scores)
        assert np.array_equal(outputs.argmax(1), seen.argmax(1))


def test_pixels_enter_as_they_are():
    network = BinaryMLP((3, 2), Input((3,), "pixels", 255))
    assert network.encode(np.array([[0, 128, 255]])).tolist() == [[-255, 1, 255]]
    network.head.weight.data = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0]])
    assert network.scores(np.array([[0, 128, 255]], np.uint8)).tolist() == [[1, -511]]
    with pytest.raises(ValueError, match="images must lie in 0 … 255, but some lie in 0 … 256"):
        network.encode(np.array([[0, 128, 256]]))


def test_the_cnn_is_what_its_sizes_say():
    source = Input((12, 11, 3), "pixels", 255)
    network = BinaryCNN(((5, 1), (7, 2)), (6, 4), source, fill=1)
    first, second, dense = network.hidden
    assert [block.pool for block in network.hidden] == [None, "products", None]
    assert first.product.weight.shape == (5, 3, 3, 3)
    assert (first.product.padding, first.product.fill, first.product.amplitude) == ((1, 1), 1, 255)
    assert (second.product.padding, second.product.fill, second.product.amplitude) == ((1, 1), 1, 1)
    assert dense.product.weight.shape == (6, 6 * 5 * 7)
    assert network.head.weight.shape == (4, 6)
    shapes = [layer.shape for layer in network.trace(np.zeros((2, 12, 11, 3), np.uint8))]
    assert shapes == [(2, 12, 11, 5), (2, 6, 5, 7), (2, 6), (2, 4)]
    valid = BinaryCNN(((5, 1), (7, 2)), (4,), source)
    assert [block.product.padding for block in valid.hidden] == [(0, 0), (0, 0)]
    assert valid.head.weight.shape == (4, 4 * 3 * 7)


def test_a_map_smaller_than_the_kernel_is_refused():
    with pytest.raises(ValueError, match="convolution 2: its feature map is smaller than its kern"):
        BinaryCNN(((5, 2), (5, 1)), (2,), Input((6, 6)))


def test_images_without_rows_and_columns_suit_no_convolution():
    with pytest.raises(ValueError, match=r"shape \(24,\) is no feature map"):
        BinaryCNN(((5, 1),), (2,), BITS)


def test_the_amplitude_is_the_first_products_only():
    source = Input((4,), "pixels", 15)
    blocks = [Block(BinaryLinear(4, 3)), Block(BinaryLinear(3, 3))]
    network = BinaryNetwork(source, blocks, BinaryLinear(3, 2))
    assert [block.product.amplitude for block in network.hidden] == [15, 1]
    assert network.head.amplitude == 1
    assert BinaryNetwork(source, [], BinaryLinear(4, 2)).head.amplitude == 15
