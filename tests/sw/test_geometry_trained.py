"""Geometry inside a trained network, held to PyTorch's modules, closed forms, and what must not matter."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch_networks import random_images, random_network
from tqdm import tqdm

from xnorgrid.checkpoint import Checkpoint, CheckpointError
from xnorgrid.data import load
from xnorgrid.geometry import control, suite
from xnorgrid.geometry.latents import latents, mode
from xnorgrid.geometry.pairs import Pairs
from xnorgrid.geometry.products import predicted_correlation
from xnorgrid.geometry.proportionality import (
    measure,
    permutation,
    predicted,
    proportionality,
    through,
)
from xnorgrid.geometry.rows import Settings
from xnorgrid.geometry.trained import Trained, TrainedLayer, load_trained
from xnorgrid.geometry.unbinarised import Change, Refitted, Variant, unbinarised
from xnorgrid.model import Input
from xnorgrid.network import BinaryMLP
from xnorgrid.nn import BinaryConv2d, BinaryLinear, sign
from xnorgrid.recipe import Recipe
from xnorgrid.sim.streams import new_seed
from xnorgrid.train import train

RECIPE = Recipe(
    dataset="digits", features=((8, 1), (12, 2), (16, 1)), hidden=(24,), fill=0, class_norm=True,
    epochs=2, batch=64, validation=144,
)  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """What a training returned, and its checkpoint."""
    path = tmp_path_factory.mktemp("training") / "digits.ckpt"
    return train(RECIPE, checkpoint=path), path


@pytest.fixture
def trained(training):
    """The network from the checkpoint, a new one for each test."""
    return load_trained(training[1])


@pytest.fixture
def rng():
    return np.random.default_rng(new_seed())


def scaled(trained, factor=0.3):
    """``trained`` with latent weights that are ±``factor``: nothing is lost by binarising them."""
    for layer in trained.layers:
        layer.product.weight.copy_(factor * layer.binary)
    return trained


def test_a_checkpoint_gives_the_network_that_the_training_returned(training, trained):
    images = training[0].dataset.test_images
    assert np.array_equal(trained.network.outputs(images), training[0].network.outputs(images))
    names = [layer.name for layer in trained.layers]
    assert names == ["conv1", "conv2", "conv3", "dense1", "scores"]
    assert [layer.name for layer in trained.studied] == names[:3]
    assert (trained.epoch, trained.epochs) == (training[0].best_epoch, 2)
    assert trained.description == (
        f"The network: 3x3 convolutions 8, 12 pooled, 16; dense layers 24; trained on digits for 2 of 2 "
        f"epochs, as it was after epoch {trained.epoch}, the best on validation images."
    )


def test_layers_are_pytorchs_own(rng):
    """Every product and block of random networks: any kernel, stride, padding, fill and pooling."""
    for _ in range(25):
        network = random_network(rng)
        x = network.shaped(network.encode(random_images(network.input, 5, rng)))
        for block in network.blocks:
            layer = TrainedLayer("any", block.product, block)
            with torch.no_grad():
                assert torch.equal(layer.sums(x, layer.binary), block.product(x))
                activations = layer.normalised(layer.pooled(layer.sums(x, layer.binary)))
                after = block(x)
            assert torch.equal(sign(activations), after)
            x = after


def test_outputs_are_the_networks(trained):
    images = trained.dataset.test_images
    scores = torch.from_numpy(trained.network.scores(images)).float()
    expected = trained.network.outputs(images)
    assert trained.outputs(scores).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_pairs_are_those_of_numpy_whatever_the_parts(rng):
    x, y = rng.integers(-9, 10, 3000).astype(float), rng.standard_normal(3000)
    y += x
    pairs = Pairs(3000)
    for part in np.array_split(np.arange(3000), 7):
        pairs.add(x[part], y[part])
    assert pairs.count == 3000
    assert pairs.covariance == pytest.approx(np.cov(x, y, bias=True))
    assert pairs.r == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert pairs.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    assert pairs.means == pytest.approx((x.mean(), y.mean()))
    assert pairs.sign_agreement == np.mean((x >= 0) == (y >= 0))
    assert np.array_equal(pairs.drawn, np.stack((x, y)))


def test_of_many_pairs_some_are_drawn(rng):
    pairs, x = Pairs(1_000_000), rng.standard_normal(100_000)
    for part in np.split(x, 10):
        pairs.add(part, -part)
    # Of a million expected, every fifth.
    assert np.array_equal(pairs.drawn, np.stack((x[::5], -x[::5])))


def test_pairs_that_do_not_vary_have_no_correlation():
    pairs = Pairs(3)
    pairs.add(np.ones(3), np.arange(3.0))
    assert np.isnan(pairs.r) and np.isnan(pairs.slope)


def test_nothing_is_lost_where_latent_weights_are_of_one_size(trained):
    for found in measure(scaled(trained, 0.3), Settings()):
        for pairs in (found.weights, found.permuted):
            assert pairs.r == pytest.approx(1, abs=1e-6)
            assert pairs.slope == pytest.approx(0.3, rel=1e-5)
        assert found.predicted == pytest.approx(1, abs=1e-6)
        # Sums of floats miss 0 by their rounding.
        assert found.weights.sign_agreement > 0.9
    assert latents(trained).curves["angles"]["conv2"] == pytest.approx(0, abs=0.1)


def test_products_are_those_of_the_layers_inputs(trained):
    """The second layer, by its definition."""
    images = trained.dataset.test_images
    first, second = trained.layers[:2]
    with torch.no_grad():
        continuous = first.block.norm(
            first.product(trained.inputs(images)).permute(0, 2, 3, 1).reshape(-1, 8)
        )
        continuous = continuous.view(len(images), 8, 8, 8).permute(0, 3, 1, 2)
        binary = torch.where(continuous >= 0, 1.0, -1.0)
        conv = torch.nn.functional.conv2d
        w_c = second.product.weight
        w_b = torch.where(w_c >= 0, 1.0, -1.0)
        x, y, z = (
            conv(a, w, padding=1).numpy().ravel()
            for a, w in ((binary, w_b), (binary, w_c), (continuous, w_b))
        )
    found = measure(trained, Settings())[1]
    assert found.weights.r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
    assert found.weights.slope == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-4)
    assert found.activations.r == pytest.approx(np.corrcoef(z, x)[0, 1], abs=1e-6)


def layer_of(product, rng):
    with torch.no_grad():
        product.weight.copy_(torch.from_numpy(rng.uniform(-1, 0.7, product.weight.shape)))
    return TrainedLayer("any", product.requires_grad_(False), None)


def independent(shape, rng):
    """±1 of which three in ten are +1."""
    return torch.from_numpy(np.where(rng.random(shape) < 0.3, 1, -1).astype(np.int8))


@pytest.mark.parametrize("fill", [-1, 0, 1])
def test_prediction_holds_for_independent_activations_with_padding(fill, rng):
    product = BinaryConv2d(6, 8, 3, padding=(1, 2), fill=fill)
    layer, inputs = layer_of(product, rng), independent((3000, 6, 4, 3), rng)
    expected = predicted(layer, inputs)
    assert through(layer, (inputs, inputs), (layer.binary, layer.latent)).r == pytest.approx(
        expected, abs=0.005
    )


def test_prediction_of_a_dense_layer_is_the_closed_form(rng):
    layer, inputs = layer_of(BinaryLinear(50, 7), rng), independent((40, 50), rng)
    values = inputs.numpy().astype(float)
    expected = predicted_correlation(
        layer.binary.numpy(), layer.filters, values.mean(), values.var()
    )
    assert predicted(layer, inputs) == pytest.approx(expected, abs=1e-5)


def test_permuted_activations_keep_their_values_and_meet_the_prediction(trained):
    sections = permutation(trained, measure(trained, Settings()))
    rows = {row.key: row for row in sections.rows}
    assert [rows[f"permutation.r.conv{k}"].passed for k in (1, 2, 3)] == [True] * 3


def test_proportionality_has_the_papers_gates(trained):
    section = proportionality(trained, measure(trained, Settings()))
    rows = {row.key: row for row in section.rows}
    assert rows["proportionality.r.conv2"].accepted == "≥ 0.9"
    least = min(rows[f"proportionality.r.conv{k}"].ours for k in (2, 3))
    assert rows["proportionality.r.conv1"].high == pytest.approx(least - 0.1)
    assert rows["proportionality.r.dense1"].passed is None
    assert rows["proportionality.sign.conv3"].low == 85
    assert rows["proportionality.activations.conv2"].low == 0.7
    assert "proportionality.activations.conv1" not in rows


def right(trained, **variants):
    """Which test images these variants of the network put right."""
    network = Refitted(trained, trained.dataset.train_images[:300])
    test = trained.dataset.test_images, trained.dataset.test_labels
    return network.right(variants, test, tqdm(disable=True))


def test_its_own_signs_instead_of_its_weights_change_nothing(trained):
    variants = {f"of {k}": Variant(frozenset(k)) for k in ((0,), (1,), (3,), (0, 1, 2))}
    # A power of two: sums are exact, and BatchNorm's epsilon is what is left to differ.
    found = right(scaled(trained, 0.5), binary=Variant(), **variants)
    for name in variants:
        assert np.mean(found[name] != found["binary"]) <= 0.01, name


def test_what_is_altered_changes_something(trained):
    found = right(
        trained,
        binary=Variant(),
        first=Variant(frozenset([0])),
        linear=Variant(linear=True),
        flipped=Variant(flips=((1, 0.5),)),
    )
    assert (found["first"] != found["binary"]).any()
    assert (found["linear"] != found["binary"]).any()
    # What is flipped half of the time tells nothing.
    assert found["flipped"].mean() < 0.25


def test_no_flips_and_all_flips(trained):
    """All signs flipped in one layer are put right by refitting the next, whose weights are not altered."""
    head = len(trained.layers) - 1
    found = right(
        trained,
        binary=Variant(),
        none=Variant(flips=((1, 0.0),)),
        all=Variant(flips=((head - 1, 1.0),)),
    )
    assert np.array_equal(found["none"], found["binary"])
    # The scores change sign, and so does their mean: the order is reversed.
    assert found["all"].mean() < 0.1


def test_activations_that_latent_weights_change(trained):
    network = Refitted(trained, trained.dataset.train_images[:300])
    assert 0 < network.changed(1) < 0.3
    same = Refitted(scaled(trained, 0.5), trained.dataset.train_images[:300])
    assert same.changed(1) <= 0.001


def test_refitted_statistics_are_pytorchs_own(trained):
    """In training mode a BatchNorm of momentum 1 takes over those of its one batch."""
    data, network = trained.dataset, trained.network
    found = right(trained, binary=Variant())["binary"]
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    network.train()(network.encode(data.train_images[:300]))
    network.eval()
    expected = network.outputs(data.test_images).argmax(1) == data.test_labels
    # PyTorch keeps n/(n - 1) of the variance.
    assert np.mean(found != expected) <= 0.01


def test_a_dense_network_without_binary_weights_by_numpy(rng):
    torch.manual_seed(int(rng.integers(1 << 31)))
    data = load("digits")
    network = BinaryMLP((64, 20, 10), Input((8, 8), "threshold", 16, 6))
    recipe = Recipe(dataset="digits", hidden=(20,), epochs=1)
    trained = Trained(network.eval().requires_grad_(False), recipe, data, 1, 1)
    found = right(trained, all=Variant(frozenset([0])))["all"]
    weights = network.blocks[0].product.weight.numpy().astype(float)
    sums, of_fit = (
        np.where(part.reshape(len(part), -1) >= 6, 1, -1) @ weights.T
        for part in (data.test_images, data.train_images[:300])
    )
    bits = np.where(sums >= of_fit.mean(0), 1, -1)
    scores = bits @ np.where(network.head.weight.numpy() >= 0, 1, -1).T
    assert np.mean(found != (scores.argmax(1) == data.test_labels)) <= 0.01


def test_changes_count_images_that_change_sides():
    before = np.array([True] * 6 + [False] * 4)
    after = np.array([True] * 3 + [False] * 3 + [True] + [False] * 3)
    change = Change.between(before, after)
    assert change.points == pytest.approx(-20)
    # Standard deviation of the ten differences, over their number's root.
    differences = after.astype(float) - before
    assert change.error == pytest.approx(100 * differences.std() / 10**0.5)


def test_unbinarised_rows(trained):
    section = unbinarised(trained, Settings(count=200))
    rows = {row.key: row for row in section.rows}
    assert rows["unbinarised.all"].low == -5
    assert (rows["unbinarised.conv2"].low, rows["unbinarised.conv2"].high) == (-1, 1)
    assert rows["unbinarised.conv1"].passed is rows["unbinarised.linear"].passed is None
    assert rows["unbinarised.conv2"].error > 0
    correct = trained.network.outputs(trained.dataset.test_images[:200]).argmax(1)
    expected = 100 * np.mean(correct == trained.dataset.test_labels[:200])
    assert rows["unbinarised.trained"].ours == pytest.approx(expected)
    assert "the first 200 test images" in section.text


def test_what_fails_is_measured_again_with_flips(trained):
    rows = {row.key: row for row in unbinarised(trained, Settings(count=200)).rows}
    failed = {key for key, row in rows.items() if row.passed is False and row.because is not None}
    assert failed
    flips = {key for key in rows if key.startswith("unbinarised.flips.")}
    assert flips == {rows[key].because for key in failed}
    for key in flips:
        of = rows[key.replace("flips.", "")]
        assert rows[key].high > of.ours
        assert rows[key].high - of.ours == pytest.approx(2 * np.hypot(of.error, rows[key].error))


def test_mode_is_that_of_the_many():
    angles = np.concatenate([np.full(30, 37.0), np.linspace(20, 30, 31)])
    assert mode(angles) == pytest.approx(37, abs=0.05)


def test_angles_of_gaussian_and_of_uniform_weights(rng):
    network = BinaryMLP((1000, 1000, 400, 10), Input((1000,)))
    verdicts = {}
    for law in (rng.standard_normal, lambda shape: rng.uniform(-1, 1, shape)):
        for layer in network.blocks:
            weights = torch.from_numpy(0.2 * law(tuple(layer.product.weight.shape)))
            layer.product.weight = torch.nn.Parameter(weights.float(), requires_grad=False)
        recipe = Recipe(dataset="digits", hidden=(1000, 400), epochs=1)
        section = latents(Trained(network, recipe, load("digits"), 1, 1))
        rows = {row.key: row for row in section.rows}
        row = rows["latents.mode.dense2"]
        verdicts[round(row.ours)] = row.passed, rows[row.because].passed
    assert verdicts == {37: (True, True), 30: (False, True)}


@pytest.fixture
def short(monkeypatch):
    """The control's training cut short, and no experiment without a network."""
    monkeypatch.setattr(control, "_EPOCHS", 1)
    monkeypatch.setattr(suite, "EXPERIMENTS", ())


