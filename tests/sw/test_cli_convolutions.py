"""Commands on a convolutional network, on arrays that hold it and on one that its weights are streamed to."""

import dataclasses
import json

import numpy as np
import pytest

from xnorgrid import commands
from xnorgrid.hw.config import preset
from xnorgrid.sim import reference


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
        "bench", path, "--images", file, "--count", len(images) - 1, *options, "--kind", "compiled", "-q",
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


def test_bench_compares_layers_and_says_which_differs(call, conv, monkeypatch):
    _, path, _, file = conv
    shared = (
        "bench", path, "--images", file, "--count", "3", *shared_options(1024), "--kind", "compiled",
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
        "--device", "compiled", *shared_options(weight_depth),
    )  # fmt: skip
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == (
        "model small conv: reference = simulated (compiled, 3 x 2 x 5)? 3 images, layer by layer"
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
        kind="compiled",
        config=dataclasses.replace(preset("tiny"), link="fifo"),
    )
    assert report["accuracy"] == 1.0 and report["bit_exact"] is True
