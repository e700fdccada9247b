"""Binary layers: numbers and gradients."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch_networks import convolve, pool

from xnorgrid import nn
from xnorgrid.sim.streams import new_seed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_sign_of_zero_is_plus_one(dtype):
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0], dtype=dtype)
    assert nn.sign(x).tolist() == [-1, -1, 1, 1, 1, 1]
    assert nn.sign(x).dtype == dtype


def test_activation_gradient_passes_inside_the_window_only():
    x = torch.tensor([-1.5, -1.0, -0.999, -0.5, 0.0, 0.999, 1.0, 1.5], requires_grad=True)
    y = nn.binarize(x)
    y.backward(torch.arange(1.0, 9.0))
    assert y.tolist() == [-1, -1, -1, -1, 1, 1, 1, 1]
    assert x.grad.tolist() == [0, 0, 3, 4, 5, 6, 0, 0]


def test_weight_gradient_has_no_window():
    weight = torch.tensor([-1.5, 0.0, 2.0], requires_grad=True)
    nn.binarize_weight(weight).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert weight.grad.tolist() == [1, 2, 3]


def test_weights_of_several_bits_are_odd_whole_numbers():
    weight = torch.tensor([-2.0, -1.0, -0.5001, -0.5, -0.001, 0.0, 0.5, 0.9, 1.0, 3.0])
    assert nn.levels(weight, 2).tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 3]
    assert nn.quantize_weight(weight, 2).tolist() == [-3, -3, -3, -1, -1, 1, 3, 3, 3, 3]
    assert nn.quantize_weight(weight, 1).tolist() == nn.sign(weight).tolist()
    spread = torch.linspace(-1, 1, 1001)
    assert nn.quantize_weight(spread, 4).unique().tolist() == list(range(-15, 16, 2))


def test_the_gradient_of_several_bits_has_no_window():
    weight = torch.tensor([-1.5, 0.0, 2.0], requires_grad=True)
    nn.quantize_weight(weight, 3).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert weight.grad.tolist() == [1, 2, 3]


def test_linear_gradient_is_that_of_the_binary_weights():
    layer = nn.BinaryLinear(3, 2)
    layer.weight.data = torch.tensor([[0.2, -0.9, 0.0], [-0.1, 1.0, -1.0]])
    x = torch.tensor([[1.0, 1.0, -1.0]], requires_grad=True)
    layer(x).backward(torch.tensor([[1.0, 10.0]]))
    assert layer(x).tolist() == [[-1, 1]]
    assert x.grad.tolist() == [[-9, 9, -9]]
    assert layer.weight.grad.tolist() == [[1, 1, -1], [10, 10, -10]]


@pytest.mark.parametrize("training", [False, True])
def test_convolution_gradient_is_that_of_the_binary_weights(training):
    layer = nn.BinaryConv2d(1, 1, (1, 2), padding=(0, 1), fill=1).train(training)
    layer.weight.data = torch.tensor([[[[0.2, -3.0]]]])
    x = torch.tensor([[[[1.0, -1.0]]]], requires_grad=True)
    y = layer(x)
    # On 1, 1, -1, 1: the outer ones are the padding.
    assert y.tolist() == [[[[0, 2, -2]]]]
    y.backward(torch.tensor([[[[1.0, 10.0, 100.0]]]]))
    assert x.grad.tolist() == [[[[9, 90]]]]
    assert layer.weight.grad.tolist() == [[[[1 + 10 - 100, 1 - 10 + 100]]]]


@pytest.mark.parametrize("fan_in", [1, 63, 784, 4097])
def test_linear_is_the_exact_dot_product(fan_in):
    torch.manual_seed(new_seed())
    layer = nn.BinaryLinear(fan_in, 17)
    x = nn.sign(torch.randn(9, fan_in))
    expected = x.numpy().astype(np.int64) @ np.where(layer.weight.detach() >= 0, 1, -1).T
    assert np.array_equal(layer(x).detach().numpy(), expected)


def binary(layer):
    return np.where(layer.weight.detach().permute(0, 2, 3, 1) >= 0, 1, -1)


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize(
    ("count", "channels", "size", "kernel", "options"),
    [
        (3, 5, (9, 7), 3, {}),
        (1, 1, (1, 1), 1, {}),
        (2, 3, (8, 11), (2, 5), {"stride": 2}),
        (2, 3, (7, 7), 7, {"padding": 3, "fill": 0}),
        (4, 6, (5, 8), (3, 4), {"padding": (2, 0), "fill": 1, "stride": 2}),
        (4, 6, (6, 5), (4, 3), {"padding": (0, 2), "fill": -1}),
        # From 16 images on a build without oneDNN takes Winograd's algorithm, which rounds.
        (17, 64, (17, 13), 3, {"padding": 1, "fill": 0}),
        (16, 130, (12, 9), 3, {"padding": 1, "fill": 1}),
    ],
)
@pytest.mark.parametrize("amplitude", [1, 255])
def test_convolution_is_the_exact_dot_product(
    onednn, count, channels, size, kernel, options, amplitude
):
    seed = new_seed()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layer = nn.BinaryConv2d(channels, 33, kernel, **options).eval()
    layer.amplitude = amplitude
    x = 2 * rng.integers(0, amplitude + 1, (count, *size, channels)) - amplitude
    stride, padding = options.get("stride", 1), layer.padding
    expected = convolve(x, binary(layer), stride, padding, layer.fill * amplitude)
    maps = torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2)
    was = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(onednn)
    try:
        # Memory in the order of x, and in PyTorch's own.
        found = [layer(maps), layer(maps.contiguous())]
    finally:
        torch._C._set_mkldnn_enabled(was)
    for sums in found:
        assert np.array_equal(sums.detach().permute(0, 2, 3, 1).numpy(), expected)


def test_a_dense_layer_flattens_row_column_channel():
    torch.manual_seed(new_seed())
    layer = nn.BinaryLinear(2 * 3 * 4, 5)
    x = nn.sign(torch.randn(6, 2, 3, 4))
    maps = x.permute(0, 3, 1, 2)
    assert torch.equal(layer(maps), layer(x.reshape(6, 24)))
    assert torch.equal(layer(maps.contiguous()), layer(x.reshape(6, 24)))
    assert not torch.equal(layer(maps), layer(maps.flatten(1)))


@pytest.mark.parametrize("pooled", [None, "products", "activations"])
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_block_is_product_pooling_norm_and_sign_in_its_order(pooled, size):
    seed = new_seed()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    product = nn.BinaryConv2d(3, 8, 3, padding=1, fill=-1)
    block = nn.Block(product, pool=pooled).eval()
    # Numbers that BatchNorm does not round: gain ±1 and a whole mean.
    gain, mean = rng.choice([-1, 1], 8), rng.integers(-4, 5, 8)
    block.norm.eps = 0.0
    block.norm.weight.data = torch.tensor(gain, dtype=torch.float32)
    block.norm.running_mean.data = torch.tensor(mean, dtype=torch.float32)
    x = rng.choice([-1, 1], (4, *size, 3))
    sums = convolve(x, binary(product), padding=(1, 1), value=-1)
    if pooled == "products":
        sums = pool(sums, 2, np.max)
    expected = np.where((sums - mean) * gain >= 0, 1, -1)
    if pooled == "activations":
        expected = pool(expected, 2, np.max)
    found = block(torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2))
    assert np.array_equal(found.detach().permute(0, 2, 3, 1).numpy(), expected)


@pytest.mark.parametrize("channels", [1, 7, 8, 33])
def test_maps_and_columns_go_through_the_same_batchnorm(channels):
    seed = new_seed()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    block = nn.Block(nn.BinaryConv2d(1, channels, 1)).eval()
    dense = nn.Block(nn.BinaryLinear(1, channels)).eval()
    for norm in (block.norm, dense.norm):
        norm.weight.data = torch.tensor(rng.normal(size=channels), dtype=torch.float32)
        rng = np.random.default_rng(seed)
    seen = []
    for layer in (block, dense):
        layer.norm.register_forward_hook(lambda _, x, y: seen.append((x[0], y)))
    maps = nn.sign(torch.randn(3, 1, 5, 4))
    block.product.weight.data, dense.product.weight.data = (
        torch.ones(channels, 1, 1, 1),
        torch.ones(channels, 1),
    )
    block(maps)
    dense(maps.permute(0, 2, 3, 1).reshape(-1, 1))
    (x, y), (other_x, other_y) = seen
    assert x.shape == other_x.shape == (60, channels)
    assert x.is_contiguous() and other_x.is_contiguous()
    assert torch.equal(y, other_y)


def test_squared_hinge():
    outputs = torch.tensor([[0.5, -2.0, 0.0], [3.0, 1.0, -1.0]])
    # Margins at the labels 0 and 1: 0.5, 2, 0 and -3, 1, 1.
    losses = [0.25, 0.0, 1.0, 16.0, 0.0, 0.0]
    loss = nn.squared_hinge(outputs, torch.tensor([0, 1], dtype=torch.uint8))
    assert loss.item() == np.float32(np.mean(losses))


def test_rate_scale_is_the_inverse_of_glorots_deviation():
    assert nn.BinaryLinear(784, 256).rate_scale == pytest.approx(1 / (1.5 / 1040) ** 0.5, rel=1e-12)
    # Each of 64 inputs reaches 128 channels at 3 x 5 places.
    scale = nn.BinaryConv2d(64, 128, (3, 5)).rate_scale
    assert scale == pytest.approx(1 / (1.5 / (15 * 192)) ** 0.5, rel=1e-12)


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


def test_class_norm_is_batchnorm_with_float32_gain_and_offset():
    seed = new_seed()
    rng = np.random.default_rng(seed)
    norm = nn.ClassNorm(6)
    for row, scale in ((norm.weight, 1), (norm.bias, 1), (norm.running_mean, 30)):
        row.data = torch.tensor(rng.normal(size=6) * scale, dtype=torch.float32)
    norm.running_var.data = torch.tensor(rng.uniform(1, 900, 6), dtype=torch.float32)
    scores = torch.tensor(rng.integers(-512, 512, (20, 6)), dtype=torch.float32)
    gain, offset = norm.gain_and_offset().numpy()
    assert gain.dtype == np.float32
    norm.eval()
    expected = scores.numpy().astype(np.float64) * gain + offset
    assert np.array_equal(norm(scores).detach().numpy(), expected)
    plain = torch.nn.functional.batch_norm(
        scores, norm.running_mean, norm.running_var, norm.weight, norm.bias
    )
    assert np.allclose(plain.detach(), expected, rtol=1e-4, atol=1e-4)
    norm.train()
    trained = norm(scores)
    assert np.allclose(trained.mean(0).detach(), norm.bias.detach(), atol=1e-5)


@pytest.mark.parametrize("fill", [2, None, 0.5])
def test_padding_holds_bits_or_zeros(fill):
    with pytest.raises(ValueError, match=f"fill must be -1, 0 or 1, not {fill}"):
        nn.BinaryConv2d(1, 1, padding=1, fill=fill)


def test_only_two_places_to_pool():
    with pytest.raises(ValueError, match="pool must be None, 'products' or 'activations', not 2"):
        nn.Block(nn.BinaryConv2d(1, 1), pool=2)
    with pytest.raises(ValueError, match="only a convolution has positions to pool"):
        nn.Block(nn.BinaryLinear(1, 1), pool="products")


def test_only_binary_products():
    with pytest.raises(ValueError, match="must be a BinaryLinear or BinaryConv2d, not Conv2d"):
        nn.Block(torch.nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize("module", ["nn", "network", "fold", "train", "twin"])
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
