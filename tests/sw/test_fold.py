"""Folding: every bit at every dot product a neuron can meet, against PyTorch's own forward pass."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch_networks import convolve, evaluate, random_images, random_network, randomise

from xnorgrid.encoding import WeightPlanes
from xnorgrid.fold import FoldError, fold, fold_block
from xnorgrid.model import Conv, Input
from xnorgrid.network import BinaryCNN, BinaryMLP, BinaryNetwork
from xnorgrid.nn import BinaryConv2d, BinaryLinear, Block
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed


def block_with(n, gamma, beta, mean, variance):
    """A block whose channels see the plain sum of n inputs."""
    block = Block(BinaryLinear(n, len(gamma))).eval()
    with torch.no_grad():
        block.product.weight.fill_(1)
        for target, row in (
            (block.norm.weight, gamma),
            (block.norm.bias, beta),
            (block.norm.running_mean, mean),
            (block.norm.running_var, variance),
        ):
            target.copy_(torch.as_tensor(row, dtype=torch.float32))
    return block


def every_count(n):
    """Inputs (n + 1, n): the first p of row p are +1."""
    return torch.tensor(np.tri(n + 1, n, -1, dtype=np.float32) * 2 - 1)


def random_channels(rng, n, count):
    """Gamma, beta, mean and variance with ties, zero gammas, both signs and extreme variances."""
    gamma = rng.normal(size=count)
    gamma[rng.random(count) < 0.05] = 0
    beta = rng.normal(size=count) * rng.choice([0, 1e-3, 1, 100], count)
    mean = rng.normal(size=count) * n**0.5
    # A whole mean of the sum's parity and beta = 0 make y exactly 0 at one sum.
    tie = rng.random(count) < 0.3
    mean[tie] = rng.integers(-n // 2, n // 2, tie.sum()) * 2 + n % 2
    beta[tie] = 0
    variance = rng.choice([0, 1e-30, 1e-4, 1, n, 1e6, 1e30], count) * rng.random(count)
    return gamma, beta, mean, variance


@pytest.mark.parametrize(("seed", "n"), [(0, 24), (1, 25), (2, 1), (3, 100)])
def test_every_bit_of_ten_thousand_random_channels(seed, n):
    rng = np.random.default_rng(seed)
    block = block_with(n, *random_channels(rng, n, 10_000))
    layer, _ = fold_block(block, "layer")
    thresholds, inverted = layer.thresholds, layer.inverted
    assert thresholds.min() >= 0
    assert thresholds.max() <= n + 1
    folded = (np.arange(n + 1)[:, None] >= thresholds) ^ inverted
    x = every_count(n)
    # However PyTorch is called, one image at a time or many, the bits are the same.
    for batch in (1, 7, n + 1):
        with torch.no_grad():
            bits = np.concatenate([(block(part) > 0).numpy() for part in x.split(batch)])
        assert np.array_equal(folded, bits)


@pytest.mark.parametrize(("seed", "out"), [(0, 1), (1, 15), (2, 33)])
def test_every_bit_whatever_the_width(seed, out):
    # The kernel takes vectors of 8 or 16 channels and the rest in another way.
    rng = np.random.default_rng(seed)
    n = 64
    for _ in range(20):
        block = block_with(n, *random_channels(rng, n, out))
        layer, _ = fold_block(block, "layer")
        folded = (np.arange(n + 1)[:, None] >= layer.thresholds) ^ layer.inverted
        with torch.no_grad():
            assert np.array_equal(folded, (block(every_count(n)) > 0).numpy())


@pytest.mark.parametrize(
    ("n", "gamma", "beta", "mean", "threshold", "inverted"),
    [
        # Ties are +1: at s = 0 of 8 inputs, 4 agree.
        (8, 1, 0, 0, 4, False),
        (8, -1, 0, 0, 5, True),
        # 7 inputs never sum to 0; the next sums are -1 and 1, 3 and 4 agreeing.
        (7, 1, 0, 0, 4, False),
        (7, -1, 0, 0, 4, True),
        # s >= 2 and s <= 2, 5 agreeing.
        (8, 3, 0, 2, 5, False),
        (8, -3, 0, 2, 6, True),
        # Just past the tie.
        (8, 1, 0, 2.001, 6, False),
        (8, -1, 0, 1.999, 5, True),
        # Gamma 0: the sign of beta alone.
        (8, 0, 0, 3, 0, False),
        (8, 0, 1, 3, 0, False),
        (8, 0, -1, 3, 9, False),
        # Out of reach: all or none.
        (8, 1, 0, -9, 0, False),
        (8, 1, 0, 9, 9, False),
        (8, -1, 0, 9, 0, False),
        (8, -1, 0, -9, 9, False),
        # Only the extreme sums.
        (8, 1, 0, 8, 8, False),
        (8, -1, 0, -8, 1, True),
    ],
)
def test_threshold(n, gamma, beta, mean, threshold, inverted):
    block = block_with(n, [gamma], [beta], [mean], [1])
    layer, _ = fold_block(block, "layer")
    assert (layer.thresholds.tolist(), layer.inverted.tolist()) == ([threshold], [inverted])


def dense_network(seed, sizes):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = BinaryMLP(sizes, Input((sizes[0],)))
    for block in network.hidden:
        n = block.product.in_features
        trained = block_with(n, *random_channels(rng, n, block.product.out_features))
        block.norm.load_state_dict(trained.norm.state_dict())
    return network


@pytest.mark.parametrize(
    ("seed", "sizes"),
    [(0, (24, 17, 9, 4)), (1, (7, 13, 1, 5, 2)), (2, (130, 64, 3)), (3, (1, 1, 1)), (4, (9, 3))],
)
def test_reference_on_the_folded_network_is_pytorch(seed, sizes):
    network = dense_network(seed, sizes)
    images = np.random.default_rng(seed).integers(0, 2, (300, sizes[0]))
    model = fold(network, "net")
    *bits, scores = network.trace(images)
    *hidden, last = reference.layers(model, images)
    assert [layer.name for layer in model.layers] == [
        *(f"dense{i}" for i in range(1, len(sizes) - 1)),
        "scores",
    ]
    for expected, result in zip(bits, hidden, strict=True):
        assert np.array_equal(expected, result.bits)
    assert np.array_equal(scores, last.scores)


def test_latent_weights_of_zero_are_plus_one():
    network = dense_network(0, (4, 2))
    network.head.weight.data = torch.tensor([[0.0, -0.0, 0.5, -0.5], [-1.0, 1.0, -1e-30, 1e-30]])
    model = fold(network, "net")
    assert model.layers[0].weights.tolist() == [[1, 1, 1, 0], [0, 1, 0, 1]]
    assert network.scores(np.ones((1, 4), int)).tolist() == [[2, 0]]


def test_fold_leaves_the_network_alone():
    network = dense_network(0, (24, 17, 4)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold(network, "net")
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_fold_keeps_what_it_is_given():
    network = dense_network(0, (24, 17, 2))
    model = fold(network, "net", labels=("a", "b"), provenance={"seed": 0})
    assert (model.name, model.labels, model.provenance) == ("net", ("a", "b"), {"seed": 0})
    assert model.input == network.input
    rows = model.batchnorm["dense1"]
    assert np.array_equal(rows[0], network.hidden[0].norm.weight.detach())
    assert np.array_equal(rows[3], network.hidden[0].norm.running_var)


class Wave(Block):
    def activate(self, products):
        return torch.where(torch.sin(products) >= 0, 1.0, -1.0)


def test_an_activation_that_is_no_threshold_is_refused():
    head = BinaryLinear(3, 2)
    network = BinaryNetwork(Input((9,)), [Wave(BinaryLinear(9, 3))], head)
    with pytest.raises(
        FoldError, match=r"dense1: in channel 0 its activation flips \d times .* -9 to 9"
    ):
        fold(network, "net")


@pytest.mark.parametrize("row", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(row, value):
    network = dense_network(0, (24, 17, 9, 4))
    getattr(network.hidden[1].norm, row).data[5] = value
    with pytest.raises(FoldError, match="dense2: in channel 5 its BatchNorm has a value that i"):
        fold(network, "net")


def test_a_weight_that_is_not_finite_is_refused():
    network = dense_network(0, (24, 17, 4))
    network.head.weight.data[3, 7] = float("nan")
    with pytest.raises(FoldError, match="scores: in channel 3 a weight is not finite"):
        fold(network, "net")


def test_several_eps_are_refused():
    network = dense_network(0, (24, 17, 9, 4))
    network.hidden[1].norm.eps = 1e-3
    message = r"dense2: its BatchNorm's eps is 0\.001, but the first layer's is 0\.0001"
    with pytest.raises(FoldError, match=message):
        fold(network, "net")


def test_random_networks_are_their_models():
    rng = np.random.default_rng(new_seed())
    for _ in range(60):
        network = random_network(rng, weight_planes=True)
        model = fold(network, "net")
        images = random_images(network.input, 6, rng)
        trace = network.trace(images)
        for plain in (evaluate(model, images), reference.layers(model, images)):
            for expected, result in zip(trace, plain, strict=True):
                values = getattr(result, "values", result)
                assert expected.shape == values.shape
                assert np.array_equal(expected, values)
        assert np.array_equal(network.outputs(images), model.outputs(trace[-1]))


def conv_block(fill, pool, *, amplitude=1, out=200, rng):
    product = BinaryConv2d(2, out, (2, 3), padding=(1, 0), fill=fill)
    product.amplitude = amplitude
    block = Block(product, pool=pool).eval()
    randomise(block.norm, product.fan_in * amplitude, rng)
    return block


@pytest.mark.parametrize("fill", [-1, 0, 1])
@pytest.mark.parametrize("pool", [None, "products", "activations"])
@pytest.mark.parametrize("amplitude", [1, 7])
def test_every_bit_of_every_sum_of_a_convolution(fill, pool, amplitude):
    rng = np.random.default_rng(new_seed())
    block = conv_block(fill, pool, amplitude=amplitude, rng=rng)
    layer, rows = fold_block(block, "layer")
    assert (layer.stride, layer.padding, layer.fill, layer.pool) == (
        1,
        (1, 0),
        fill,
        2 if pool else 1,
    )
    # Of zeros and odd values every sum can be had; otherwise every second.
    sums = np.arange(-12 * amplitude, 12 * amplitude + 1, 1 if fill == 0 else 2)
    columns = torch.tensor(sums[:, None].repeat(200, 1), dtype=torch.float32)
    bits = (block.activate(columns) > 0).numpy()
    falling = bits[0] & ~bits[-1]
    assert 20 < falling.sum() < 180
    weights = (block.product.weight.detach().permute(0, 2, 3, 1) >= 0).numpy()
    if pool == "activations":
        assert not layer.inverted.any()
        assert np.array_equal(layer.weights, weights ^ falling[:, None, None, None])
        assert np.array_equal(rows[0] < 0, (block.norm.weight.detach().numpy() < 0) & ~falling)
        sums = sums[:, None] * np.where(falling, -1, 1)
    else:
        assert np.array_equal(layer.inverted, falling)
        assert np.array_equal(layer.weights, weights)
        sums = sums[:, None]
    agreeing = sums + 12 * amplitude
    if fill:
        agreeing = agreeing // 2
    assert np.array_equal((agreeing >= layer.thresholds) ^ layer.inverted, bits)


def test_zero_padding_thresholds_count_halves():
    block = Block(BinaryConv2d(1, 4, 2, padding=1, fill=0)).eval()
    block.norm.weight.data = torch.tensor([1.0, 1.0, -1.0, 1.0])
    block.norm.running_mean.data = torch.tensor([0.0, 0.5, 0.0, 9.0])
    layer, _ = fold_block(block, "layer")
    # 2p = s + 4: s >= 0, s >= 1, not (s >= 1), never.
    assert layer.thresholds.tolist() == [4, 5, 5, 9]
    assert layer.inverted.tolist() == [False, False, True, False]


def test_a_fill_without_padding_has_no_effect():
    block = Block(BinaryConv2d(1, 1, 2, fill=0)).eval()
    layer, _ = fold_block(block, "layer")
    assert (layer.fill, layer.thresholds.tolist()) == (-1, [2])


def test_falling_channels_pooled_after_the_sign():
    """One position of four below the threshold is enough, which no OR before an inversion gives."""
    block = Block(BinaryConv2d(1, 1, 1), pool="activations").eval()
    block.product.weight.data.fill_(1)
    block.norm.weight.data.fill_(-1)
    block.norm.running_mean.data.fill_(-1)
    network = BinaryNetwork(Input((2, 2)), [block], BinaryLinear(1, 2)).eval()
    images = np.array([[[1, 1], [1, 0]], [[1, 1], [1, 1]]])
    model = fold(network, "net")
    assert network.trace(images)[0].ravel().tolist() == [1, 0]
    assert [bits.tolist() for bits in evaluate(model, images)[0].reshape(2, 1)] == [[True], [False]]
    layer = model.layers[0]
    assert (layer.weights.tolist(), layer.thresholds.tolist()) == ([[[[0]]]], [1])


def test_layers_are_named_by_kind_and_number():
    network = BinaryNetwork(
        Input((6, 6, 2)),
        [
            Block(BinaryConv2d(2, 3)),
            Block(BinaryConv2d(3, 4, (2, 1), stride=2)),
            Block(BinaryLinear(16, 5)),
        ],
        BinaryLinear(5, 2),
    )
    model = fold(network, "net")
    assert [layer.name for layer in model.layers] == ["conv1", "conv2", "dense1", "scores"]
    first, second, *_ = model.layers
    assert isinstance(second, Conv)
    assert (second.kernel, second.stride, second.padding, second.pool) == ((2, 1), 2, (0, 0), 1)
    x = np.ones((1, 6, 6, 2))
    weights = np.where(network.blocks[0].product.weight.detach() >= 0, 1, -1).transpose(0, 2, 3, 1)
    assert np.array_equal(convolve(x, first.weights * 2.0 - 1), convolve(x, weights))


def test_pixels_reach_the_amplitude_times_the_fan_in():
    network = BinaryMLP((3, 2, 2), Input((3,), "pixels", 255))
    network.hidden[0].norm.running_mean.data = torch.tensor([-100.0, 765.5])
    layer = fold(network, "net").layers[0]
    # 2p - 765 >= -100 and, never, 2p - 765 > 765.
    assert layer.thresholds.tolist() == [333, 766]


def test_batchnorm_without_gain_and_offset():
    network = BinaryMLP((9, 4, 2), Input((9,)))
    network.hidden[0].norm = nn.BatchNorm1d(4, eps=1e-4, affine=False)
    network.hidden[0].norm.running_mean.data = torch.tensor([0.0, 2.0, -4.0, 8.0])
    model = fold(network, "net")
    assert model.layers[0].thresholds.tolist() == [5, 6, 3, 9]
    assert model.batchnorm["dense1"][:2].tolist() == [[1] * 4, [0] * 4]


class Shifted(Block):
    def activate(self, products):
        return torch.where(products >= 2, 1.0, -1.0)


def test_an_activation_of_its_own_that_is_a_threshold():
    network = BinaryNetwork(Input((9,)), [Shifted(BinaryLinear(9, 2))], BinaryLinear(2, 2))
    network.blocks[0].norm = None
    model = fold(network, "net")
    assert model.layers[0].thresholds.tolist() == [6, 6]
    assert model.batchnorm == {}


class Residual(Block):
    def forward(self, x):
        return x + super().forward(x)


def test_all_layers_without_an_integer_form_are_listed_at_once():
    blocks = [
        Block(BinaryConv2d(4, 8, 3, groups=2)),
        Block(BinaryConv2d(8, 8, (3, 1), stride=(1, 2), dilation=2, padding=(3, 0))),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(8),
        nn.Dropout(0.5),
        nn.Flatten(),
        Block(BinaryConv2d(8, 8, 1)),
        Residual(BinaryLinear(8, 8)),
        Wave(BinaryLinear(8, 8)),
        Block(BinaryLinear(8, 8)),
        Block(BinaryLinear(8, 8)),
        Block(BinaryLinear(8, 8), eps=1e-2),
        Block(BinaryLinear(8, 8)),
    ]
    blocks[9].product = nn.Conv2d(8, 8, 1)
    blocks[12].norm = nn.BatchNorm1d(8, eps=1e-4, track_running_stats=False)
    blocks[13].norm = nn.LayerNorm(8)
    blocks[15].norm.bias.data[3] = torch.nan
    blocks[15].product.weight.data[2, 1] = torch.inf
    network = BinaryNetwork(Input((9, 9, 4)), blocks, BinaryLinear(8, 2))
    network.norm = nn.Softmax(1)
    with pytest.raises(FoldError) as caught:
        fold(network, "net")
    first, *lines = str(caught.value).splitlines()
    assert first == "these layers have no integer form:"
    expected = [
        ("conv1", "groups=2", "use groups=1"),
        ("conv2", "dilation=(2, 2)", "use dilation=1"),
        ("conv2", "stride=(1, 2)", "use one number"),
        ("conv2", "padding=(3, 0)", "use less padding than the kernel's size"),
        ("blocks.2 (ReLU)", "no Block", "sign, the only activation"),
        ("blocks.3 (Conv2d)", "no Block", "use Block(BinaryLinear(…)) or Block(BinaryConv2d(…))"),
        ("blocks.4 (MaxPool2d)", "no Block", "pool='products' or pool='activations'"),
        ("blocks.5 (AvgPool2d)", "no Block", "an average of bits is no bit"),
        ("blocks.6 (BatchNorm2d)", "no Block", "a Block normalises its products itself"),
        ("blocks.7 (Dropout)", "no Block", "a Block has its own dropout"),
        ("blocks.8 (Flatten)", "no Block", "a dense layer flattens feature maps itself"),
        ("conv3", "its product is a Conv2d", "use BinaryLinear or BinaryConv2d"),
        ("dense1", "its class Residual has a forward() of its own", "use Block, or change act"),
        ("dense2", "its activation flips", "use an activation that is monotone"),
        ("dense3", "its BatchNorm1d keeps no mean", "use BatchNorm1d with track_running_stats"),
        ("dense4", "its LayerNorm keeps no mean", "use BatchNorm1d with track_running_stats"),
        ("dense5", "eps is 0.01, but the first layer's is 0.0001", "use the same eps"),
        ("dense6", "in channel 2 a weight is not finite", "train the network again"),
        ("dense6", "in channel 3 its BatchNorm has a value that is not finite", "train it again"),
        ("scores", "they go through a Softmax", "use class_norm=True"),
    ]
    assert len(lines) == len(expected)
    for line, (name, reason, remedy) in zip(lines, expected, strict=True):
        assert line.startswith(f"  {name}: "), line
        assert reason in line
        assert remedy in line


def test_scores_whose_order_the_loss_turned_are_refused():
    network = dense_network(0, (24, 17, 4))
    network.norm.gain.data.fill_(-0.5)
    with pytest.raises(FoldError, match=r"scores: the gain .* is -0\.5, so .*; call .* clip\(\)"):
        fold(network, "net")


def test_a_class_norm_that_is_not_finite_is_refused():
    network = BinaryMLP((9, 4, 2), Input((9,)), class_norm=True)
    network.norm.running_var.data[1] = -1
    with pytest.raises(FoldError, match="scores: their ClassNorm has a value that is not finite"):
        fold(network, "net")


def test_scores_come_from_a_dense_layer():
    network = BinaryNetwork(Input((2, 2)), [], BinaryConv2d(1, 2, 2))
    with pytest.raises(FoldError, match="scores: they come from a BinaryConv2d; use BinaryLinear"):
        fold(network, "net")


def test_sums_that_float32_does_not_hold_are_refused():
    network = BinaryMLP((260, 2), Input((260,), "pixels", 65535))
    with pytest.raises(
        FoldError, match="scores: its sums reach 17039100, and beyond 16777216 floa"
    ):
        fold(network, "net")


PLANES = Input((4, 4), "weight-planes", 15, encoding=WeightPlanes(2))


@pytest.mark.parametrize("fill", [0, 1])
def test_planes_of_weights_are_padded_with_the_darkest_pixel(fill):
    network = BinaryCNN([(3, 1)], (2,), PLANES, fill=fill)
    message = (
        rf"conv1: it pads with {fill:+d}, but planes of weights of 2 bits are exact with the darkest pixel "
        r"around the image; use fill=-1 or no padding"
    )
    with pytest.raises(FoldError, match=re.escape(message)):
        fold(network, "net")


def test_scores_are_not_of_weights_of_several_bits():
    network = BinaryNetwork(PLANES, [], BinaryLinear(16, 2))
    with pytest.raises(FoldError, match=r"scores: their weights have 2 bits.*put a Block before"):
        fold(network, "net")


def test_planes_are_those_of_the_weights():
    """Weights of 2 bits are planes of +-1 and +-2, and the sums behind the threshold are theirs."""
    network = BinaryMLP((2, 3, 2), Input((2,), "weight-planes", 3, encoding=WeightPlanes(2)))
    product, norm = network.hidden[0].product, network.hidden[0].norm
    product.weight.data = torch.tensor([[-1, 1], [-0.3, 0.3], [-0.3, 1]])
    norm.running_mean.data = torch.tensor([0.0, 5.9, 30.0])
    model = fold(network, "net")
    # -3 and 3, -1 and 1, -1 and 3: lowest plane first.
    assert model.layers[0].weights.tolist() == [[0, 0, 1, 1], [1, 0, 0, 1], [1, 0, 1, 1]]
    images = np.array([[u, v] for u in range(4) for v in range(4)])
    x = 2 * images - 3
    expected = x @ np.array([[-3, 3], [-1, 1], [-1, 3]]).T >= np.array([0, 5.9, 30])
    assert np.array_equal(reference.layers(model, images)[0].values, expected)


def test_other_networks_are_refused():
    with pytest.raises(
        FoldError, match="a Sequential has no integer form; build the network as Bin"
    ):
        fold(nn.Sequential(nn.Linear(2, 2)), "net")
