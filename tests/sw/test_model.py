"""What a model refuses, by message; equality; the summary."""

import numpy as np
import pytest

from xnorgrid.model import Dense, Input, Model, ModelError, describe


def ones(out, fan_in):
    return np.ones((out, fan_in), np.uint8)


def hidden(name="a", out=3, fan_in=4, thresholds=None, inverted=None):
    given = np.full(out, 2, np.int32) if thresholds is None else np.array(thresholds)
    return Dense(name, ones(out, fan_in), given, inverted)


def model(**changes):
    values = {
        "name": "net",
        "input": Input((2, 2)),
        "layers": (hidden(), Dense("b", ones(2, 3))),
        "labels": ("no", "yes"),
        "provenance": {"seed": 1},
        "batchnorm": {"a": np.ones((4, 3), np.float32)},
    }
    return Model(**(values | changes))


def test_arrays_are_copied_and_read_only():
    weights, thresholds = ones(3, 4), np.array([0, 2, 5], np.int64)
    layer = Dense("a", np.asfortranarray(weights), thresholds)
    weights[0, 0] = 0
    assert layer.weights[0, 0] == 1 and layer.weights.flags.c_contiguous
    assert layer.thresholds.dtype == np.int32 and layer.inverted.tolist() == [False] * 3
    for array in (layer.weights, layer.thresholds, layer.inverted):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert (layer.channels, layer.fan_in) == (3, 4)


def test_provenance_is_copied():
    provenance = {"epochs": [1, 2]}
    made = model(provenance=provenance)
    provenance["epochs"].append(3)
    assert made.provenance == {"epochs": [1, 2]}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"input": Input((4,))},
        {"layers": (hidden(thresholds=[2, 2, 3]), Dense("b", ones(2, 3)))},
        {"layers": (hidden(inverted=np.array([0, 0, 1], bool)), Dense("b", ones(2, 3)))},
        {"layers": (hidden(), Dense("b", ones(2, 3) - np.eye(2, 3, dtype=np.uint8)))},
        {"layers": (hidden(), Dense("c", ones(2, 3)))},
        {"labels": ()},
        {"provenance": {"seed": 2}},
        {"batchnorm": {}},
        {"batchnorm": {"a": np.zeros((4, 3), np.float32)}},
        {"batchnorm_eps": 1e-5},
    ],
)
def test_equality_is_by_content(changes):
    assert model() == model()
    assert model(**changes) == model(**changes)
    assert model() != model(**changes)
    assert model() != "net"


