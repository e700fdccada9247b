"""Every command as a user calls it: exit status, report, and one line for whatever is wrong."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from xnorgrid import commands, data, modelfile, tables
from xnorgrid.cli import main
from xnorgrid.construct import from_arrays
from xnorgrid.model import Input
from xnorgrid.provenance import scores_sha256
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed

BOARD = "pysim:tiny"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("XNORGRID_DEVICE", raising=False)
    monkeypatch.delenv(data.VARIABLE, raising=False)


@pytest.fixture
def call(capsys):
    """Run a command; returns (status, standard output, standard error)."""

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(call):
    """Run a command that must fail with ``status`` and nothing but one message, which is returned."""

    def run(status, *arguments):
        got, out, err = call(*arguments)
        assert got == status, (got, err)
        assert out == ""
        assert err.startswith("error: ") and "Traceback" not in err and err.count("\n") == 1
        return err.removeprefix("error: ").strip()

    return run


@pytest.fixture
def network(tmp_path):
    """A tiny model that says nothing of its data, its file, images and their file."""
    rng = np.random.default_rng(new_seed())
    weights = [rng.integers(0, 2, shape) for shape in [(5, 12), (4, 5), (3, 4)]]
    model = from_arrays(
        weights, [rng.integers(4, 9, 5), rng.integers(1, 5, 4)],
        inverted=[rng.random(5) < 0.5, None], input=Input((3, 4)), name="tiny net",
        labels=("ant", "bee", "cat"),
    )  # fmt: skip
    path = tmp_path / "net.safetensors"
    modelfile.save(model, path)
    images = rng.integers(0, 2, (5, 3, 4), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return model, path, images, tmp_path / "images.npy"


@pytest.fixture
def folded(tmp_path):
    """A folded network, its file, images of which the first meets a threshold exactly, and their file."""
    torch = pytest.importorskip("torch")
    from xnorgrid.fold import fold
    from xnorgrid.nn import BinaryMLP

    torch.manual_seed(1)
    network = BinaryMLP((8, 5, 3), Input((2, 4), "threshold", 255, 128))
    for block in network.hidden:
        torch.nn.init.normal_(block.norm.running_mean, std=2)
        torch.nn.init.uniform_(block.norm.running_var, 1, 20)
    model = fold(network, "folded")
    modelfile.save(model, tmp_path / "folded.safetensors")
    images = np.random.default_rng(1).integers(0, 256, (200, 2, 4), dtype=np.uint8)
    met = reference.layers(model, images)[0].agreeing == model.layers[0].thresholds
    images = images[np.argsort(~met.any(1), kind="stable")[:3]]
    np.save(tmp_path / "pixels.npy", images)
    return model, tmp_path / "folded.safetensors", images, tmp_path / "pixels.npy"


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


def test_inspect_says_why_a_model_does_not_fit(call, tmp_path):
    wide = from_arrays([np.ones((2, 3000), int)], [])
    modelfile.save(wide, tmp_path / "wide.safetensors")
    status, out, _ = call("inspect", tmp_path / "wide.safetensors")
    assert status == 0
    assert "tiny: model 'network' does not fit" in out and "accumulator_bits is 10 but 13" in out


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


def test_run(call, network, tmp_path, monkeypatch):
    """Here the environment names the board."""
    model, path, images, file = network
    monkeypatch.setenv("XNORGRID_DEVICE", BOARD)
    out_file = tmp_path / "scores.npy"
    status, out, err = call("run", path, file, out_file, "-q", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"model": "tiny net", "images": 5, "scores": str(out_file)}
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
        "--config", "tiny", "--kind", "pysim", "--count", "2", "-q", "--json",
    )  # fmt: skip
    reports = json.loads(out)
    assert status == 0
    assert [report["predicted"]["fits"] for report in reports] == [True, True]
    # Each model is loaded anew, and the counters begin with it.
    assert reports[0]["counters"] == reports[1]["counters"]
    heading, columns, *rows = tables.bench_table(reports).splitlines()
    assert heading == "simulated (pysim, tiny): 3 x 2 x 5 lanes, 48 MHz"
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "epochs must be at least 1, not 0"),
        (["--resume"], "there is nothing to resume from"),
        (["--dataset", "mnist"], "mnist is not part of xnorgrid and no directory was given"),
        (["--out", "/nowhere/at/all.safetensors"], "there is no folder /nowhere/at"),
    ],
)
def test_train_refuses(refused, arguments, message):
    pytest.importorskip("torch")
    assert message in refused(4, "train", "digits", "-q", *arguments)


def test_missing_model(refused, tmp_path):
    path = tmp_path / "gone.safetensors"
    message = refused(4, "inspect", path)
    assert message == f"cannot read the model file {str(path)!r}: No such file or directory"
    assert "no bundled model is called 'gone'; bundled: digits" in refused(4, "inspect", "gone")
    assert "Is a directory" in refused(4, "inspect", f"{tmp_path}/")


def test_damaged_model(refused, network):
    _, path, *_ = network
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert refused(4, "inspect", path).startswith(f"{path}: ")
    path.write_bytes(content[:100])
    assert refused(4, "simulate", path).startswith(f"{path}: ")
    path.write_bytes(b"")
    assert refused(4, "verify", path).startswith(f"{path}: ")


def test_model_that_does_not_fit(refused, tmp_path):
    wide = from_arrays([np.ones((2, 3000), int)], [], name="wide")
    modelfile.save(wide, tmp_path / "wide.safetensors")
    np.save(tmp_path / "images.npy", np.ones((1, 3000), np.uint8))
    shared = (tmp_path / "wide.safetensors", "--images", tmp_path / "images.npy", "-q")
    expected = "model 'wide' does not fit 3 x 2 x 5 lanes: "
    message = refused(4, "simulate", *shared, "--config", "tiny", "--kind", "pysim")
    assert message.startswith(expected)
    assert "accumulator_bits is 10 but 13 are needed (3 short)" in message
    assert message.endswith("preset 'sim' would do")
    message = refused(4, "verify", *shared, "--device", BOARD, "--no-torch")
    assert message.startswith(expected)


def test_model_that_fits_nowhere(refused, tmp_path):
    wide = from_arrays([np.ones((1, 40_000), int)], [], name="wide")
    modelfile.save(wide, tmp_path / "wide.safetensors")
    np.save(tmp_path / "images.npy", np.ones((1, 40_000), np.uint8))
    message = refused(
        4, "simulate", tmp_path / "wide.safetensors", "--images", tmp_path / "images.npy"
    )
    assert "no preset is large enough" in message


def test_missing_data(refused, tmp_path):
    message = refused(4, "simulate", "sfc", "--kind", "pysim")
    assert "no directory was given" in message and "XNORGRID_DATA" in message
    message = refused(4, "bench", "sfc", "--data", tmp_path / "gone")
    assert "mnist is incomplete" in message and str(tmp_path / "gone") in message


def test_model_that_does_not_say_its_data(refused, network):
    _, path, *_ = network
    assert "does not say which data set" in refused(4, "simulate", path)
    assert "does not say which data set" in refused(4, "bench", path, "--kind", "pysim")


@pytest.mark.parametrize("command", ["simulate", "verify", "run"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 5), np.uint8), "images must have shape (N, 3, 4) or (N, 12), not (2, 5)"),
        (np.zeros((3, 4), np.uint8), "for a single image, add the first axis"),
        (np.array(1), "images must have shape (N, 3, 4) or (N, 12), not ()"),
        (np.full((1, 12), 2), "image 0 has 2 at position 0"),
        (np.full((1, 12), 0.5), "image 0 has 0.5 at position 0"),
        (np.full((1, 12), "a"), "images must be numbers, not <U1"),
        (np.array([[{}] * 12]), "Object arrays cannot be loaded"),
    ],
)
def test_images_that_the_model_does_not_take(refused, network, tmp_path, command, images, message):
    _, path, *_ = network
    file = tmp_path / "wrong.npy"
    np.save(file, images, allow_pickle=True)
    rest = (file, tmp_path / "scores.npy") if command == "run" else ("--images", file)
    assert message in refused(4, command, path, *rest)
    assert not (tmp_path / "scores.npy").exists()


def test_pixels_out_of_range(refused, folded):
    _, path, images, file = folded
    np.save(file, images.astype(float) / 255)
    message = refused(4, "verify", path, "--images", file)
    assert message.startswith("pixels must be integers in 0 … 255, not float64")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{", b"\x80\x04."])
def test_files_that_are_no_arrays(refused, network, tmp_path, content):
    _, path, *_ = network
    file = tmp_path / "wrong.npy"
    file.write_bytes(content)
    assert f"{file} cannot be read as a .npy file: " in refused(
        4, "simulate", path, "--images", file
    )


def test_missing_images(refused, network, tmp_path):
    _, path, *_ = network
    file = tmp_path / "gone.npy"
    message = refused(4, "run", path, file, tmp_path / "scores.npy")
    assert message == f"{file} cannot be read: No such file or directory"
    assert "Is a directory" in refused(4, "simulate", path, "--images", tmp_path)


@pytest.mark.parametrize("command", ["simulate", "verify"])
def test_nothing_to_compare(refused, network, tmp_path, command):
    _, path, images, _ = network
    np.save(tmp_path / "none.npy", images[:0])
    message = refused(4, command, path, "--images", tmp_path / "none.npy")
    assert message.startswith("there are no images to compare")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("serial:/dev/nothing-here", "/dev/nothing-here"),
        ("pysim:huge", "no array configuration is called 'huge'"),
        ("usb", "no board is called 'usb': use serial:PORT"),
        ("serial:/dev/null?speed=3", "is no board's name"),
    ],
)
def test_absent_board(refused, network, tmp_path, device, message):
    _, path, _, file = network
    assert message in refused(1, "run", path, file, tmp_path / "scores.npy", "--device", device)
    assert not (tmp_path / "scores.npy").exists()


def test_no_compiler(refused, network, tmp_path, monkeypatch):
    _, path, _, file = network
    monkeypatch.setenv("CXX", "/nowhere/c++")
    monkeypatch.setenv("PATH", "/nowhere")
    shared = (path, "--images", file)
    assert "C++" in refused(3, "simulate", *shared, "--kind", "compiled", "--config", "tiny")
    assert "C++" in refused(3, "verify", *shared, "--device", "compiled:tiny", "--no-torch")


def test_missing_extra(refused, folded, monkeypatch):
    _, path, _, file = folded
    for name in ("torch", "xnorgrid.twin", "xnorgrid.nn", "xnorgrid.fold"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    message = refused(3, "verify", path, "--images", file, "--device", BOARD)
    assert message.endswith('install it with: pip install "xnorgrid[train]"')


def test_output_that_cannot_be_written(refused, network, tmp_path, monkeypatch):
    _, path, _, file = network
    monkeypatch.setattr(commands, "run", lambda *_, **__: np.zeros((5, 3), np.int32))
    message = refused(3, "run", path, file, tmp_path, "--device", BOARD, "-q")
    assert "Is a directory" in message


def test_interrupt(call, network, monkeypatch):
    _, path, _, file = network

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "simulate", interrupt)
    assert call("simulate", path, "--images", file) == (130, "", "interrupted\n")


def test_our_own_mistakes_are_not_hidden(network, monkeypatch):
    _, path, _, file = network

    def fail(*_, **__):
        raise KeyError("bug")

    monkeypatch.setattr(commands, "simulate", fail)
    with pytest.raises(KeyError, match="bug"):
        main(["simulate", str(path), "--images", str(file)])


def test_reader_that_goes_away(network):
    """`xnorgrid inspect | head -1` ends quietly."""
    _, path, *_ = network
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "xnorgrid.cli", "inspect", str(path)],
        stdout=write, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
