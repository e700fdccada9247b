"""`xnorgrid diagnose` as a user calls it: its report, its files and figures, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest

from xnorgrid import modelfile
from xnorgrid.diagnose_flips import RATES

DIGITS = modelfile.load("digits")


@pytest.fixture
def damaged(tmp_path):
    """File of the digits network with the thresholds of its second layer moved."""
    first, second, scores = DIGITS.layers
    moved = dataclasses.replace(second, thresholds=second.thresholds + 12)
    path = tmp_path / "damaged.safetensors"
    modelfile.save(dataclasses.replace(DIGITS, layers=(first, moved, scores)), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Model file and checkpoint of a short training of the digits with convolutions."""
    pytest.importorskip("torch")
    from xnorgrid.recipe import Recipe
    from xnorgrid.train import train
    from xnorgrid.train_command import to_model

    folder = tmp_path_factory.mktemp("trained")
    recipe = Recipe(
        dataset="digits", features=((6, 1), (8, 2)), hidden=(16,), fill=0, class_norm=True, epochs=3,
        batch=64, validation=144,
    )  # fmt: skip
    result = train(recipe, checkpoint=folder / "net.ckpt")
    modelfile.save(to_model(result, "short", "test"), folder / "net.safetensors")
    return folder / "net.safetensors", folder / "net.ckpt"


def test_sound(call):
    status, out, err = call("diagnose", "digits", "-q")
    assert (status, err) == (0, "")
    first, _, columns, *rows = out.splitlines()
    assert first == (
        "digits: 92.20% of 359 images right (92.20% of the test set when it was trained). "
        "No layer is damaged."
    )
    assert columns.split()[:4] == ["layer", "verdict", "hurt", "dead"]
    assert [row.split()[1:3] for row in rows] == [["sound", "-"]] * 3


def test_damaged(call, damaged):
    status, out, _ = call("diagnose", damaged, "-q")
    assert status == 5
    assert "1 layer is damaged: dense2." in out
    assert "\ndense2: its thresholds are not those of its BatchNorm: " in out
    rows = [line.split() for line in out.splitlines() if "suffers" in line]
    assert rows == [["scores", "suffers", "from", "dense2", *rows[0][4:]]]
    status, out, _ = call("diagnose", damaged, "-q", "--json")
    assert (status, json.loads(out)["damaged"]) == (5, ["dense2"])


def test_without_any_record_it_says_what_it_cannot_know(call, network, tmp_path):
    model, path, images, images_path = network
    from xnorgrid.sim import reference

    np.save(tmp_path / "labels.npy", reference.outputs(model, images).argmax(1))
    status, out, _ = call(
        "diagnose", path, "-q", "--images", images_path, "--labels", tmp_path / "labels.npy"
    )
    assert "100.00% of 5 images right" in out
    if status == 0:
        assert "there is no record of training to hold weights to" in out


def test_report_and_figures(call, trained, tmp_path):
    pytest.importorskip("matplotlib")
    model, checkpoint = trained
    folder = tmp_path / "new" / "report"
    status, out, _ = call(
        "diagnose",
        model,
        "-q",
        "--count",
        60,
        "--checkpoint",
        checkpoint,
        "--flip",
        "--out",
        folder,
    )
    assert status == 0
    assert out.splitlines()[-1] == str(folder / "report.md")
    report = json.loads((folder / "report.json").read_text())
    assert report["flips"]["rates"] == pytest.approx(RATES, rel=1e-5)
    names = ["conv1", "conv2", "dense1", "scores"]
    for row, name in zip(report["layers"], names, strict=True):
        latent = row["latent"]
        assert (row["name"], latent["differing"]) == (name, 0)
        assert latent["angle_limit"] == 37.0714
        assert latent["r"] > 0.5 and 0.5 < latent["sign_agreement"] <= 1
        assert {"points", "error"} == row["not_binarised"].keys()
        assert 0 < latent["angle_mean"] < 45
    text = (folder / "report.md").read_text()
    figures = {
        "ranking.png", "flips.png", "layer-1-conv1.png", "layer-1-conv1-weights.png",
        "layer-2-conv2.png", "layer-2-conv2-weights.png", "layer-3-dense1.png",
        "layer-3-dense1-weights.png", "layer-4-scores.png", "layer-4-scores-weights.png",
    }  # fmt: skip
    assert {path.name for path in folder.iterdir()} == figures | {"report.md", "report.json"}
    assert all(f"({name})" in text for name in figures)
    # Every row of a table has the cells of its heading.
    for line, next_line in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if line.startswith("| ") and next_line.startswith("| "):
            assert line.replace("\\|", "").count("|") == next_line.replace("\\|", "").count("|")


