"""Whatever is wrong, the command line says so in one line and by its exit status."""

import os
import subprocess
import sys

import numpy as np
import pytest

from xnorgrid import commands, modelfile
from xnorgrid.cli import main
from xnorgrid.construct import from_arrays

BOARD = "pysim:tiny"


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
    bundled = ", ".join(modelfile.bundled_models())
    assert f"no bundled model is called 'gone'; bundled: {bundled}. " in refused(
        4, "inspect", "gone"
    )
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


def saved(tmp_path, shapes):
    """Options that name a model of ones with these weight shapes, and an image for it."""
    ones = [np.ones(shape, int) for shape in shapes]
    modelfile.save(
        from_arrays(ones, [1] * (len(ones) - 1), name="wide"), tmp_path / "wide.safetensors"
    )
    np.save(tmp_path / "images.npy", np.ones((1, shapes[0][1]), np.uint8))
    return tmp_path / "wide.safetensors", "--images", tmp_path / "images.npy", "-q"


def test_model_that_does_not_fit(refused, tmp_path):
    """Images too large for the activation memory."""
    shared = saved(tmp_path, [(2, 500)])
    fields = ("--set", "activation_depth=50")
    expected = (
        "model 'wide' does not fit 3 x 2 x 5 lanes: activation_depth is 50 but 107 are needed "
    )
    message = refused(4, "simulate", *shared, "--config", "tiny", *fields, "--kind", "pysim")
    assert message.startswith(expected)
    assert message.endswith("preset 'tiny' or 'small' or 'sim' would do")
    pysim = ("--device", "pysim", "--config", "tiny", *fields, "--no-torch")
    assert refused(4, "verify", *shared, *pysim).startswith(expected)


def test_unsupported_layers_are_listed_line_by_line(refused, tmp_path):
    shared = saved(tmp_path, [(600, 3000), (2, 600)])
    heading, *lines = refused(
        4, "simulate", *shared, "--config", "tiny", "--kind", "pysim"
    ).splitlines()
    assert heading == "model 'wide': 3 x 2 x 5 lanes cannot run it:"
    assert lines == [
        f"  layer 'layer{k}': its sums reach {inputs}, which takes {bits} accumulator bits, but there "
        f"are 10: raise accumulator_bits to {bits}"
        for k, inputs, bits in ((0, 3000, 13), (1, 600, 11))
    ]


def test_model_that_fits_nowhere(refused, tmp_path):
    message = refused(4, "simulate", *saved(tmp_path, [(1, 40_000)]))
    assert message.startswith("model 'wide': 8 x 8 x 32 lanes cannot run it:\n  layer ")
    assert "its sums reach 40000" in message


def test_array_that_cannot_be_built(refused, network):
    _, path, _, file = network
    assert refused(4, "inspect", path, "--set", "rows=0") == "rows must be at least 1, not 0"
    message = refused(4, "simulate", path, "--images", file, "--set", "link=rope")
    assert message == "link must be one of uart, fifo, not 'rope'"


def test_array_named_twice(refused, network):
    _, path, _, file = network
    message = refused(
        1, "verify", path, "--images", file, "--device", BOARD, "--config", "small", "--no-torch"
    )
    assert message == "pysim:tiny already names a configuration: leave it or config out"


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
