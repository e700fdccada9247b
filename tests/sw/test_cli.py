"""Every command as a user calls it: exit status and report."""

import dataclasses
import json
import re

import numpy as np
import pytest

from xnorgrid import commands, data, modelfile, tables
from xnorgrid.cli import main
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import preset
from xnorgrid.model import Input
from xnorgrid.provenance import scores_sha256
from xnorgrid.sim import reference

BOARD = "pysim:tiny"


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


def shared_options(weight_depth):
    """An array on which the small convolutional network takes two passes a run, or one if streamed."""
    fields = ("link=fifo", "activation_depth=300", f"weight_depth={weight_depth}")
    return ("--config", "tiny", *(part for field in fields for part in ("--set", field)))


@pytest.mark.parametrize(("weight_depth", "segments"), [(1024, 1), (17, 3)])
def test_inspect_knows_the_cycles_that_the_board_counts(call, conv, weight_depth, segments):
    """Resident and streamed; the run's cycles are made of the layers' and those around them."""
    _, path, images, file = conv
    options = shared_options(weight_depth)
    status, out, _ = call("inspect", path, *options, "--json")
    report = json.loads(out)
    assert status == 0 and report["shown"] == "configuration"
    fit = report["on"]["configuration"]
    assert (fit["fits"], fit["segments"]) == (True, segments)
    runs = 1 if segments == 1 else 2
    assert (fit["passes_per_run"], runs * fit["images_per_run"]) == (2 // runs, len(images) - 1)
    assert [layer["input_shape"] for layer in report["layers"]] == [[6, 5, 1], [6, 5, 5], [3, 2, 4]]
    status, out, _ = call(
        "bench", path, "--images", file, "--count", len(images) - 1, *options, "--kind", "pysim", "-q",
        "--json",
    )  # fmt: skip
    [measured] = json.loads(out)
    assert status == 0 and measured["bit_exact"] is True
    counted = measured["counters"]["busy_cycles"]
    assert counted == runs * fit["cycles_per_run"] == measured["predicted_cycles"]
    each = sum(layer["cycles_per_pass"] for layer in fit["layers"])
    assert counted == 2 * each + runs * fit["cycles_outside_layers"]
    assert measured["useful_lanes"] == measured["expected_lanes"]
    assert measured["utilisation"] == pytest.approx(fit["utilisation"])
    assert measured["segments"] == segments
    streaming = measured["streaming"]
    if segments == 1:
        assert fit["streamed_bytes_per_run"] == 0 and not any(streaming.values())
    else:
        assert fit["streamed_bytes_per_run"] > 0
        assert streaming["segments"] == runs * segments
        assert streaming["array_seconds"] == pytest.approx(counted / 48e6)


def test_inspect_says_what_the_line_allows(call, conv):
    """Faster lines carry more images; weights that are streamed leave room for fewer."""
    _, path, *_ = conv

    def rate(weight_depth, baud):
        options = (*shared_options(weight_depth), "--set", f"baud={baud}")
        fit = json.loads(call("inspect", path, *options, "--json")[1])["on"]["configuration"]
        return fit["images_per_second_on_link"], fit["streamed_bytes_per_run"]

    resident, none = rate(1024, 1_000_000)
    assert rate(1024, 4_000_000) == (pytest.approx(4 * resident), none)
    streamed, written = rate(17, 1_000_000)
    # A run of 2 images, ten bits for each byte: not as fast as the weights alone would allow.
    assert none == 0 and streamed < resident and streamed < 2 * 100_000 / written


def test_simulate(call, network):
    _, path, _, file = network
    shared = ("simulate", path, "--images", file, "--count", "3", "--kind", "pysim", "-q")
    status, out, _ = call(*shared, "--json")
    report = json.loads(out)
    assert status == 0
    # The smallest array that holds it.
    assert report["board"] == "simulated (pysim, tiny)"
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
    report = commands.simulate(recorded, commands.Images(images, None, whole=True), kind="pysim")
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
    assert report["compared"] == ["PyTorch", "reference", "simulated (pysim, tiny)"]
    assert report["layers"] == [{"name": "dense1", "values": 15}, {"name": "scores", "values": 9}]
    assert tables.verify_text(report) == (
        "model folded: PyTorch = reference = simulated (pysim, tiny)? 3 images, layer by layer\n"
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
        f"reference {1 - right}, simulated (pysim, tiny) {1 - right} ("
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
    assert "reference = simulated (pysim, tiny)?" in out and out.endswith("\nbit-exact\n")


def test_bench(call, digits, tmp_path):
    model, _ = digits
    modelfile.save(model, tmp_path / "one.safetensors")
    modelfile.save(dataclasses.replace(model, name="other"), tmp_path / "two.safetensors")
    status, out, _ = call(
        "bench", tmp_path / "one.safetensors", tmp_path / "two.safetensors",
        "--config", "tiny", "--set", "link=fifo", "--kind", "pysim", "--count", "2", "-q", "--json",
    )  # fmt: skip
    reports = json.loads(out)
    assert status == 0
    # Each model is loaded anew, and the counters begin with it.
    assert reports[0]["counters"] == reports[1]["counters"]
    assert all(r["counters"]["busy_cycles"] == r["predicted_cycles"] for r in reports)
    heading, columns, *rows = tables.bench_text(reports).splitlines()[:4]
    assert heading.startswith("simulated (pysim, 3 x 2 x 5): 3 x 2 x 5 lanes, 48 MHz; ")
    assert columns.split()[:4] == ["model", "images", "accuracy", "exact"]
    shown = [row.split() for row in rows]
    assert [row[0] for row in shown] == ["guess", "other"]
    assert all(row[1] == "2" and row[3] == "yes" for row in shown)


def test_bench_compares_layers_and_says_which_differs(call, conv, monkeypatch):
    _, path, _, file = conv
    shared = (
        "bench", path, "--images", file, "--count", "3", *shared_options(1024), "--kind", "pysim",
        "-q", "--layers", "2",
    )  # fmt: skip
    status, out, _ = call(*shared)
    assert status == 0
    values = 2 * (6 * 5 * 5 + 3 * 2 * 4 + 3)
    assert out.endswith(f"2 images layer by layer: all {values} values equal the reference's\n")
    assert "3 of 4 columns of all passes hold an image" in out

    right = reference.layers

    def wrong(model, images):
        found = right(model, images)
        found[1].bits[1, 2, 1, 3] ^= 1
        return found

    monkeypatch.setattr(commands.reference, "layers", wrong)
    status, out, _ = call(*shared)
    assert status == 5
    assert (
        "2 images layer by layer: first difference: layer 'conv2', channel 3, row 2, column 1, image 1: "
        "reference "
    ) in out


@pytest.mark.parametrize("weight_depth", [1024, 17])
def test_verify_convolutions_on_any_array(call, conv, weight_depth):
    """Resident, and with weights streamed because the weight memory is too small."""
    _, path, _, file = conv
    status, out, _ = call(
        "verify", path, "--images", file, "--count", "3", "--no-torch", "-q",
        "--device", "pysim", *shared_options(weight_depth),
    )  # fmt: skip
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == (
        "model small conv: reference = simulated (pysim, 3 x 2 x 5)? 3 images, layer by layer"
    )
    assert lines[1:-4] == ([] if weight_depth == 1024 else ["weights streamed in 3 segments"])
    assert lines[-4:] == [
        "  conv1        450 values equal",
        "  conv2        72 values equal",
        "  scores       9 values equal",
        "bit-exact",
    ]


def test_accuracy_is_that_of_the_outputs(conv):
    """With negative gains the smallest score is the class."""
    model, _, images, _ = conv
    model = dataclasses.replace(model, affine=np.array([[-1] * 3, [0] * 3], np.float32))
    scores = reference.scores(model, images)
    labels = reference.outputs(model, images).argmax(1)
    assert (labels != scores.argmax(1)).any()
    report = commands.simulate(
        model,
        commands.Images(images, labels, whole=False),
        kind="pysim",
        config=dataclasses.replace(preset("tiny"), link="fifo"),
    )
    assert report["accuracy"] == 1.0 and report["bit_exact"] is True


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
