"""Every command as a user calls it: exit status and report."""

import dataclasses
import json
import re

import numpy as np
import pytest

from xnorgrid import commands, data, modelfile, tables
from xnorgrid.cli import main
from xnorgrid.construct import from_arrays
from xnorgrid.model import Input
from xnorgrid.provenance import scores_sha256
from xnorgrid.sim import reference

BOARD = "compiled:tiny"


@pytest.fixture
def digits(monkeypatch):
    """A tiny model that says it was trained on the digits, of which it sees four."""
    whole = data.load("digits")
    images, labels = whole.test_images[:4], whole.test_labels[:4]
    few = dataclasses.replace(whole, test_images=images, test_labels=labels)
    monkeypatch.setattr(data, "load", lambda *_: few)
    rng = np.random.default_rng(2)
    model = from_arrays(
        [rng.integers(0, 2, (10, 64))], [], input=Input((8, 8), "threshold", 16, 6), name="guess"
    )
    provenance = {
        "recipe": {"dataset": "digits"},
        "scores_sha256": scores_sha256(reference.scores(model, images)),
    }
    accuracy = float(np.mean(reference.scores(model, images).argmax(1) == labels))
    return dataclasses.replace(model, provenance=provenance), accuracy


def test_no_command_prints_help(call):
    status, out, err = call()
    assert (status, out) == (2, "")
    for name in ("demo", "train", "inspect", "simulate", "verify", "run", "bench"):
        assert f"\n    {name} " in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--version"], 0, r"^xnorgrid \d+\.\d+"),
        (["--help"], 0, "COMMAND"),
        (["paint"], 2, "invalid choice: 'paint'"),
        (["simulate"], 2, "required: MODEL"),
        (["simulate", "digits", "--count", "0"], 2, "invalid positive whole number value: '0'"),
        (["simulate", "digits", "--count", "-3"], 2, "invalid positive whole number value: '-3'"),
        (
            ["simulate", "digits", "--count", "many"],
            2,
            "invalid positive whole number value: 'many'",
        ),
        (["simulate", "digits", "--config", "huge"], 2, "choose from '?tiny'?, '?small'?, '?sim'?"),
        (["simulate", "digits", "--kind", "magic"], 2, "invalid choice: 'magic'"),
        (
            ["inspect", "digits", "--set", "rows"],
            2,
            "'rows' is not FIELD=VALUE with one of the fields",
        ),
        (
            ["inspect", "digits", "--set", "depth=3"],
            2,
            "'depth=3' is not FIELD=VALUE with .* rows, cols",
        ),
        (["inspect", "digits", "--set", "rows=x"], 2, "rows must be a whole number, not 'x'"),
    ],
)
def test_usage(capsys, arguments, status, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == status
    printed = capsys.readouterr()
    assert re.search(message, printed.out if status == 0 else printed.err)


def test_inspect(call, network):
    _, path, *_ = network
    status, out, _ = call("inspect", path)
    assert status == 0
    assert out.startswith("model tiny net: 92 weight bits, 92 XNORs per image\n")
    assert "ant, bee, cat" in out and "tiny" in out and "small" in out and "sim" in out
    status, out, _ = call("inspect", path, "--json", "--config", "tiny")
    report = json.loads(out)
    assert status == 0
    assert [layer["shape"] for layer in report["layers"]] == [[5, 12], [4, 5], [3, 4]]
    assert list(report["on"]) == ["tiny"] and report["on"]["tiny"]["fits"] is True
    assert report["has_batchnorm"] is False


def test_inspect_lists_what_an_array_cannot_run(call, tmp_path):
    wide = from_arrays([np.ones((2, 3000), int), np.ones((2, 2), int)], [1], name="wide")
    modelfile.save(wide, tmp_path / "wide.safetensors")
    status, out, _ = call("inspect", tmp_path / "wide.safetensors")
    assert status == 0
    assert (
        "tiny: model 'wide': 3 x 2 x 5 lanes cannot run it:\n  layer 'layer0': its sums reach 3000, "
    ) in out


def test_simulate(call, network):
    _, path, _, file = network
    shared = ("simulate", path, "--images", file, "--count", "3", "--kind", "compiled", "-q")
    status, out, _ = call(*shared, "--json")
    report = json.loads(out)
    assert status == 0
    # The smallest array that holds it.
    assert report["board"] == "simulated (compiled, tiny)"
    assert (report["model"], report["images"]) == ("tiny net", 3)
    assert report["bit_exact"] is True and report["differing_scores"] == 0
    assert report["accuracy"] is None and report["matches_pytorch"] is None
    assert report["useful_lanes"] == report["expected_lanes"] == 3 * 92
    assert report["array"] == {"rows": 3, "cols": 2, "lanes": 5, "clock_hz": 48_000_000}
    assert report["counters"]["busy_cycles"] == pytest.approx(3 * report["cycles_per_image"])
    text = tables.measure_text(report)
    assert "bit-exact          yes: every score of every image equals" in text
    assert "images             3\n" in text and "accuracy" not in text


def test_demo(call, digits, monkeypatch):
    model, accuracy = digits
    monkeypatch.setattr(commands, "load", lambda name: {"digits": model}[name])
    status, out, _ = call("demo", "--device", BOARD, "-q")
    assert status == 0
    assert f"accuracy           {accuracy:.2%}\n" in out
    assert "equals PyTorch     yes: SHA-256 of all scores\n" in out
    assert "bit-exact          yes" in out


@pytest.mark.parametrize(
    ("bit_exact", "matches", "status"),
    [(True, True, 0), (True, None, 0), (True, False, 5), (False, True, 5), (False, None, 5)],
)
def test_scores_that_differ_are_no_success(call, network, monkeypatch, bit_exact, matches, status):
    _, path, _, file = network
    report = {"bit_exact": bit_exact, "matches_pytorch": matches}
    monkeypatch.setattr(commands, "simulate", lambda *_, **__: report)
    monkeypatch.setattr(tables, "measure_text", str)
    got, out, _ = call("simulate", path, "--images", file, "--json")
    assert (got, json.loads(out)) == (status, report)


def test_what_differs_is_counted(network, monkeypatch):
    model, _, images, _ = network
    wrong = reference.scores(model, images)
    wrong[3, 1] += 2
    monkeypatch.setattr(commands.reference, "scores", lambda *_: wrong)
    recorded = dataclasses.replace(model, provenance={"scores_sha256": scores_sha256(wrong)})
    report = commands.simulate(recorded, commands.Images(images, None, whole=True), kind="compiled")
    assert (report["bit_exact"], report["differing_scores"]) == (False, 1)
    assert report["matches_pytorch"] is False
    text = tables.measure_text(report)
    assert "NO: 1 scores differ from the integer reference's" in text
    assert "equals PyTorch     NO: SHA-256 differs\n" in text


def test_run(call, conv, tmp_path, monkeypatch):
    """Here the environment names the board."""
    model, path, images, file = conv
    monkeypatch.setenv("XNORGRID_DEVICE", BOARD)
    out_file = tmp_path / "scores.npy"
    status, out, err = call("run", path, file, out_file, "-q", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"model": "small conv", "images": 5, "scores": str(out_file)}
    scores = np.load(out_file)
    assert scores.dtype == np.int32
    assert np.array_equal(scores, reference.scores(model, images))


def test_run_without_images_gives_no_scores(call, network, tmp_path):
    _, path, images, _ = network
    np.save(tmp_path / "none.npy", images[:0])
    out_file = tmp_path / "out.npy"
    status, out, _ = call("run", path, tmp_path / "none.npy", out_file, "--device", BOARD)
    assert (status, out) == (0, f"0 images: scores in {out_file}\n")
    assert np.load(tmp_path / "out.npy").shape == (0, 3)


def test_run_wants_the_folder_of_its_output_first(refused, network, tmp_path):
    _, path, _, file = network
    message = refused(4, "run", path, file, tmp_path / "gone" / "scores.npy", "--device", BOARD)
    assert message.endswith(f"there is no folder {tmp_path / 'gone'}; create it first")


def test_verify(call, folded):
    _, path, _, file = folded
    status, out, _ = call("verify", path, "--images", file, "--device", BOARD, "-q", "--json")
    report = json.loads(out)
    assert status == 0
    assert report["bit_exact"] is True and report["difference"] is None
    assert report["compared"] == ["PyTorch", "reference", "simulated (compiled, tiny)"]
    assert report["layers"] == [{"name": "dense1", "values": 15}, {"name": "scores", "values": 9}]
    assert tables.verify_text(report) == (
        "model folded: PyTorch = reference = simulated (compiled, tiny)? 3 images, layer by layer\n"
        "  dense1       15 values equal\n"
        "  scores       9 values equal\n"
        "bit-exact"
    )


def test_verify_names_the_neuron_whose_threshold_is_off_by_one(call, folded):
    """The reference and the board follow the file's thresholds, PyTorch the file's BatchNorm."""
    model, path, images, file = folded
    layer = model.layers[0]
    agreeing = reference.layers(model, images)[0].agreeing
    # A neuron for which an image meets its threshold exactly, so that one more changes its bit.
    met = agreeing == layer.thresholds
    neuron = int(np.flatnonzero(met.any(0))[0])
    image = int(np.flatnonzero(met[:, neuron])[0])
    thresholds = layer.thresholds.copy()
    thresholds[neuron] += 1
    changed = dataclasses.replace(layer, thresholds=thresholds)
    modelfile.save(dataclasses.replace(model, layers=(changed, *model.layers[1:])), path)

    shared = ("verify", path, "--images", file, "--device", BOARD, "-q", "--json")
    status, out, _ = call(*shared)
    report = json.loads(out)
    difference = report["difference"]
    assert status == 5
    right = int(reference.layers(model, images)[0].bits[image, neuron])
    text = tables.verify_text(report)
    assert "  dense1       DIFFERS\n" in text and "scores" not in text
    assert (
        f"first difference: layer 'dense1', neuron {neuron}, image {image}: PyTorch {right}, "
        f"reference {1 - right}, simulated (compiled, tiny) {1 - right} ("
    ) in text
    assert (difference["layer"], difference["neuron"], difference["image"]) == (
        "dense1", neuron, image,
    )  # fmt: skip


def test_verify_without_batchnorm(call, refused, network):
    _, path, _, file = network
    shared = ("verify", path, "--images", file, "--device", BOARD, "-q")
    message = refused(4, *shared)
    assert "model 'tiny net' has no BatchNorm for layer 'layer0'" in message
    assert message.endswith("--no-torch compares the reference and the board only")
    status, out, _ = call(*shared, "--no-torch")
    assert status == 0
    assert "reference = simulated (compiled, tiny)?" in out and out.endswith("\nbit-exact\n")


def test_bench(call, digits, tmp_path):
    model, _ = digits
    modelfile.save(model, tmp_path / "one.safetensors")
    modelfile.save(dataclasses.replace(model, name="other"), tmp_path / "two.safetensors")
    status, out, _ = call(
        "bench", tmp_path / "one.safetensors", tmp_path / "two.safetensors",
        "--config", "tiny", "--set", "link=fifo", "--kind", "compiled", "--count", "2", "-q", "--json",
    )  # fmt: skip
    reports = json.loads(out)
    assert status == 0
    # Each model is loaded anew, and the counters begin with it.
    assert reports[0]["counters"] == reports[1]["counters"]
    assert all(r["counters"]["busy_cycles"] == r["predicted_cycles"] for r in reports)
    heading, columns, *rows = tables.bench_text(reports).splitlines()[:4]
    assert heading.startswith("simulated (compiled, 3 x 2 x 5): 3 x 2 x 5 lanes, 48 MHz; ")
    assert columns.split()[:4] == ["model", "images", "accuracy", "exact"]
    shown = [row.split() for row in rows]
    assert [row[0] for row in shown] == ["guess", "other"]
    assert all(row[1] == "2" and row[3] == "yes" for row in shown)


def test_train(call, tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "few.safetensors"
    status, out, _ = call(
        "train", "digits", "--epochs", "1", "--hidden", "8", "--out", path, "-q", "--json"
    )
    report = json.loads(out)
    assert status == 0
    assert report["model"] == str(path) and report["interrupted"] is False
    model = modelfile.load(path)
    assert [layer.channels for layer in model.layers] == [8, 10]
    assert model.provenance["test_accuracy"] == report["test_accuracy"]
