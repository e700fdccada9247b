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
from xnorgrid.checkpoint import CheckpointError
from xnorgrid.modelfile import load
from xnorgrid.provenance import scores_sha256
from xnorgrid.recipe import RECIPES, Recipe, RecipeError
from xnorgrid.sim import reference
from xnorgrid.train import accuracy, train

SMALL = Recipe(
    dataset="digits", hidden=(24, 16), epochs=4, batch=64, validation=144,
    shift=1, dropout=0.1, input_dropout=0.1,
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


def test_validation_images_are_not_trained_on(monkeypatch):
    state = training._Training(SMALL, training.load("digits"), None, False, None)
    inner = state.pixels[:, 1:-1, 1:-1].numpy()
    assert (state.pixels[:, 0] == -1).all()
    bits = (state.validation[0] >= state.dataset.threshold) * 2 - 1
    together = np.concatenate([inner, bits]).reshape(1438, -1)
    original = (state.dataset.train_images >= state.dataset.threshold) * 2 - 1
    assert sorted(map(tuple, together)) == sorted(map(tuple, original.reshape(1438, -1)))


@pytest.mark.parametrize("seed", range(2))
def test_shifted_images_are_windows_of_the_padded_ones(seed):
    torch.manual_seed(seed)
    recipe = dataclasses.replace(SMALL, shift=2)
    state = training._Training(recipe, training.load("digits"), None, False, None)
    chosen = torch.arange(40)
    moved = state._inputs(chosen).reshape(40, 8, 8)
    found = set()
    for image, padded in zip(moved, state.pixels, strict=False):
        places = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(image, padded[top : top + 8, left : left + 8].float())
        ]
        assert places
        found.update(places)
    assert len(found) > 10


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
        ({"hidden": ()}, r"hidden must be one or more positive widths, not \(\)"),
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
