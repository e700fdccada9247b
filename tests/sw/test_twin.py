"""Rebuilt networks equal the trained ones, and bundled models keep what they promise."""

import dataclasses

import numpy as np
import pytest
import torch
from torch_networks import random_images, random_network, randomise

from xnorgrid import modelfile
from xnorgrid.fold import fold
from xnorgrid.model import Input
from xnorgrid.network import BinaryMLP, BinaryNetwork
from xnorgrid.nn import BinaryConv2d, BinaryLinear, Block
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed
from xnorgrid.twin import TwinError, twin


def trained_like(seed, eps):
    torch.manual_seed(seed)
    network = BinaryMLP((24, 17, 9, 4), Input((4, 6), "threshold", 255, 128), eps=eps)
    for block in network.hidden:
        torch.nn.init.normal_(block.norm.weight)
        torch.nn.init.normal_(block.norm.bias)
        torch.nn.init.normal_(block.norm.running_mean, std=4)
        torch.nn.init.uniform_(block.norm.running_var, 0, 20)
    return network


@pytest.mark.parametrize(("seed", "eps"), [(0, 1e-4), (1, 1e-4), (2, 1e-3), (3, 0.5)])
def test_twin_of_a_saved_model_is_the_network(seed, eps, tmp_path):
    network = trained_like(seed, eps)
    modelfile.save(fold(network, "net"), tmp_path / "net.safetensors")
    rebuilt = twin(modelfile.load(tmp_path / "net.safetensors"))
    assert not rebuilt.training
    images = np.random.default_rng(seed).integers(0, 256, (200, 4, 6))
    for ours, theirs in zip(rebuilt.trace(images), network.trace(images), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_twin_folds_to_the_same_model():
    model = fold(trained_like(0, 1e-4), "net")
    assert fold(twin(model), "net") == model


def test_twins_of_random_networks():
    rng = np.random.default_rng(new_seed())
    for _ in range(40):
        network = random_network(rng, weight_planes=True)
        model = fold(network, "net")
        rebuilt = twin(model)
        images = random_images(network.input, 6, rng)
        for ours, theirs in zip(rebuilt.trace(images), network.trace(images), strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        assert np.array_equal(rebuilt.outputs(images), network.outputs(images))
        assert fold(rebuilt, "net") == model


@pytest.mark.parametrize("fill", [-1, 0, 1])
def test_twin_of_falling_channels_pooled_after_the_sign(fill):
    seed = new_seed()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    block = Block(BinaryConv2d(3, 50, 3, padding=1, fill=fill), pool="activations")
    randomise(block.norm, 27, rng)
    block.norm.weight.data.abs_().neg_()
    source = Input((7, 6, 3), "pixels", 15)
    network = BinaryNetwork(source, [block], BinaryLinear(450, 3)).eval()
    model = fold(network, "net")
    images = random_images(source, 30, rng)
    expected = network.trace(images)
    assert 0 < expected[0].mean() < 1
    for ours, theirs in zip(twin(model).trace(images), expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_pooling_of_three_has_no_twin():
    network = BinaryNetwork(Input((8, 8)), [Block(BinaryConv2d(1, 2))], BinaryLinear(72, 2))
    model = fold(network, "net")
    layers = [dataclasses.replace(model.layers[0], pool=3)]
    layers.append(dataclasses.replace(model.layers[1], weights=model.layers[1].weights[:, :8]))
    with pytest.raises(TwinError, match="pools 3x3 positions in layer 'conv1', which the PyTorch"):
        twin(dataclasses.replace(model, layers=tuple(layers)))


def test_twin_owes_nothing_to_the_thresholds():
    model = fold(trained_like(0, 1e-4), "net")
    first = model.layers[0]
    # In reach of the fan-in either way, so the reference must differ from PyTorch.
    wrong = np.where(first.thresholds > 12, first.thresholds - 1, first.thresholds + 1)
    layers = (dataclasses.replace(first, thresholds=wrong), *model.layers[1:])
    damaged = dataclasses.replace(model, layers=layers)
    images = np.random.default_rng(0).integers(0, 256, (200, 4, 6))
    assert np.array_equal(twin(damaged).trace(images)[0], twin(model).trace(images)[0])
    expected = reference.layers(model, images)[0].bits
    assert not np.array_equal(reference.layers(damaged, images)[0].bits, expected)


def test_models_made_elsewhere_have_no_twin():
    model = dataclasses.replace(fold(trained_like(0, 1e-4), "net"), batchnorm={})
    with pytest.raises(TwinError, match="model 'net' has no BatchNorm for layer 'dense1'"):
        twin(model)


@pytest.mark.parametrize("name", modelfile.bundled_models())
def test_bundled_bits_do_not_depend_on_how_batchnorm_rounds(name):
    """A processor may fuse the product and the sum; PyTorch may factor the affine map in other ways."""
    model = modelfile.load(name)
    for index, layer in enumerate(model.layers[:-1]):
        rows = model.batchnorm[layer.name]
        largest = layer.fan_in * model.amplitude(index)
        # Twice the agreeing inputs and, where padding is 0, everything between.
        step = 2 - layer.counts_halves
        counts = np.arange(0, 2 * largest + 1, step)[:, None]
        expected = (counts // step >= layer.thresholds) ^ layer.inverted
        for dtype in (np.float32, np.float64):
            gamma, beta, mean, variance = rows.astype(dtype)
            sums = (counts - largest).astype(dtype)
            scale = 1 / np.sqrt(variance + dtype(model.batchnorm_eps))
            gain = gamma * scale
            offset = beta - mean * gain
            fused = sums.astype(np.float64) * gain + offset
            for y in (sums * gain + offset, fused, (sums - mean) * scale * gamma + beta):
                assert np.array_equal(y >= 0, expected)


@pytest.mark.parametrize(
    ("name", "least"),
    [("sfc", 0.973), ("lfc", 0.984), ("cnv", 0.801), ("bnn-cifar10-half", 0.85), ("digits", 0.9)],
)
def test_bundled_accuracy(name, least):
    assert modelfile.load(name).provenance["test_accuracy"] >= least