def test_dropout_before_pooling_is_no_drift(trained):
    """The largest of noisy sums is larger: what dropout recorded cannot be held against the layer."""
    from xnorgrid import data
    from xnorgrid.diagnose import diagnose
    from xnorgrid.diagnose_trial import Trial

    model, digits = modelfile.load(trained[0]), data.load("digits")
    rows = model.batchnorm["conv2"].copy()
    # The mean is one σ higher, and beta makes up for it: the thresholds are the same.
    rows[1] += rows[0]
    rows[2] += np.sqrt(rows[3] + model.batchnorm_eps)
    recipe = model.provenance["recipe"]
    for dropout, named in ((0.0, ["conv2"]), (0.1, [])):
        noisy = dataclasses.replace(
            model,
            batchnorm={**model.batchnorm, "conv2": rows},
            provenance={"recipe": {**recipe, "dropout": dropout}},
        )
        report = diagnose(Trial(noisy, digits.test_images, digits.test_labels))[0]
        assert report["layers"][1]["drift"] > 0.3
        assert report["damaged"] == named


def test_same_seed_same_report(call, damaged):
    first = call("diagnose", damaged, "-q", "--json", "--flip", "--count", 40)
    assert first == call("diagnose", damaged, "-q", "--json", "--flip", "--count", 40)
    other = call("diagnose", damaged, "-q", "--json", "--flip", "--count", 40, "--seed", 1)
    assert json.loads(other[1])["flips"] != json.loads(first[1])["flips"]


