"""Training: repeatable, resumable to the same end, interruptible, and honest about its data."""

import argparse
import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from xnorgrid import train as training
from xnorgrid import train_command, train_options
from xnorgrid.checkpoint import Checkpoint, CheckpointError
from xnorgrid.data import Dataset
from xnorgrid.encoding import Hadamard, Thermometer, WeightPlanes
from xnorgrid.fold import fold
from xnorgrid.model import Input
from xnorgrid.modelfile import load
from xnorgrid.nn import ClassNorm, levels
from xnorgrid.provenance import scores_sha256
from xnorgrid.recipe import RECIPES, Recipe, RecipeError
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed
from xnorgrid.train import accuracy, train

CPU = torch.device("cpu")

SMALL = Recipe(
    dataset="digits", hidden=(24, 16), epochs=4, batch=64, validation=144,
    shift=1, dropout=0.1, input_dropout=0.1,
)  # fmt: skip

CONVOLUTIONAL = Recipe(
    dataset="digits", features=((6, 1), (8, 2)), hidden=(16,), fill=0, class_norm=True, epochs=3,
    batch=64, validation=144, shift=1, flip=True, dropout=0.1, schedule="cosine",
)  # fmt: skip


def same(a, b):
    one, other = a.network.state_dict(), b.network.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def interrupt_after(monkeypatch, epochs):
    """Send Ctrl-C in the middle of the epoch after ``epochs``."""
    original, calls = training.squared_hinge, []
    batches = (1438 - SMALL.validation) // SMALL.batch

    def loss(outputs, labels):
        calls.append(1)
        if len(calls) == epochs * batches + 3:
            raise KeyboardInterrupt
        return original(outputs, labels)

    monkeypatch.setattr(training, "squared_hinge", loss)


def test_it_learns():
    recipe = dataclasses.replace(
        SMALL, hidden=(64,), epochs=15, shift=0, dropout=0.0, input_dropout=0.0
    )
    result = train(recipe)
    images, labels = result.dataset.test_images, result.dataset.test_labels
    assert accuracy(result.network, images, labels) > 0.75