def test_describe():
    summary = describe(model())
    assert summary["operations_per_image"] == summary["weight_bits"] == 3 * 4 + 2 * 3
    assert [layer["shape"] for layer in summary["layers"]] == [[3, 4], [2, 3]]
    assert [layer["result"] for layer in summary["layers"]] == ["bits", "scores"]
    assert summary["input"] == {"shape": [2, 2], "kind": "bits", "maximum": 1, "threshold": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Input(()), r"input: shape must be of positive sizes"),
        (lambda: Input((2, 0)), r"positive sizes .* not \(2, 0\)"),
        (lambda: Input((1 << 11, 1 << 11)), r"product up to 1048576"),
        (lambda: Input(4), r"input: shape must be a sequence, not int"),
        (lambda: Input((2.5,)), r"input: shape must be integers, not \(2.5,\)"),
        (lambda: Input((True,)), r"input: shape must be integers"),
        (lambda: Input((4,), "planes"), r"'bits' or 'threshold', not 'planes'"),
        (lambda: Input((4,), "threshold", 0), r"maximum must be in 1 … 65535, not 0"),
        (lambda: Input((4,), "threshold", 255, 257), r"threshold must be in 0 … 256 .* not 257"),
        (lambda: Input((4,), "bits", 255, 128), r"'bits' goes with maximum 1 .* not 255 and 128"),
        (lambda: Dense("", ones(1, 1)), r"layer: name must be 1 … 200 printable"),
        (lambda: Dense("a\x1b[2J", ones(1, 1)), r"printable characters, not 'a\\x1b\[2J'"),
        (lambda: Dense("a", [[1]]), r"layer 'a': weights must be uint8 \(out, in\), not list"),
        (lambda: Dense("a", ones(2, 3) * 1.0), r"not float64 \(2, 3\)"),
        (lambda: Dense("a", ones(2, 3)[0]), r"not uint8 \(3,\)"),
        (lambda: Dense("a", ones(0, 3)), r"1 … 1048576 channels and inputs, not shape \(0, 3\)"),
        (lambda: Dense("a", ones(2, 3) * 2), r"weights must be 0 or 1, but one is 2"),
        (lambda: Dense("a", ones(1, 1), None, np.ones(1, bool)), r"'a': a score layer .* inverted"),
        (
            lambda: hidden(thresholds=[1, 2]),
            r"'a': thresholds must be int32 \(3,\).* not int64 \(2,\)",
        ),
        (lambda: hidden(thresholds=[0.5, 1, 2]), r"not float64 \(3,\)"),
        (lambda: hidden(thresholds=[0, 6, 5]), r"0 … 5 \(fan-in \+ 1\), but channel 1 has 6"),
        (lambda: hidden(thresholds=[0, -1, 5]), r"but channel 1 has -1"),
        (lambda: hidden(inverted=np.zeros(3, np.uint8)), r"inverted must be bool \(3,\).* uint8"),
        (lambda: model(name=3), r"model: name must be"),
        (lambda: model(input=(4,)), r"model: input must be an Input, not tuple"),
        (lambda: model(layers=()), r"1 … 256 layers, not 0"),
        (lambda: model(layers=hidden()), r"layers must be a sequence, not Dense"),
        (lambda: model(layers=("a",)), r"layer 0: must be a Dense, not str"),
        (lambda: model(input=Input((5,))), r"'a': takes 4 bits, but the input gives 5"),
        (
            lambda: model(layers=(hidden(), Dense("b", ones(2, 4)))),
            r"layer 'b': takes 4 bits, but layer 'a' gives 3",
        ),
        (
            lambda: model(layers=(hidden(), Dense("a", ones(2, 3)))),
            r"layer 1: the name 'a' is taken",
        ),
        (lambda: model(layers=(hidden(),)), r"'a': is the last and must give scores"),
        (
            lambda: model(layers=(Dense("a", ones(3, 4)), Dense("b", ones(2, 3)))),
            r"'a': is not the last and needs thresholds",
        ),
        (lambda: model(labels=("no",)), r"2 classes need as many labels, not 1"),
        (lambda: model(labels="no"), r"labels must be a sequence, not str"),
        (lambda: model(labels=("no", "\n")), r"model: label must be"),
        (lambda: model(provenance=[]), r"provenance must be a dict, not list"),
        (lambda: model(provenance={"a": np.zeros(1)}), r"provenance must be JSON-ready: .*ndarray"),
        (lambda: model(provenance={"a": float("nan")}), r"provenance must be JSON-ready"),
        (lambda: model(provenance={"a": "\ud800"}), r"provenance must be JSON-ready"),
        (lambda: model(batchnorm=None), r"batchnorm must be a dict, not NoneType"),
        (lambda: model(batchnorm={"b": np.ones((4, 2), np.float32)}), r"'b', which is no hidden"),
        (
            lambda: model(batchnorm={"a": np.ones((4, 3))}),
            r"float32 \(4, 3\), not float64 \(4, 3\)",
        ),
        (lambda: model(batchnorm={"a": -np.ones((4, 3), np.float32)}), r"variances from 0 upwards"),
        (lambda: model(batchnorm_eps=float("nan")), r"batchnorm_eps must be a number in 0 … 1"),
    ],
)
def test_malformed(make, message):
    with pytest.raises(ModelError, match=message):
        make()
