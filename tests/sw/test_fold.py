"""Folding: every bit at every dot product a neuron can meet, against PyTorch's own forward pass."""

import numpy as np
import pytest
import torch

from xnorgrid.fold import FoldError, fold, fold_block
from xnorgrid.model import Input
from xnorgrid.nn import BinaryLinear, BinaryMLP, BinaryNetwork, Block
from xnorgrid.sim import reference


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
    thresholds, inverted = fold_block(block, "layer")
    assert thresholds.dtype == np.int32
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
        thresholds, inverted = fold_block(block, "layer")
        folded = (np.arange(n + 1)[:, None] >= thresholds) ^ inverted
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
    thresholds, flips = fold_block(block, "layer")
    assert (thresholds.tolist(), flips.tolist()) == ([threshold], [inverted])


def random_network(seed, sizes):
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
    network = random_network(seed, sizes)
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
    network = random_network(0, (4, 2))
    network.head.weight.data = torch.tensor([[0.0, -0.0, 0.5, -0.5], [-1.0, 1.0, -1e-30, 1e-30]])
    model = fold(network, "net")
    assert model.layers[0].weights.tolist() == [[1, 1, 1, 0], [0, 1, 0, 1]]
    assert network.scores(np.ones((1, 4), int)).tolist() == [[2, 0]]


def test_fold_leaves_the_network_alone():
    network = random_network(0, (24, 17, 4)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold(network, "net")
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_fold_keeps_what_it_is_given():
    network = random_network(0, (24, 17, 2))
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
        FoldError, match=r"dense1, channel 0: its activation flips \d times .* -9 to 9"
    ):
        fold(network, "net")


@pytest.mark.parametrize("row", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(row, value):
    network = random_network(0, (24, 17, 9, 4))
    getattr(network.hidden[1].norm, row).data[5] = value
    with pytest.raises(FoldError, match="dense2, channel 5: its BatchNorm has a value that is not"):
        fold(network, "net")


def test_a_weight_that_is_not_finite_is_refused():
    network = random_network(0, (24, 17, 4))
    network.head.weight.data[3, 7] = float("nan")
    with pytest.raises(FoldError, match="scores, channel 3: a weight is not finite"):
        fold(network, "net")


def test_several_eps_are_refused():
    network = random_network(0, (24, 17, 9, 4))
    network.hidden[1].norm.eps = 1e-3
    with pytest.raises(FoldError, match=r"several eps \(\[0\.0001, 0\.001\]\)"):
        fold(network, "net")