def test_same_seed_same_network_other_seed_other_network():
    first = train(SMALL)
    assert same(first, train(SMALL))
    assert not same(first, train(dataclasses.replace(SMALL, seed=2)))


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(dataclasses.replace(SMALL, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_latent_weights_stay_in_range_and_move():
    network = train(SMALL).network
    for layer in (*(block.product for block in network.hidden), network.head):
        assert layer.weight.abs().max() <= 1


@pytest.mark.parametrize("epochs", [1, 3])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path, monkeypatch, epochs):
    whole = train(SMALL, log=tmp_path / "whole.jsonl")
    files = {"checkpoint": tmp_path / "state", "log": tmp_path / "parts.jsonl"}
    with monkeypatch.context() as patch:
        interrupt_after(patch, epochs)
        part = train(SMALL, **files)
    assert (part.interrupted, part.epochs) == (True, epochs)
    rest = train(SMALL, resume=True, **files)
    assert (rest.interrupted, rest.epochs, rest.best_epoch) == (False, 4, whole.best_epoch)
    assert rest.validation_accuracy == whole.validation_accuracy
    assert same(rest, whole)
    logs = [read_log(tmp_path / name) for name in ("whole.jsonl", "parts.jsonl")]
    assert logs[0] == logs[1]


def read_log(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_log_holds_the_recipe_and_every_epoch(tmp_path):
    result = train(SMALL, log=tmp_path / "log")
    first, *epochs = read_log(tmp_path / "log")
    assert first == {"recipe": json.loads(json.dumps(dataclasses.asdict(SMALL)))}
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    best = max(line["validation_accuracy"] for line in epochs)
    assert result.validation_accuracy == best
    assert epochs[result.best_epoch - 1]["validation_accuracy"] == best


def test_the_epoch_is_chosen_without_test_data(monkeypatch):
    seen = []
    monkeypatch.setattr(
        training, "accuracy", lambda network, images, labels: seen.append(images) or 0.5
    )
    result = train(SMALL)
    assert len(seen) == 4
    pool = {image.tobytes() for image in result.dataset.train_images}
    for images in seen:
        assert len(images) == 144
        assert {image.tobytes() for image in images} <= pool
    # Of equals the latest.
    assert result.best_epoch == 4


def test_validation_images_are_not_trained_on():
    state = training._Training(SMALL, training.load("digits"), None, False, None, CPU)
    inner = state.pixels[:, 1:-1, 1:-1, 0].numpy()
    border = state.pixels.clone()
    border[:, 1:-1, 1:-1] = 0
    assert not border.any()
    together = np.concatenate([inner, state.validation[0]]).reshape(1438, -1)
    original = state.dataset.train_images.reshape(1438, -1)
    assert sorted(map(tuple, together)) == sorted(map(tuple, original))


@pytest.mark.parametrize("flip", [False, True])
def test_moved_images_are_windows_of_the_padded_ones(flip):
    torch.manual_seed(new_seed())
    recipe = dataclasses.replace(SMALL, shift=2, flip=flip)
    state = training._Training(recipe, training.load("digits"), None, False, None, CPU)
    moved = state._inputs(torch.arange(500)).reshape(500, 8, 8)
    assert set(moved.unique().tolist()) == {-1, 1}
    found, mirrored = set(), 0
    for image, padded in zip(moved, state.pixels[..., 0], strict=False):
        bits = torch.where(padded >= 6, 1.0, -1.0)
        windows = {
            (top, left, turned): bits[top : top + 8, left : left + 8].flip([1] if turned else [])
            for top in range(5)
            for left in range(5)
            for turned in (False, True)
        }
        places = {place for place, window in windows.items() if torch.equal(image, window)}
        assert places
        # An image of zeros all around has several places.
        if {turned for *_, turned in places} == {True}:
            mirrored += 1
        found |= {place[:2] for place in places}
    # One of 25 places is missed once in 30 million times.
    assert len(found) == 25
    assert (100 < mirrored < 400) if flip else not mirrored


def test_pixels_of_eight_bits_keep_their_values(monkeypatch):
    monkeypatch.setattr(training, "load", lambda *_: coloured())
    recipe = dataclasses.replace(SMALL, dataset="cifar10", input_bits=8, validation=8, shift=0)
    state = training._Training(recipe, coloured(), None, False, None, CPU)
    pixels = state.pixels[:5].numpy().astype(np.int64)
    assert np.array_equal(state._inputs(torch.arange(5)).numpy(), pixels.reshape(5, -1) * 2 - 255)
    assert state.network.input == Input((12, 10, 3), "pixels", 255)


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        (
            {"first_layer": "thermometer", "levels": 5},
            Input((8, 8), "thermometer", 16, encoding=Thermometer(5)),
        ),
        (
            {"first_layer": "hadamard", "draws": 2, "seed": 4},
            Input((8, 8), "hadamard", 16, encoding=Hadamard(2, 4, (3, 3), (1, 1))),
        ),
        (
            {"first_layer": "hadamard", "draws": 1, "fill": None},
            Input((8, 8), "hadamard", 16, encoding=Hadamard(1, 1, (3, 3))),
        ),
        (
            {"first_layer": "hadamard", "draws": 1, "features": ()},
            Input((8, 8), "hadamard", 16, encoding=Hadamard(1, 1, (8, 8))),
        ),
    ],
)
def test_first_layers_train_resume_and_fold(tmp_path, monkeypatch, changes, source):
    recipe = dataclasses.replace(CONVOLUTIONAL, **changes)
    whole = train(recipe)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        train(recipe, checkpoint=tmp_path / "state")
    result = train(recipe, checkpoint=tmp_path / "state", resume=True)
    assert same(result, whole)
    assert result.network.input == source
    model, images = fold(result.network, "net"), result.dataset.test_images
    assert np.array_equal(result.network.scores(images), reference.scores(model, images))


@pytest.mark.parametrize("changes", [{}, {"features": (), "hidden": (12,)}])
def test_weights_of_several_bits_train_and_fold(monkeypatch, changes):
    monkeypatch.setattr(training, "load", lambda *_: coloured())
    recipe = dataclasses.replace(
        CONVOLUTIONAL, dataset="cifar10", input_bits=8, weight_bits=3, fill=None, validation=8,
        batch=16, **changes,
    )  # fmt: skip
    result = train(recipe)
    first = result.network.hidden[0].product
    assert first.weight_bits == 3 and result.network.head.weight_bits == 1
    used = levels(first.weight.detach(), 3)
    assert sorted(used.unique().tolist()) == list(range(8))
    model, images = fold(result.network, "net"), result.dataset.test_images
    assert model.input == Input((12, 10, 3), "weight-planes", 255, encoding=WeightPlanes(3))
    assert np.array_equal(result.network.scores(images), reference.scores(model, images))


