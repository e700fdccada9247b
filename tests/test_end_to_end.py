"""PyTorch = integer reference = RTL, on the bundled models and real images, through the driver."""

import os
from pathlib import Path

import numpy as np
import pytest

import xnorgrid
from xnorgrid import data
from xnorgrid.provenance import scores_sha256
from xnorgrid.sim import reference
from xnorgrid.twin import twin

#: Bundled models, and the test accuracies that they promise in percent.
PROMISED = {"digits": 90.0, "sfc": 97.3, "lfc": 98.4, "cnv": 80.1, "bnn-cifar10-half": 85.0}
LEAST_UTILISATION = {"lfc": 0.85, "cnv": 0.8}
#: Whose images take long: one in so many of --images is run, and one in so many of the test set compared with
#: PyTorch, unless --images asks for all.
SHARE = {"cnv": (2, 1), "bnn-cifar10-half": (12, 40)}


def held_out(model):
    name = model.provenance["recipe"]["dataset"]
    where = os.environ.get("XNORGRID_DATA")
    if name != "digits" and not (where and (Path(where) / name).is_dir()):
        pytest.skip(f"XNORGRID_DATA names no directory with {name}")
    return data.load(name)


@pytest.fixture(params=PROMISED)
def case(request):
    """A bundled model and its whole test set."""
    model = xnorgrid.load(request.param)
    chosen = held_out(model)
    return model, chosen.test_images, chosen.test_labels


def test_pytorch_equals_the_reference_on_the_test_set(case, image_count):
    model, images, labels = case
    whole = len(images)
    if image_count < whole:
        images = images[: whole // SHARE.get(model.name, (1, 1))[1]]
    scores = reference.scores(model, images)
    network = twin(model)
    assert (network.scores(images) == scores).all()
    traced = zip(network.trace(images[:500]), reference.layers(model, images[:500]), strict=True)
    for from_torch, from_reference in traced:
        assert (from_torch == from_reference.values).all()
    assert 100 * model.provenance["test_accuracy"] >= PROMISED[model.name]
    if len(images) < whole:
        return
    assert scores_sha256(scores) == model.provenance["scores_sha256"]
    accuracy = float(np.mean(model.outputs(scores).argmax(1) == labels))
    assert accuracy == model.provenance["test_accuracy"]


def test_the_board_equals_pytorch_and_reference(case, image_count):
    """Every score of the first images; every value of every layer of a few; the board's own counters.

    One test, because loading a large model is what takes long.
    """
    model, images, _ = case
    if image_count < len(images):
        images = images[: image_count // SHARE.get(model.name, (1, 1))[0]]
    few = images[-11:]  # more than one pass, and not all columns in the last
    with xnorgrid.open("compiled:sim") as board:
        board.load(model, keep_layers=True)
        assert (board.run(images) == reference.scores(model, images)).all()
        counters = board.counters
        assert counters.useful_lanes == reference.operations(model, len(images))
        assert counters.bad_frames == counters.lost_bytes == 0
        if model.name in LEAST_UTILISATION:
            assert len(images) >= 4 * board.config.cols
            assert counters.utilisation(board.config) >= LEAST_UTILISATION[model.name]

        on_board = board.layers(few)
        expected = model.outputs(on_board[model.layers[-1].name]).argmax(1)
        assert (board.predict(few) == expected).all()
    assert list(on_board) == [layer.name for layer in model.layers]
    computed = zip(twin(model).trace(few), reference.layers(model, few), strict=True)
    for values, (from_torch, from_reference) in zip(on_board.values(), computed, strict=True):
        assert (values == from_torch).all()
        assert (values == from_reference.values).all()
