import numpy as np
import pytest
from programs import programs

from xnorgrid import modelfile
from xnorgrid.cli import main
from xnorgrid.construct import from_arrays
from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim import reference
from xnorgrid.sim.streams import new_seed

__all__ = ["programs"]


@pytest.fixture
def call(capsys, monkeypatch):
    """Run a command as if no variable was set; returns (status, standard output, standard error)."""
    for name in ("XNORGRID_DEVICE", "XNORGRID_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(call):
    """Run a command that must fail with ``status`` and nothing but one message, which is returned.

    It is one line, or a heading with indented lines below it.
    """

    def run(status, *arguments):
        got, out, err = call(*arguments)
        assert got == status, (got, err)
        assert out == ""
        first, *more = err.splitlines()
        assert first.startswith("error: ") and "Traceback" not in err
        assert err.endswith("\n") and all(line.startswith("  ") for line in more)
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
def conv(tmp_path):
    """A small convolutional model on 2-bit pixels, its file, 5 images and their file."""
    rng = np.random.default_rng(new_seed())

    def bits(*shape):
        return rng.integers(0, 2, shape, dtype=np.uint8)

    layers = (
        Conv("conv1", bits(5, 3, 3, 1), np.full(5, 14, np.int32), bits(5) > 0, 1, (1, 1), 1),
        Conv("conv2", bits(4, 2, 2, 5), np.full(4, 20, np.int32), bits(4) > 0, 1, (1, 0), 0, 2),
        Dense("scores", bits(3, 3 * 2 * 4)),
    )
    model = Model("small conv", Input((6, 5, 1), "pixels", 3), layers)
    modelfile.save(model, tmp_path / "conv.safetensors")
    images = rng.integers(0, 4, (5, 6, 5, 1), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", images)
    return model, tmp_path / "conv.safetensors", images, tmp_path / "pixels.npy"


@pytest.fixture
def folded(tmp_path):
    """A folded network, its file, images of which the first meets a threshold exactly, and their file."""
    torch = pytest.importorskip("torch")
    from xnorgrid.fold import fold
    from xnorgrid.network import BinaryMLP

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
