"""What a model refuses, by message; shapes and operations; class affines; equality; the summary."""

import dataclasses
import json

import numpy as np
import pytest

from xnorgrid.model import Conv, Dense, Input, Model, ModelError, describe


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


def conv(name="c", shape=(5, 3, 3, 2), **options):
    return Conv(name, np.ones(shape, np.uint8), np.zeros(shape[0], np.int32), **options)


def cnn(**changes):
    """6x5 pixels of two channels: a convolution with pooling, one that strides, and a dense layer."""
    values = {
        "name": "cnn",
        "input": Input((6, 5, 2), "pixels", 255),
        "layers": (
            conv(padding=(1, 1), fill=0, pool=2),
            conv("d", (4, 2, 1, 5), stride=2),
            Dense("out", ones(3, 4)),
        ),
    }
    return Model(**(values | changes))


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
        {"affine": np.ones((2, 2), np.float32)},
        {"affine": np.zeros((2, 2), np.float32)},
    ],
)
def test_equality_is_by_content(changes):
    assert model() == model()
    assert model(**changes) == model(**changes)
    assert model() != model(**changes)
    assert model() != "net"


def test_shapes_follow_the_layers():
    made = cnn()
    assert made.shapes == ((3, 2, 5), (1, 1, 4), (3,))
    assert [made.input_shape(k) for k in range(3)] == [(6, 5, 2), (3, 2, 5), (1, 1, 4)]
    assert made.classes == 3
    # A single position of four channels and four channels are the same values to a dense layer.
    assert model().shapes == ((3,), (2,)) and model().input_shape(0) == (4,)


def test_an_image_without_channels_is_a_map_of_one():
    source = Input((6, 5), "threshold", 16, 8)
    assert source.map_shape == (6, 5, 1) and source.size == 30
    made = cnn(input=source, layers=(conv(shape=(5, 3, 3, 1)), Dense("out", ones(3, 60))))
    assert made.input_shape(0) == (6, 5, 1) and made.shapes[0] == (4, 3, 5)


@pytest.mark.parametrize(
    ("source", "planes", "amplitude"),
    [
        (Input((6, 5, 2)), 1, 1),
        (Input((6, 5, 2), "threshold", 255, 128), 1, 1),
        (Input((6, 5, 2), "pixels", 1), 1, 1),
        (Input((6, 5, 2), "pixels", 255), 8, 255),
        (Input((6, 5, 2), "pixels", 0xFFFF), 16, 0xFFFF),
    ],
)
def test_only_pixels_have_several_planes(source, planes, amplitude):
    made = cnn(input=source)
    assert (source.planes, source.amplitude) == (planes, amplitude)
    assert [made.amplitude(k) for k in range(3)] == [amplitude, 1, 1]
    # The first convolution computes the 6x4 positions that pooling takes of its 6x5.
    assert [made.operations(k) for k in range(3)] == [24 * 5 * 18 * planes, 4 * 10, 3 * 4]


@pytest.mark.parametrize(
    ("layer", "largest"),
    [
        (hidden(fan_in=60), 60 * 255),
        (conv(), 18 * 255),
        (conv(padding=(1, 0), fill=1), 18 * 255),
        (conv(padding=(1, 0), fill=0), 2 * 18 * 255),
    ],
)
def test_the_largest_threshold_is_one_that_no_input_reaches(layer, largest):
    """The input's range and a fill of 0 widen what thresholds are compared with."""

    def made(limit, maximum):
        thresholds = np.full(layer.channels, limit)
        first = dataclasses.replace(layer, thresholds=thresholds)
        count = int(np.prod(first.output_shape((6, 5, 2) if isinstance(layer, Conv) else (60,))))
        last = Dense("out", ones(3, count))
        return cnn(input=Input((6, 5, 2), "pixels", maximum), layers=(first, last))

    assert made(largest + 1, 255).layers[0].thresholds[0] == largest + 1
    for limit, maximum in ((largest + 2, 255), (largest + 1, 127)):
        with pytest.raises(ModelError, match=rf"\(one more .*channel 0 has {limit}$"):
            made(limit, maximum)


def test_the_largest_count_is_exact_in_float64():
    widest = Input((8192,), "pixels", 0xFFFF)
    made = Model("net", widest, (Dense("out", ones(1, 8192)),))
    score, gain = np.int32(8192 * 0xFFFF), np.float32(1 + 2**-23)
    product = dataclasses.replace(made, affine=np.array([[gain], [0]], np.float32))
    assert int(product.outputs(score[None, None])[0, 0] * 2**23) == int(score) * (2**23 + 1)


def test_outputs_of_an_affine_can_change_the_class():
    scores = np.array([[3, 1], [1, 3]], np.int32)
    assert model().outputs(scores) is scores
    affine = np.array([[0.5, 1], [0, 1.25]], np.float32)
    outputs = model(affine=affine).outputs(scores)
    assert outputs.dtype == np.float64 and outputs.tolist() == [[1.5, 2.25], [0.5, 4.25]]
    made = model(affine=affine)
    affine[:] = 0
    assert made.affine.tolist() == [[0.5, 1], [0, 1.25]]
    with pytest.raises(ValueError, match="read-only"):
        made.affine[0, 0] = 0


def test_describe_a_convolution():
    summary = describe(cnn(affine=np.ones((2, 3), np.float32)))
    json.dumps(summary)
    first, second, last = summary["layers"]
    assert first == {
        "name": "c",
        "op": "conv",
        "shape": [5, 3, 3, 2],
        "output_shape": [3, 2, 5],
        "stride": 1,
        "padding": [1, 1],
        "fill": 0,
        "pool": 2,
        "result": "bits",
        "weight_bits": 90,
        "operations": 24 * 90 * 8,
        "inverted_channels": 0,
    }
    assert second["stride"] == 2 and second["fill"] == -1 and second["padding"] == [0, 0]
    assert last["op"] == "dense" and "stride" not in last
    assert summary["operations_per_image"] == 24 * 90 * 8 + 40 + 12
    assert summary["weight_bits"] == 90 + 40 + 12
    assert summary["has_affine"] and not describe(cnn())["has_affine"]