def coloured(count=104):
    """Images in CIFAR-10's form, but smaller and without sense."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 12, 10, 3), dtype=np.uint8) for n in (count, 20)]
    labels = [rng.integers(0, 3, n, dtype=np.uint8) for n in (count, 20)]
    return Dataset(
        "cifar10", images[0], labels[0], images[1], labels[1], 255, 128, ("cat", "dog", "frog")
    )


@pytest.mark.parametrize("bfloat16", [False, True])
def test_coloured_convolutional_networks_train_fold_and_resume(tmp_path, monkeypatch, bfloat16):
    monkeypatch.setattr(training, "load", lambda *_: coloured())
    recipe = Recipe(
        dataset="cifar10", features=((6, 2), (7, 1)), hidden=(9,), input_bits=8, epochs=3, batch=16,
        validation=8, shift=2, flip=True, loss="cross-entropy", schedule="cosine", rate=1e-2,
        bfloat16=bfloat16,
    )  # fmt: skip
    whole = train(recipe)
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        calls, original = [], torch.nn.functional.cross_entropy

        def loss(outputs, labels):
            calls.append(1)
            if len(calls) == 6 + 4:
                raise KeyboardInterrupt
            return original(outputs, labels)

        patch.setattr(torch.nn.functional, "cross_entropy", loss)
        part = train(recipe, checkpoint=path)
    assert (part.interrupted, part.epochs) == (True, 1)
    assert same(train(recipe, checkpoint=path, resume=True), whole)
    model = train_command.to_model(whole, "net", "")
    scores = reference.scores(model, coloured().test_images)
    assert scores_sha256(scores) == model.provenance["scores_sha256"]
    assert np.array_equal(scores, whole.network.scores(coloured().test_images))


def test_networks_learn_from_convolutions():
    recipe = dataclasses.replace(
        CONVOLUTIONAL, epochs=8, batch=32, shift=0, flip=False, dropout=0.0, rate=1e-2
    )
    result = train(recipe)
    images, labels = result.dataset.test_images, result.dataset.test_labels
    assert accuracy(result.network, images, labels) > 0.7


def test_convolutional_networks_resume_to_the_same_end(tmp_path, monkeypatch):
    whole = train(CONVOLUTIONAL, log=tmp_path / "whole.jsonl")
    files = {"checkpoint": tmp_path / "state", "log": tmp_path / "parts.jsonl"}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        part = train(CONVOLUTIONAL, **files)
    assert (part.interrupted, part.epochs) == (True, 2)
    assert same(train(CONVOLUTIONAL, resume=True, **files), whole)
    assert read_log(tmp_path / "whole.jsonl") == read_log(tmp_path / "parts.jsonl")


def test_a_finished_training_resumes_to_its_end(tmp_path):
    first = train(SMALL, checkpoint=tmp_path / "state")
    again = train(SMALL, checkpoint=tmp_path / "state", resume=True)
    assert same(first, again)
    assert (again.epochs, again.best_epoch) == (first.epochs, first.best_epoch)


def test_checkpoints_from_before_class_norm_are_resumed(tmp_path):
    path = tmp_path / "state"
    first = train(SMALL, checkpoint=path)
    rewrite(path, lambda recipe: recipe.pop("class_norm"))
    assert same(train(SMALL, checkpoint=path, resume=True), first)
    other = dataclasses.replace(SMALL, class_norm=True)
    with pytest.raises(CheckpointError, match=r"another recipe \(different: class_norm\)"):
        train(other, checkpoint=path, resume=True)


def test_checkpoints_from_before_first_layers_are_resumed(tmp_path):
    path, later = tmp_path / "state", ("first_layer", "levels", "draws", "weight_bits")
    first = train(SMALL, checkpoint=path)
    rewrite(path, lambda recipe: [recipe.pop(name) for name in later])
    assert same(train(SMALL, checkpoint=path, resume=True), first)
    other = dataclasses.replace(SMALL, first_layer="thermometer", levels=4)
    with pytest.raises(CheckpointError, match=r"\(different: first_layer, levels\)"):
        train(other, checkpoint=path, resume=True)


def test_checkpoints_from_after_this_version_are_refused(tmp_path):
    path = tmp_path / "state"
    train(dataclasses.replace(SMALL, epochs=1), checkpoint=path)
    rewrite(path, lambda recipe: recipe.update(warmth=3))
    with pytest.raises(CheckpointError, match=r"another recipe \(different: epochs, warmth\)"):
        train(SMALL, checkpoint=path, resume=True)


def rewrite(path, change):
    """Change the recipe that a checkpoint keeps."""
    facts, groups = Checkpoint(path).load()
    change(facts["recipe"])
    Checkpoint(path).save(facts, groups)


def test_progress_counts_steps(capsys):
    train(dataclasses.replace(SMALL, epochs=2), progress=True)
    shown = capsys.readouterr().err
    steps = (1438 - 144) // 64
    assert f"{2 * steps}/{2 * steps}" in shown
    assert "epoch 2 of 2" in shown


def test_a_device_that_is_not_there():
    with pytest.raises(RecipeError, match="device must be cpu or cuda, not 'tpu'"):
        train(SMALL, device="tpu")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RecipeError, match="PyTorch finds no GPU here; train with device cpu"):
        train(SMALL, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_trains_and_resumes_to_the_same_end(tmp_path, monkeypatch):
    whole = train(CONVOLUTIONAL, device="cuda")
    assert whole.network.head.weight.device.type == "cpu"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        train(CONVOLUTIONAL, device="cuda", checkpoint=tmp_path / "state")
    rest = train(CONVOLUTIONAL, device="cuda", checkpoint=tmp_path / "state", resume=True)
    assert same(rest, whole)


def test_the_network_of_binarynet_for_cifar10():
    """2x128C3-P2-2x256C3-P2-2x512C3-P2-1024-1024-10, padded with zeros, and 14.0 million weights."""
    recipe = RECIPES["bnn-cifar10"]
    images = np.zeros((1, 32, 32, 3), np.uint8)
    labels = np.zeros(1, np.uint8)
    data = Dataset("cifar10", images, labels, images, labels, 255, 128, tuple("0123456789"))
    network = training.build_network(recipe, data)
    shapes = [layer.shape[1:] for layer in network.trace(images)]
    assert shapes == [
        (32, 32, 128), (16, 16, 128), (16, 16, 256), (8, 8, 256), (8, 8, 512), (4, 4, 512),
        (1024,), (1024,), (10,),
    ]  # fmt: skip
    products = [*(block.product for block in network.hidden), network.head]
    assert [product.fan_in for product in products] == [
        27, 1152, 1152, 2304, 2304, 4608, 8192, 1024, 1024,
    ]  # fmt: skip
    assert sum(product.weight.numel() for product in products) == 14_022_016
    assert {product.fill for product in products[:6]} == {0}
    assert {block.pool for block in network.hidden} == {None, "products"}
    assert isinstance(network.norm, ClassNorm)
    assert (recipe.epochs, recipe.batch, recipe.rate, recipe.final_rate) == (500, 50, 1e-3, 3e-7)
    assert (recipe.loss, recipe.schedule, recipe.validation) == (
        "squared-hinge", "exponential", 5000,
    )  # fmt: skip


def test_rates_begin_and_end_where_the_recipe_says():
    for schedule, half in (("exponential", (3e-3 * 3e-7) ** 0.5), ("cosine", (3e-3 + 3e-7) / 2)):
        recipe = dataclasses.replace(SMALL, schedule=schedule)
        assert training._rate(recipe, 0.0) == 3e-3
        assert training._rate(recipe, 0.5) == pytest.approx(half, rel=1e-12)
        assert training._rate(recipe, 1.0) == pytest.approx(3e-7, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ((5, 2),) * 4}, "features do not suit digits: convolution 2: its feature"),
        ({"input_bits": 8}, r"digits has pixels in 0 … 16, which are not 8 bits; use input_bits 1"),
        (
            {"first_layer": "thermometer", "levels": 9},
            r"first_layer does not suit digits: input: levels must be in 1 … 8 for pixels up to 16",
        ),
        (
            {"first_layer": "hadamard", "seed": -1},
            r"first_layer does not suit digits: input: draws must be in 1 … 1024 and the seed in",
        ),
    ],
)
def test_recipes_that_do_not_suit_their_images(change, message):
    with pytest.raises(RecipeError, match=message):
        train(dataclasses.replace(SMALL, **change))


def test_resuming_needs_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume from: no checkpoint was named"):
        train(SMALL, resume=True)
    with pytest.raises(CheckpointError, match=f"there is no checkpoint {tmp_path / 'none'}"):
        train(SMALL, resume=True, checkpoint=tmp_path / "none")


def test_resuming_another_recipe_is_refused(tmp_path):
    train(dataclasses.replace(SMALL, epochs=1), checkpoint=tmp_path / "state")
    other = dataclasses.replace(SMALL, epochs=2, seed=7)
    with pytest.raises(CheckpointError, match=r"another recipe \(different: epochs, seed\)"):
        train(other, resume=True, checkpoint=tmp_path / "state")


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "state"
    recipe = dataclasses.replace(SMALL, epochs=1)
    train(recipe, checkpoint=path)
    content = path.read_bytes()
    foreign = safetensors.numpy.save({"a": np.zeros(3)})
    for damaged in (b"", content[:100], content[:-1], foreign):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"{path} is no checkpoint of xnorgrid, or is da"):
            train(recipe, resume=True, checkpoint=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": 1}, "batch must be at least 2, not 1"),
        ({"shift": -1}, "shift must be at least 0, not -1"),
        ({"hidden": ()}, r"hidden must be positive widths, not \(\)"),
        ({"features": ((5, 3),)}, r"output channels and a pooling of 1 or 2, not \(5, 3\)"),
        ({"features": ((0, 1),)}, r"output channels and a pooling of 1 or 2, not \(0, 1\)"),
        ({"fill": 2}, "fill must be one of None, -1, 0, 1, not 2"),
        ({"first_layer": "float"}, "one of planes, thermometer, hadamard, not 'float'"),
        ({"levels": 0}, "levels must be at least 1, not 0"),
        ({"draws": 0}, "draws must be at least 1, not 0"),
        ({"weight_bits": 5}, "weight_bits must be one of 1, 2, 3, 4, not 5"),
        ({"weight_bits": 2}, "goes with first_layer 'planes' and input_bits 8, not 'planes' and 1"),
        (
            {"weight_bits": 2, "input_bits": 8, "first_layer": "hadamard"},
            "goes with first_layer 'planes' and input_bits 8, not 'hadamard' and 8",
        ),
        (
            {"weight_bits": 2, "input_bits": 8, "features": ((5, 1),), "fill": 0},
            "weight_bits 2 goes with fill -1 or none, not 0: only the darkest pixel",
        ),
        ({"input_bits": 4}, "input_bits must be one of 1, 8, not 4"),
        ({"loss": "mse"}, "loss must be one of squared-hinge, cross-entropy, not 'mse'"),
        ({"schedule": "flat"}, "schedule must be one of exponential, cosine, not 'flat'"),
        ({"hidden": (5, 0)}, r"positive widths, not \(5, 0\)"),
        ({"dropout": 1.0}, "dropout must lie in 0 … 1, 1 excluded, not 1.0"),
        ({"rate": 1e-9}, r"final_rate must be positive and at most rate \(1e-09\), not 3e-07"),
    ],
)
def test_recipes_that_cannot_be_trained(change, message):
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(SMALL, **change)


def test_validation_must_leave_something_to_train_on():
    with pytest.raises(RecipeError, match="at least one batch of the 1438 training images"):
        train(dataclasses.replace(SMALL, validation=1400))


def parse(*arguments):
    parser = argparse.ArgumentParser()
    train_options.add_arguments(parser)
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args([*map(str, arguments), "--quiet"])


def test_command_changes_the_recipe():
    assert train_options.recipe_from(parse()) == RECIPES["digits"]
    recipe = train_options.recipe_from(parse("sfc", "--hidden", "32,16", "--seed", 3))
    assert recipe == dataclasses.replace(RECIPES["sfc"], hidden=(32, 16), seed=3)
    arguments = (
        "cnv --features 8,16/2 --fill 0 --hidden= --input-bits 1 --loss squared-hinge --shift 0"
        " --schedule exponential --no-flip --class-norm --dropout 0.5"
    )
    recipe = train_options.recipe_from(parse(*arguments.split()))
    assert recipe == dataclasses.replace(
        RECIPES["cnv"], features=((8, 1), (16, 2)), fill=0, hidden=(), input_bits=1,
        loss="squared-hinge", shift=0, schedule="exponential", flip=False, class_norm=True, dropout=0.5,
    )  # fmt: skip
    recipe = train_options.recipe_from(parse("cnv", "--first-layer", "hadamard", "--draws", 2))
    assert recipe == dataclasses.replace(RECIPES["cnv"], first_layer="hadamard", draws=2)
    recipe = train_options.recipe_from(parse("sfc", "--first-layer", "thermometer", "--levels", 8))
    assert recipe == dataclasses.replace(RECIPES["sfc"], first_layer="thermometer", levels=8)
    recipe = train_options.recipe_from(parse("cnv", "--weight-bits", 2))
    assert recipe == dataclasses.replace(RECIPES["cnv"], weight_bits=2)
    recipe = train_options.recipe_from(parse("bnn-cifar10", "--fill", "none", "--features="))
    assert (recipe.fill, recipe.features) == (None, ())
    assert train_options.recipe_from(parse("bnn-cifar10", "--fill", "-1")).fill == -1


def test_command_saves_a_model_with_its_provenance(tmp_path):
    out = tmp_path / "net.safetensors"
    arguments = parse("--out", out, "--hidden", "16", "--epochs", 2)
    report = train_command.run(arguments, "the command")
    model = load(out)
    assert model.name == "net"
    assert model.labels == tuple("0123456789")
    assert model.provenance["command"] == "the command"
    assert model.provenance["recipe"]["hidden"] == [16]
    digits = training.load("digits")
    scores = reference.scores(model, digits.test_images)
    correct = float(np.mean(scores.argmax(1) == digits.test_labels))
    assert report["test_accuracy"] == model.provenance["test_accuracy"] == correct
    assert report["scores_sha256"] == scores_sha256(scores)
    assert json.loads(json.dumps(report))["interrupted"] is False


def test_command_trains_convolutions_and_judges_by_outputs(tmp_path):
    out = tmp_path / "net.safetensors"
    arguments = parse(
        "--out", out, "--features", "6/2,8", "--hidden", 16, "--fill", 1, "--epochs", 2,
        "--class-norm",
    )  # fmt: skip
    report = train_command.run(arguments, "")
    model = load(out)
    assert [layer.name for layer in model.layers] == ["conv1", "conv2", "dense1", "scores"]
    digits = training.load("digits")
    scores = reference.scores(model, digits.test_images)
    assert report["scores_sha256"] == scores_sha256(scores)
    correct = float(np.mean(model.outputs(scores).argmax(1) == digits.test_labels))
    assert report["test_accuracy"] == correct
    assert model.affine is not None


@pytest.mark.parametrize("text", ["8,x", "8/2/2", "8/"])
def test_features_that_are_no_numbers_are_refused(capsys, text):
    with pytest.raises(SystemExit):
        parse("--features", text)
    assert f"argument --features: invalid features value: '{text}'" in capsys.readouterr().err


def test_widths_that_are_no_numbers_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse("--hidden", "16;8")
    assert "argument --hidden: invalid widths value: '16;8'" in capsys.readouterr().err


def test_command_finds_a_missing_folder_before_training(tmp_path):
    arguments = parse("--log", tmp_path / "nowhere" / "log")
    with pytest.raises(RecipeError, match=f"there is no folder {tmp_path / 'nowhere'}; create it"):
        train_command.run(arguments, "")


def test_command_refuses_no_threads(tmp_path):
    with pytest.raises(RecipeError, match="threads must be at least 1, not 0"):
        train_command.run(parse("--out", tmp_path / "a", "--threads", 0), "")


def test_command_saves_nothing_if_no_epoch_ended(tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 0)
    with pytest.raises(RecipeError, match="interrupted before its first epoch ended"):
        train_command.run(parse("--out", tmp_path / "net.safetensors"), "")
    assert not list(tmp_path.iterdir())


def test_command_saves_the_best_of_an_interrupted_training(tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 2)
    arguments = parse("--out", tmp_path / "net.safetensors", "--batch", 64)
    report = train_command.run(arguments, "")
    assert (report["interrupted"], report["epochs"]) == (True, 2)
    assert load(tmp_path / "net.safetensors").provenance["epochs"] == 2


def test_scores_hash_is_of_little_endian_int32():
    scores = np.array([[1, -2]], ">i8")
    assert scores_sha256(scores) == (
        # sha256 of 01000000 feffffff
        "b5f56b64f014154a5433fcb074019bb39a5bc74b2004cb4670565d57b5af23b6"
    )
