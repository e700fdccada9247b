"""Binary layers: numbers, gradients and what evaluation yields."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from xnorgrid import nn
from xnorgrid.model import Input

BITS = Input((24,))


def random_network(seed, sizes=(24, 13, 9, 5), input=BITS):
    """A network whose normalisations have seen data and whose gammas have both signs."""
    torch.manual_seed(seed)
    network = nn.BinaryMLP(sizes, input)
    for block in network.hidden:
        torch.nn.init.normal_(block.norm.weight)
        torch.nn.init.normal_(block.norm.bias)
        torch.nn.init.normal_(block.norm.running_mean, std=3)
        torch.nn.init.uniform_(block.norm.running_var, 0.1, 30)
    return network.eval()


def random_bits(seed, count, width=24):
    return np.random.default_rng(seed).integers(0, 2, (count, width))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_sign_of_zero_is_plus_one(dtype):
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0], dtype=dtype)
    assert nn.sign(x).tolist() == [-1, -1, 1, 1, 1, 1]
    assert nn.sign(x).dtype == dtype


def test_activation_gradient_passes_inside_the_window_only():
    x = torch.tensor([-1.5, -1.0, -0.5, 0.0, 1.0, 1.0001], requires_grad=True)
    y = nn.binarize(x)
    y.backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_weight_gradient_has_no_window():
    weight = torch.tensor([-1.5, 0.0, 2.0], requires_grad=True)
    nn.binarize_weight(weight).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert weight.grad.tolist() == [1, 2, 3]


def test_linear_gradient_is_that_of_the_binary_weights():
    layer = nn.BinaryLinear(3, 2)
    layer.weight.data = torch.tensor([[0.2, -0.9, 0.0], [-0.1, 1.0, -1.0]])
    x = torch.tensor([[1.0, 1.0, -1.0]], requires_grad=True)
    layer(x).backward(torch.tensor([[1.0, 10.0]]))
    assert layer(x).tolist() == [[-1, 1]]
    assert x.grad.tolist() == [[-9, 9, -9]]
    assert layer.weight.grad.tolist() == [[1, 1, -1], [10, 10, -10]]


@pytest.mark.parametrize(("seed", "fan_in"), [(0, 1), (1, 63), (2, 784), (3, 4097)])
def test_linear_is_the_exact_dot_product(seed, fan_in):
    torch.manual_seed(seed)
    layer = nn.BinaryLinear(fan_in, 17)
    x = nn.sign(torch.randn(9, fan_in))
    expected = x.numpy().astype(np.int64) @ np.where(layer.weight.detach() >= 0, 1, -1).T
    assert np.array_equal(layer(x).detach().numpy(), expected)


def test_squared_hinge():
    outputs = torch.tensor([[0.5, -2.0, 0.0], [3.0, 1.0, -1.0]])
    # Margins at the labels 0 and 1: 0.5, 2, 0 and -3, 1, 1.
    losses = [0.25, 0.0, 1.0, 16.0, 0.0, 0.0]
    loss = nn.squared_hinge(outputs, torch.tensor([0, 1], dtype=torch.uint8))
    assert loss.item() == np.float32(np.mean(losses))


def test_rate_scale_is_the_inverse_of_glorots_deviation():
    assert nn.BinaryLinear(784, 256).rate_scale == pytest.approx(1 / (1.5 / 1040) ** 0.5, rel=1e-12)


def test_clip_bounds_latent_weights_and_keeps_the_gain_positive():
    network = random_network(0)
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


def test_tensor_norm_uses_one_mean_and_variance_for_all_classes():
    norm = nn.TensorNorm()
    x = torch.tensor([[1.0, 5.0], [3.0, 7.0]])
    y = norm(x)
    expected = (x.numpy() - 4) / np.sqrt(20 / 3 + nn.EPS)
    assert np.allclose(y.detach(), expected, rtol=1e-6)
    assert norm.mean.item() == pytest.approx(0.4)
    assert norm.variance.item() == pytest.approx(0.9 + 0.1 * 20 / 3)
    norm.eval()
    assert torch.equal(norm(x).argmax(1), x.argmax(1))
    assert norm.mean.item() == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(3))
def test_trace_is_what_the_modules_yield(seed):
    network = random_network(seed)
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
    network = random_network(seed)
    images = random_bits(seed, 23)
    whole = network.trace(images)
    for batch in (1, 2, 7, 23):
        parts = network.trace(images, batch=batch)
        assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_trace_of_no_images_is_empty():
    shapes = [layer.shape for layer in random_network(0).trace(np.zeros((0, 24), np.uint8))]
    assert shapes == [(0, 13), (0, 9), (0, 5)]


def test_trace_leaves_mode_and_statistics_alone():
    network = random_network(0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.trace(random_bits(0, 10))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_encode_compares_pixels_with_the_threshold():
    network = random_network(0, (4, 2), Input((2, 2), "threshold", 16, 8))
    images = np.array([[[0, 7], [8, 16]]], np.uint8)
    assert network.encode(images).tolist() == [[-1, -1, 1, 1]]


@pytest.mark.parametrize(
    "images", [[[0, 1, 1]], [[-1, 1, 1]], [[False, True, True]], [[-1.0, 1.0, 1.0]]]
)
def test_encode_takes_bits_of_every_kind(images):
    network = random_network(0, (3, 2), Input((3,)))
    assert network.encode(np.array(images)).tolist() == [[-1, 1, 1]]


def test_encode_takes_flat_images():
    network = random_network(0, (6, 2), Input((2, 3), "threshold", 255, 128))
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
        random_network(0, (3, 2), Input((3,))).trace(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.array([[3, 4, 17]]), "images must lie in 0 … 16, but some lie in 3 … 17"),
        (np.array([[3, -4, 7]]), "images must lie in 0 … 16, but some lie in -4 … 7"),
        (np.zeros((2, 3)), "images must be integers, not float64"),
    ],
)
def test_encode_refuses_what_is_no_pixel(images, message):
    network = random_network(0, (3, 2), Input((3,), "threshold", 16, 8))
    with pytest.raises(ValueError, match=message):
        network.trace(images)


def test_sizes_must_fit_the_input():
    with pytest.raises(ValueError, match="the first size must be the input's 24 values, not 25"):
        nn.BinaryMLP((25, 2), BITS)
    with pytest.raises(ValueError, match="two or more positive widths"):
        nn.BinaryMLP((24,), BITS)


@pytest.mark.parametrize("module", ["nn", "fold", "train", "twin"])
def test_missing_torch_says_what_to_install(module):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from xnorgrid.extras import MissingExtra\n"
        f"try: import xnorgrid.{module}\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "torch is not installed" in done.stdout
    assert 'pip install "xnorgrid[train]"' in done.stdout