def test_describe():
    summary = describe(model())
    assert summary["operations_per_image"] == summary["weight_bits"] == 3 * 4 + 2 * 3
    assert [layer["shape"] for layer in summary["layers"]] == [[3, 4], [2, 3]]
    assert [layer["result"] for layer in summary["layers"]] == ["bits", "scores"]
    assert summary["input"] == {"shape": [2, 2], "kind": "bits", "maximum": 1, "threshold": 1}


def limits(thresholds, source=None):
    return model(
        input=source or Input((2, 2)),
        layers=(hidden(thresholds=thresholds), Dense("b", ones(2, 3))),
        batchnorm={},
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Input(()), r"input: shape must be of positive sizes"),
        (lambda: Input((2, 0)), r"positive sizes .* not \(2, 0\)"),
        (lambda: Input((1 << 11, 1 << 11)), r"product up to 1048576"),
        (lambda: Input(4), r"input: shape must be a sequence, not int"),
        (lambda: Input((2.5,)), r"input: shape must be integers, not \(2.5,\)"),
        (lambda: Input((True,)), r"input: shape must be integers"),
        (lambda: Input((4,), "planes"), r"kind must be one of bits, .*-planes, not 'planes'"),
        (lambda: Input((4,), "threshold", 0), r"maximum must be in 1 … 65535, not 0"),
        (lambda: Input((4,), "threshold", 255, 257), r"threshold must be in 0 … 256 .* not 257"),
        (lambda: Input((4,), "bits", 255, 128), r"'bits' goes with maximum 1 .* not 255 and 128"),
        (lambda: Input((4,), "pixels", 254), r"power of two less one .*, not 254 and 1"),
        (lambda: Input((4,), "pixels", 255, 2), r"power of two less one .*, not 255 and 2"),
        (lambda: Input((4,), "pixels", 1 << 16), r"maximum must be in 1 … 65535, not 65536"),
        (lambda: Input((4,)).map_shape, r"shape \(4,\) is no feature map; a convolution takes"),
        (
            lambda: Input((1, 1, 1, 4)).map_shape,
            r"\(height, width\) or \(height, width, channels\)",
        ),
        (lambda: model(name=3), r"model: name must be"),
        (lambda: model(input=(4,)), r"model: input must be an Input, not tuple"),
        (lambda: model(layers=()), r"1 … 256 layers, not 0"),
        (lambda: model(layers=hidden()), r"layers must be a sequence, not Dense"),
        (lambda: model(layers=("a",)), r"layer 0: must be a Dense or Conv, not str"),
        (lambda: model(input=Input((5,))), r"'a': takes 4 values, but the input gives 5"),
        (
            lambda: model(layers=(hidden(), Dense("b", ones(2, 4)))),
            r"layer 'b': takes 4 values, but layer 'a' gives 3",
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
        (lambda: limits([6, 0, 0]), r"'a': thresholds must be in 0 … 5 \(one more .* 0 has 6"),
        (lambda: limits([0, 14, 12], Input((4,), "pixels", 3)), r"0 … 13 .* channel 1 has 14"),
        (
            lambda: cnn(
                layers=(conv(), hidden("d", 4, 60, [61, 62, 0, 0]), Dense("e", ones(2, 4)))
            ),
            r"'d': thresholds must be in 0 … 61 .* channel 1 has 62",
        ),
        (lambda: cnn(input=Input((60,))), r"input: shape \(60,\) is no feature map"),
        (
            lambda: cnn(input=Input((6, 5, 3))),
            r"'c': takes a feature map \(height, width, 2\), but the input gives \(6, 5, 3\)$",
        ),
        (
            lambda: cnn(layers=(conv(), conv("d"), Dense("out", ones(3, 5)))),
            r"'d': takes a feature map \(height, width, 2\), but layer 'c' gives \(4, 3, 5\)$",
        ),
        (
            lambda: cnn(layers=(conv(), hidden("d", 4, 60), conv("e"))),
            r"'e': takes a feature map \(height, width, 2\), but layer 'd' gives \(4,\)$",
        ),
        (
            lambda: cnn(layers=(conv(pool=4), Dense("out", ones(3, 5)))),
            r"\(6, 5, 2\) that the input gives is too small for kernel \(3, 3\), .* pool 4$",
        ),
        (
            lambda: cnn(layers=(conv(), Dense("out", ones(3, 61)))),
            r"'out': takes 61 values, but layer 'c' gives 60$",
        ),
        (
            lambda: cnn(layers=(conv(),)),
            r"'c': is the last and must give scores, which only a dense layer does",
        ),
        (
            lambda: model(
                input=Input((8193,), "pixels", 0xFFFF),
                layers=(hidden(fan_in=8193), Dense("b", ones(2, 3))),
            ),
            r"'a': 8193 inputs of up to 65535 count to more than 536870912; use fewer inputs or pixels",
        ),
        (lambda: model(affine=[[1, 1], [0, 0]]), r"affine must be float32 \(2, 2\), not list"),
        (lambda: model(affine=np.ones((2, 2))), r"float32 \(2, 2\), not float64 \(2, 2\)"),
        (lambda: model(affine=np.ones((2, 3), np.float32)), r"not float32 \(2, 3\)"),
        (
            lambda: model(affine=np.array([[1, np.inf], [0, 0]], np.float32)),
            r"affine must be finite",
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