def test_the_control_trains_in_two_ways(monkeypatch):
    monkeypatch.setattr(control, "_EPOCHS", 8)
    rows = {row.key: row for row in control.training(Settings()).rows}
    for layer in (1, 2):
        authors, ours = (rows[f"training.angle.{way}.{layer}"] for way in ("authors", "binarynet"))
        assert (authors.low, authors.high, ours.passed) == (35, 43, None)
        spreads = [rows[f"training.std.{way}.{layer}"].ours for way in ("authors", "binarynet")]
        assert spreads[0] < 0.2 < 0.5 < spreads[1]
        assert rows[f"training.limit.authors.{layer}"].ours == 0
        assert rows[f"training.limit.binarynet.{layer}"].ours > 0


def test_command_adds_the_trained_network(call, short, training, tmp_path):
    pytest.importorskip("matplotlib")
    status, _, err = call(
        "geometry", "--checkpoint", training[1], "--count", 50, "--out", tmp_path, "-q"
    )
    found = json.loads((tmp_path / "report.json").read_text())
    assert (status, err) == (5 if found["failed"] else 0, "")
    keys = [section["key"] for section in found["sections"]]
    assert keys == ["latents", "training", "proportionality", "permutation", "unbinarised"]
    assert found["command"] == "xnorgrid geometry --seed 0 --checkpoint digits.ckpt --count 50"
    assert "The network: 3x3 convolutions 8, 12 pooled, 16" in (tmp_path / "report.md").read_text()
    assert found["skipped"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 3}, "is of no training that this version of xnorgrid knows: "),
        ({"epochs": 0}, "knows: epochs must be at least 1, not 0; use the version that wrote it"),
        ({"hidden": [25]}, "does not hold the weights of the network that its recipe describes"),
    ],
)
def test_command_refuses_checkpoints_it_cannot_use(
    refused, short, training, tmp_path, change, message
):
    facts, groups = Checkpoint(training[1]).load()
    path = tmp_path / "other.ckpt"
    Checkpoint(path).save({**facts, "recipe": {**facts["recipe"], **change}}, groups)
    refusal = refused(4, "geometry", "--checkpoint", path, "--out", tmp_path / "r", "-q")
    assert refusal.startswith(str(path)) and message in refusal
    assert not (tmp_path / "r").exists()


def test_command_wants_binary_weights(training, tmp_path):
    facts, groups = Checkpoint(training[1]).load()
    recipe = {**facts["recipe"], "weight_bits": 2, "input_bits": 8, "fill": -1}
    Checkpoint(tmp_path / "two").save({**facts, "recipe": recipe}, groups)
    with pytest.raises(
        CheckpointError, match="first layer has weights of 2 bits, and the geometry"
    ):
        load_trained(tmp_path / "two")


def test_command_refuses_a_checkpoint_that_is_not_there(refused, short, tmp_path):
    path = tmp_path / "nothing"
    assert refused(4, "geometry", "--checkpoint", path, "-q") == (
        f"there is no checkpoint {path}; train without resuming first"
    )


def test_recipes_of_earlier_versions_are_read(training, tmp_path):
    facts, groups = Checkpoint(training[1]).load()
    recipe = {name: facts["recipe"][name] for name in dataclasses.asdict(RECIPE)}
    for name in ("weight_bits", "first_layer", "levels", "draws"):
        del recipe[name]
    Checkpoint(tmp_path / "old").save({**facts, "recipe": recipe}, groups)
    assert load_trained(tmp_path / "old").recipe == RECIPE