def test_figures_can_be_read(trained, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    from xnorgrid import data
    from xnorgrid.diagnose import diagnose
    from xnorgrid.diagnose_files import drawings
    from xnorgrid.diagnose_flips import flip_curves
    from xnorgrid.diagnose_trial import Trial
    from xnorgrid.geometry.figures import draw, save
    from xnorgrid.latent import latent_weights

    model = modelfile.load(trained[0])
    images = data.load("digits")
    trial = Trial(model, images.test_images[:60], images.test_labels[:60])
    report, curves = diagnose(trial, latent_weights(trained[1], model))
    report["flips"] = {"rates": RATES, "classes": 10, "layers": flip_curves(trial, 0)}
    for drawing, drawn in drawings(report, curves):
        figure = draw(drawing, drawn)
        for axes in figure.axes:
            assert axes.has_data() or axes.texts, drawing.name
            assert axes.get_xlabel() and axes.get_title(), drawing.name
            shared = axes.get_shared_y_axes().get_siblings(axes)
            assert any(other.get_ylabel() for other in shared), drawing.name
            texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            texts += axes.get_xticklabels() + axes.get_yticklabels()
            texts += [] if axes.get_legend() is None else axes.get_legend().get_texts()
            assert min(item.get_fontsize() for item in texts) >= 15, drawing.name
        path = save(drawing, drawn, tmp_path)
        with Image.open(path) as image:
            assert image.size == (960, 540)
            assert len(image.getcolors()) > 10, drawing.name


def test_layers_may_be_called_anything(call, damaged, tmp_path):
    pytest.importorskip("matplotlib")
    model = modelfile.load(damaged)
    first = dataclasses.replace(model.layers[0], name="../a|b")
    named = dataclasses.replace(
        model, layers=(first, *model.layers[1:]),
        batchnorm={"../a|b": model.batchnorm["dense1"], "dense2": model.batchnorm["dense2"]},
    )  # fmt: skip
    modelfile.save(named, tmp_path / "named.safetensors")
    folder = tmp_path / "out"
    status, _, _ = call(
        "diagnose", tmp_path / "named.safetensors", "-q", "--count", 20, "--out", folder
    )
    assert status == 5
    assert (folder / "layer-1-___a_b.png").is_file()
    rows = [
        line
        for line in (folder / "report.md").read_text().splitlines()
        if line.startswith("| ../a")
    ]
    assert rows and all("| ../a\\|b |" in row for row in rows)


def test_checkpoints_of_others_are_refused(refused, trained, tmp_path):
    model, checkpoint = trained
    message = refused(4, "diagnose", "digits", "-q", "--checkpoint", checkpoint)
    assert message == (
        f"{checkpoint} is of another network: it has 3 hidden layers, and model 'digits' has 2; "
        f"name the checkpoint of this model's training"
    )
    gone = tmp_path / "gone.ckpt"
    message = refused(4, "diagnose", "digits", "-q", "--checkpoint", gone)
    assert message.startswith(f"there is no checkpoint {gone}")
    message = refused(4, "diagnose", "digits", "-q", "--checkpoint", model)
    assert "is no checkpoint of xnorgrid, or is damaged" in message


def test_checkpoints_of_other_widths_are_refused(refused, trained, tmp_path):
    pytest.importorskip("torch")
    model, checkpoint = trained
    found = modelfile.load(model)
    conv1, conv2, *rest = found.layers
    narrow = dataclasses.replace(
        conv1,
        weights=conv1.weights[:5],
        thresholds=conv1.thresholds[:5],
        inverted=conv1.inverted[:5],
    )
    fewer = dataclasses.replace(conv2, weights=conv2.weights[..., :5])
    rows = {**found.batchnorm, "conv1": found.batchnorm["conv1"][:, :5]}
    other = dataclasses.replace(found, layers=(narrow, fewer, *rest), batchnorm=rows)
    modelfile.save(other, tmp_path / "other.safetensors")
    message = refused(
        4, "diagnose", tmp_path / "other.safetensors", "-q", "--checkpoint", checkpoint
    )
    assert (
        "layer 'conv1' has weights (6, 3, 3, 1) there and (5, 3, 3, 1) in model 'short'" in message
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, int), "must hold one whole number for each of the 5 images, not int64 (4,)"),
        (np.zeros(5), "must hold one whole number for each of the 5 images, not float64 (5,)"),
        (np.array([0, 1, 2, 3, 0]), "must hold classes 0 … 2, but some are 0 … 3"),
        (np.array([0, 1, 2, -1, 0]), "must hold classes 0 … 2, but some are -1 … 2"),
    ],
)
def test_wrong_labels(refused, network, tmp_path, labels, message):
    _, path, _, images = network
    np.save(tmp_path / "labels.npy", labels)
    found = refused(
        4, "diagnose", path, "-q", "--images", images, "--labels", tmp_path / "labels.npy"
    )
    assert found == f"{tmp_path / 'labels.npy'} {message}"


def test_what_else_is_refused(refused, network, tmp_path):
    _, path, images, images_path = network
    message = refused(4, "diagnose", path, "-q", "--images", images_path)
    assert message.startswith(
        "a diagnosis needs the classes of the images: give --images and --labels"
    )
    assert "does not say which data set it was trained on" in refused(4, "diagnose", path, "-q")
    message = refused(4, "diagnose", "digits", "-q", "--out", images_path)
    assert message == (
        f"the report cannot be written to {images_path}: it is a file; name a directory"
    )
    for name, values in (("none", images[:0]), ("labels", np.zeros(0, int))):
        np.save(tmp_path / f"{name}.npy", values)
    message = refused(
        4,
        "diagnose",
        path,
        "-q",
        "--images",
        tmp_path / "none.npy",
        "--labels",
        tmp_path / "labels.npy",
    )
    assert message.startswith("there are no images to diagnose with")
