"""Model files: round trips, and that nothing but an exact file is read."""

import contextlib
import hashlib
import importlib.resources
import json
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xnorgrid import modelfile
from xnorgrid.container import MAX_HEADER_BYTES
from xnorgrid.model import Conv, Dense, Input, Model, ModelError


def sample(seed=0, sizes=(6, 11, 3, 4)):
    rng = np.random.default_rng(seed)
    *hidden, last = [
        (f"layer {index}", rng.integers(0, 2, (out, fan_in), dtype=np.uint8))
        for index, (fan_in, out) in enumerate(pairwise(sizes))
    ]
    layers = [
        Dense(
            name,
            weights,
            rng.integers(0, weights.shape[1] + 2, len(weights)),
            rng.integers(0, 2, len(weights)).astype(bool),
        )
        for name, weights in hidden
    ]
    return Model(
        "sample é",
        Input((2, sizes[0] // 2), "threshold", 16, 8),
        (*layers, Dense(*last)),
        labels=tuple(f"class {index}" for index in range(sizes[-1])),
        provenance={"seed": seed, "accuracy": 0.9781, "tiny": 1e-7, "é": [None, True, {"x": "\n"}]},
        batchnorm={name: rng.random((4, len(w)), np.float32) for name, w in hidden[:1]},
    )


def convolutional():
    """Pixels, every option of a convolution, an affine; nothing drawn at random."""

    def bits(*shape):
        return (np.arange(np.prod(shape)) % 7 % 2).astype(np.uint8).reshape(shape)

    flips = np.array([True, False, True])
    return Model(
        "cnn",
        Input((7, 8, 3), "pixels", 255),
        (
            Conv("valid", bits(3, 3, 2, 3), np.array([0, 99, 18 * 255 + 1]), flips),
            Conv("zero", bits(9, 3, 3, 3), np.full(9, 55), padding=(1, 2), fill=0, pool=2),
            Conv("plus", bits(2, 2, 2, 9), np.array([1, 37]), stride=2, padding=(0, 1), fill=1),
            Dense("scores", bits(4, 6)),
        ),
        batchnorm={"zero": np.arange(36, dtype=np.float32).reshape(4, 9)},
        affine=np.array([[1, 0.1, -2, 0], [0, 1e-7, 3, -0.0]], np.float32),
    )


CONTENT = modelfile.to_bytes(sample())
CNN = modelfile.to_bytes(convolutional())
both = pytest.mark.parametrize("content", [CONTENT, CNN], ids=["dense", "conv"])


def split(content):
    """Return the header and the tensors' bytes of a file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def join(header, data):
    """Return a file as the canonical writer lays it out, for a header as it may be."""
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def signed(header, description, data):
    """Return the file with ``description`` and its digest, as a writer that means harm would."""
    metadata = header.setdefault("__metadata__", {})
    description.pop("sha256", None)
    metadata["xnorgrid"] = json.dumps(description, sort_keys=True, separators=(",", ":"))
    description["sha256"] = hashlib.sha256(join(header, data)).hexdigest()
    metadata["xnorgrid"] = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return join(header, data)


def edited(change, content=CONTENT):
    """Return a file after ``change(header, description, data bytearray)``, signed again."""
    header, data = split(content)
    data = bytearray(data)
    description = json.loads(header["__metadata__"]["xnorgrid"])
    change(header, description, data)
    return signed(header, description, bytes(data))


@both
def test_an_unchanged_edit_is_the_file(content):
    """The helper signs as the writer does; otherwise the tests below would prove nothing."""
    assert edited(lambda header, description, data: None, content) == content


@pytest.mark.parametrize("sizes", [(2, 1), (2, 8, 1), (16, 9, 7, 5), (62, 65, 130, 3)])
def test_round_trip(sizes, tmp_path):
    model = sample(3, sizes)
    path = tmp_path / "model.safetensors"
    modelfile.save(model, path)
    assert modelfile.load(path) == model
    assert modelfile.load(str(path)) == model
    assert path.read_bytes() == modelfile.to_bytes(modelfile.load(path))
    assert list(tmp_path.iterdir()) == [path]
    assert len(modelfile.digest(model)) == 64 != modelfile.digest(sample(4, sizes))


def test_round_trip_of_convolutions(tmp_path):
    model = convolutional()
    assert modelfile.from_bytes(CNN) == model
    assert [layer.op for layer in modelfile.from_bytes(CNN).layers] == ["conv"] * 3 + ["dense"]
    tensors = safetensors.numpy.load(CNN)
    assert np.array_equal(tensors["affine"], model.affine)
    for index, layer in enumerate(model.layers):
        rows = np.unpackbits(tensors[f"layers.{index}.weight"], axis=1, bitorder="little")
        assert rows.shape == (layer.channels, -(-layer.fan_in // 8) * 8)
        assert np.array_equal(rows[:, : layer.fan_in].reshape(layer.weights.shape), layer.weights)


def test_the_format_of_convolutions_stays():
    """A file of this version is read and written alike by every later release."""
    assert (
        modelfile.digest(convolutional())
        == "6b36c4382288e747acf740a417abcb926dbdca5dbcd2f828dbc866fb559111fb"
    )


def test_bundled_models_are_written_as_they_were_read():
    folder = importlib.resources.files("xnorgrid.models")
    for name in modelfile.bundled_models():
        content = (folder / f"{name}.safetensors").read_bytes()
        assert modelfile.to_bytes(modelfile.load(name)) == content


def test_the_safetensors_library_reads_and_writes_the_same_bytes():
    tensors = safetensors.numpy.load(CONTENT)
    model = sample()
    bits = np.unpackbits(tensors["layers.0.weight"], axis=1, bitorder="little")
    assert np.array_equal(bits[:, :6], model.layers[0].weights) and not bits[:, 6:].any()
    assert np.array_equal(tensors["layers.1.threshold"], model.layers[1].thresholds)
    assert np.array_equal(tensors["layers.1.inverted"], model.layers[1].inverted)
    assert np.array_equal(tensors["layers.0.batchnorm"], model.batchnorm["layer 0"])
    assert safetensors.numpy.save(tensors, split(CONTENT)[0]["__metadata__"]) == CONTENT


def test_bundled_names():
    with pytest.raises(
        ModelError, match=r"no bundled model is called 'nosuch'; bundled: .*\./nosuch"
    ):
        modelfile.load("nosuch")
    for name in modelfile.bundled_models():
        assert modelfile.load(name).layers


def test_unreadable_paths(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read the model file .*no\.bin': No such file"):
        modelfile.load(tmp_path / "no.bin")
    with pytest.raises(ModelError, match=r"cannot read the model file .*Is a directory"):
        modelfile.load(tmp_path)
    with pytest.raises(ModelError, match=r"cannot read the model file .*null"):
        modelfile.load("a\0.safetensors")


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    modelfile.save(sample(), path)
    monkeypatch.setattr(modelfile, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelError, match=r"its file would take \d+ bytes, and the limit is 100"):
        modelfile.save(sample(1), path)
    with pytest.raises(ModelError, match=r"model\.safetensors: the file is larger than the limit"):
        modelfile.load(path)
    monkeypatch.undo()
    assert modelfile.load(path) == sample()
    with pytest.raises(OSError, match="No such file"):
        modelfile.save(sample(), tmp_path / "no" / "model.safetensors")


@both
def test_every_truncation_is_refused(content):
    for end in range(len(content)):
        with pytest.raises(ModelError, match=r"model: (truncated|not a model file)"):
            modelfile.from_bytes(content[:end])


@both
def test_every_flipped_bit_is_refused(content):
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(ModelError):
            modelfile.from_bytes(bytes(damaged))


def header_length(length):
    return length.to_bytes(8, "little") + CONTENT[8:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"truncated: 0 bytes, and a model file has at least 8"),
        (b"\x80\x04\x95" + bytes(50), r"not a model file, or damaged: its first 8 bytes"),
        (b"PK\x03\x04" + bytes(range(50)), r"not a model file, or damaged: its first 8 bytes"),
        (header_length(MAX_HEADER_BYTES + 1), r"header of 1000001 bytes, and the limit is 1000000"),
        (header_length(MAX_HEADER_BYTES), r"truncated: the header ends at byte 1000008"),
        (header_length(0), r"no safetensors header"),
        (header_length(20), r"header: not valid JSON"),
        (CONTENT + b"\0", r"1 bytes behind the last tensor"),
        (bytes([8, 0, 0, 0, 0, 0, 0, 0]) + b'{"a\xff":1}', r"header: not UTF-8 at byte 11"),
        (join({}, b""), r"its metadata must hold exactly 'xnorgrid', not nothing"),
        (join([1], b"")[:8] + b"[1]     ", r"no safetensors header"),
        (join({"__metadata__": {"xnorgrid": 1}}, b""), r"must map strings to strings"),
        (join({"__metadata__": {"format": "pt"}}, b""), r"'xnorgrid', not 'format'"),
        (join({"__metadata__": {"xnorgrid": "[]"}}, b""), r"xnorgrid: must be a JSON object"),
        (join({"__metadata__": {"xnorgrid": "{"}}, b""), r"metadata xnorgrid: not valid JSON"),
        (
            join({"__metadata__": {"xnorgrid": "[" * 200_000}}, b""),
            r"metadata xnorgrid: not valid JSON: .*recursion",
        ),
        (
            join({"__metadata__": {"xnorgrid": '{"a":1,"a":2}'}}, b""),
            r"metadata xnorgrid: the key 'a' is there twice",
        ),
        (
            CONTENT.replace(b'"layers.1.inverted"', b'"layers.0.inverted"'),
            r"header: the key 'layers.0.inverted' is there twice",
        ),
        (join({"__metadata__": {"xnorgrid": '{"a":NaN}'}}, b""), r"NaN is no JSON number"),
        (
            join({"__metadata__": {"xnorgrid": "1" * 5000}}, b""),
            r"metadata xnorgrid: not valid JSON: Exceeds the limit",
        ),
    ],
)
def test_malformed_bytes(content, message):
    with pytest.raises(ModelError, match=message):
        modelfile.from_bytes(content, "file")


def set_header(name, key, value):
    return lambda header, description, data: header[name].__setitem__(key, value)


def set_description(*path, value):
    def change(header, description, data):
        for key in path[:-1]:
            description = description[key]
        description[path[-1]] = value

    return change


def set_data(name, offset, value):
    def change(header, description, data):
        data[header[name]["data_offsets"][0] + offset] = value

    return change


def drop(name):
    """Take a tensor out, closing the gap."""

    def change(header, description, data):
        begin, end = header.pop(name)["data_offsets"]
        del data[begin:end]
        for entry in header.values():
            offsets = entry.get("data_offsets", [0, 0])
            if offsets[0] >= end:
                offsets[:] = [offset - (end - begin) for offset in offsets]

    return change


def add_tensor(name):
    def change(header, description, data):
        header[name] = {"dtype": "U8", "shape": [3], "data_offsets": [len(data), len(data) + 3]}
        data += bytes(3)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_description("format_version", value=2),
            r"version 2 found, .* reads version 1; update",
        ),
        (set_description("format_version", value=True), r"version True found"),
        (set_description("polarity", value="1=-1"), r"polarity must be '1=\+1', not '1=-1'"),
        (set_description("sign_zero", value="-1"), r"sign_zero must be '\+1', not '-1'"),
        (set_description("layout", value="msb"), r"layout must be 'lsb-first, .* not 'msb'"),
        (set_description("extra", value=0), r"metadata xnorgrid: unknown 'extra'"),
        (lambda h, d, b: d.pop("labels"), r"metadata xnorgrid: missing 'labels'"),
        (set_description("input", "mean", value=0), r"input: unknown 'mean'"),
        (
            set_description("input", "shape", value="22"),
            r"input: shape must be a sequence, not str",
        ),
        (
            set_description("input", "kind", value="planes"),
            r"kind must be one of bits, .* not 'planes'",
        ),
        (set_description("labels", value=["a"]), r"4 classes need as many labels, not 1"),
        (set_description("name", value=None), r"model: name must be"),
        (set_description("batchnorm_eps", value="0"), r"batchnorm_eps must be a number"),
        (set_description("batchnorm_eps", value=10**400), r"batchnorm_eps must be a number"),
        (set_description("provenance", value=[]), r"provenance must be a dict, not list"),
        (set_description("layers", value={}), r"layers must be a list"),
        (set_description("layers", value=[]), r"tensors that no layer has: 'layers.0.batchnorm'"),
        (set_description("layers", 0, value=7), r"layer 0: must be a JSON object"),
        (set_description("layers", 0, "stride", value=1), r"layer 0: unknown 'stride'"),
        (set_description("layers", 0, "op", value=None), r"layer 0: op must be a string, not None"),
        (set_description("layers", 0, "op", value="conv"), r"layer 0: missing 'fill', 'padding'"),
        (
            set_description("layers", 1, "op", value="conv2d"),
            r"layer 1 \('layer 1'\): operation 'conv2d' is not known .* a newer xnorgrid may read it",
        ),
        (set_description("layers", 0, "name", value="layer 1"), r"name 'layer 1' is taken"),
        (
            set_description("layers", 0, "shape", value=[11]),
            r"layer 0: shape must be \[out, in\], each 1 … 1048576, not \[11\]",
        ),
        (set_description("layers", 0, "shape", value=[11, 0]), r"1 … 1048576, not \[11, 0\]"),
        (set_description("layers", 0, "shape", value=[11, True]), r"shape must be \[out, in\]"),
        (
            set_description("layers", 0, "shape", value=[10, 6]),
            r"tensor 'layers.0.weight': must be uint8 \(10, 1\), not uint8 \(11, 1\)",
        ),
        (
            set_description("layers", 0, "shape", value=[11, 9]),
            r"uint8 \(11, 2\), not uint8 \(11, 1\)",
        ),
        (
            set_description("layers", 0, "shape", value=[11, 7]),
            r"takes 7 values, but the input gives 6",
        ),
        (set_data("layers.0.weight", 0, 0x40), r"'layers.0.weight': a padding bit behind input 5"),
        (set_data("layers.0.inverted", 2, 2), r"'layers.0.inverted': must hold 0 or 1, not 2"),
        (set_data("layers.0.threshold", 0, 9), r"'layer 0': thresholds must be in 0 … 7"),
        (
            set_data("layers.0.threshold", 3, 0x80),
            r"'layer 0': thresholds must be in 0 … 2147483647",
        ),
        (set_data("layers.0.batchnorm", 135, 0xBF), r"'layer 0': batchnorm must be finite"),
        (lambda h, d, b: d["layers"][0].pop("op"), r"layer 0: missing 'op'"),
        (add_tensor("affine"), r"model: affine must be float32 \(2, 4\), not uint8 \(3,\)"),
        (drop("layers.1.weight"), r"tensor 'layers.1.weight': missing"),
        (drop("layers.1.threshold"), r"layer 1: threshold and inverted go together"),
        (drop("layers.1.inverted"), r"layer 1: threshold and inverted go together"),
        (add_tensor("layers.7.weight"), r"tensors that no layer has: 'layers.7.weight'"),
        (add_tensor("layers.0.weights"), r"tensors that no layer has: 'layers.0.weights'"),
        (
            set_header("layers.0.weight", "dtype", "F16"),
            r"'layers.0.weight': dtype must be .* 'F16'",
        ),
        (set_header("layers.0.weight", "dtype", "I32"), r"I32 \[11, 1\] takes 44 bytes"),
        (
            set_header("layers.0.weight", "shape", [11, 2]),
            r"takes 22 bytes, but data_offsets span 11",
        ),
        (set_header("layers.0.weight", "shape", [1, 11]), r"uint8 \(11, 1\), not uint8 \(1, 11\)"),
        (set_header("layers.0.weight", "shape", [2**47] * 8), r"takes \d+ bytes"),
        (set_header("layers.0.weight", "shape", [11, -1]), r"1 … 8 positive sizes"),
        (set_header("layers.0.weight", "shape", [11, 1.0]), r"1 … 8 positive sizes"),
        (set_header("layers.0.weight", "shape", [0]), r"1 … 8 positive sizes"),
        (set_header("layers.0.weight", "note", 1), r"exactly dtype, shape and data_offsets"),
        (set_header("layers.0.weight", "data_offsets", [0, 11]), r"an overlap before it"),
        (set_header("layers.0.weight", "data_offsets", [500, 511]), r"a hole before it"),
        (set_header("layers.0.weight", "data_offsets", [11, 0]), r"data_offsets span -11"),
        (set_header("layers.0.weight", "data_offsets", [0]), r"data_offsets must be two numbers"),
    ],
)
def test_malformed_content_with_a_good_digest(change, message):
    with pytest.raises(ModelError, match=message):
        modelfile.from_bytes(edited(change))


def test_wrong_digest_and_spacing():
    header, data = split(CONTENT)
    data = bytearray(data)
    data[0] ^= 1
    with pytest.raises(
        ModelError, match=r"the content is damaged: its SHA-256 is \w+, the file says"
    ):
        modelfile.from_bytes(join(header, bytes(data)))
    header["__metadata__"]["xnorgrid"] += " "
    with pytest.raises(ModelError, match=r"not in canonical form"):
        modelfile.from_bytes(join(header, split(CONTENT)[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, d, b: d["layers"][1].pop("pool"), r"layer 1: missing 'pool'"),
        (set_description("layers", 1, "dilation", value=1), r"layer 1: unknown 'dilation'"),
        (
            set_description("layers", 1, "shape", value=[9, 27]),
            r"layer 1: shape must be \[out, height, width, in\], each 1 … 1048576, not \[9, 27\]",
        ),
        (set_description("layers", 1, "shape", value=[9, 3, 3, 3.0]), r"not \[9, 3, 3, 3.0\]"),
        (
            set_description("layers", 1, "shape", value=[9, 2**20, 2**20, 2**20]),
            r"'layers.1.weight': must be uint8 \(9, 144115188075855872\), not uint8 \(9, 4\)",
        ),
        (
            set_description("layers", 1, "shape", value=[9, 1, 9, 3]),
            r"layer 'zero': padding must be \(rows, columns\), .* \(1, 9\), not \(1, 2\)",
        ),
        (
            set_description("layers", 1, "shape", value=[9, 3, 9, 1]),
            r"layer 'zero': takes a feature map .* but layer 'valid' gives \(5, 7, 3\)",
        ),
        (set_description("layers", 0, "stride", value=0), r"'valid': stride and pool must be in"),
        (set_description("layers", 0, "stride", value=1.0), r"'valid': stride, fill and pool must"),
        (
            set_description("layers", 0, "stride", value=True),
            r"'valid': stride, fill and pool must",
        ),
        (set_description("layers", 0, "pool", value=None), r"'valid': stride, fill and pool must"),
        (set_description("layers", 0, "pool", value=6), r"'valid': the feature map .* too small"),
        (set_description("layers", 0, "fill", value=1), r"fill must be .* without padding, not 1"),
        (set_description("layers", 1, "fill", value=2), r"fill must be -1, 0 or \+1, .* not 2"),
        (set_description("layers", 1, "fill", value=1), r"'zero': thresholds must be in 0 … 28"),
        (set_description("layers", 1, "padding", value=1), r"'zero': padding must be a sequence"),
        (set_description("layers", 1, "padding", value=[1]), r"rows, columns.* not \(1,\)"),
        (set_description("layers", 1, "padding", value=["1", 1]), r"padding must be integers"),
        (set_description("layers", 1, "padding", value={}), r"rows, columns.* not \(\)"),
        (set_description("layers", 1, "padding", value=[0, 0]), r"without padding, not 0"),
        (
            set_description("input", "maximum", value=127),
            r"'valid': thresholds must be in 0 … 2287 .* but channel 2 has 4591",
        ),
        (set_description("input", "maximum", value=200), r"a maximum of a power of two less one"),
        (set_description("input", "shape", value=[168]), r"shape \(168,\) is no feature map"),
        (set_data("layers.0.weight", 2, 0x10), r"'layers.0.weight': a padding bit behind input 17"),
        (drop("layers.1.inverted"), r"layer 1: threshold and inverted go together"),
        (
            lambda h, d, b: [
                drop(f"layers.2.{part}")(h, d, b) for part in ("threshold", "inverted")
            ],
            r"layer 'plus': a convolution needs thresholds; only a dense layer gives scores",
        ),
        (
            set_header("affine", "shape", [4, 2]),
            r"affine must be float32 \(2, 4\), not .* \(4, 2\)",
        ),
        (set_header("affine", "dtype", "I32"), r"affine must be float32 \(2, 4\), not int32"),
        (set_data("affine", 3, 0x7F), r"model: affine must be finite"),
        (add_tensor("affine2"), r"tensors that no layer has: 'affine2'"),
    ],
)
def test_malformed_convolutions_with_a_good_digest(change, message):
    with pytest.raises(ModelError, match=message):
        modelfile.from_bytes(edited(change, CNN))


def test_claims_are_checked_before_memory_is_taken():
    """A small file that promises large tensors costs no more than its size in memory, roughly."""
    huge = edited(set_header("layers.0.weight", "shape", [2**40, 2**6]))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"takes \d+ bytes"):
            modelfile.from_bytes(huge)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(-1, 12), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def nodes(value, path=()):
    """Return every path into nested dicts and lists."""
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [
        place for key, child in children for place in ((*path, key), *nodes(child, (*path, key)))
    ]


@st.composite
def mutated(draw):
    """A file with one to three parts of header, description or data changed, signed again."""
    header, data = split(draw(st.sampled_from([CONTENT, CNN])))
    data = bytearray(data)
    description = json.loads(header.pop("__metadata__")["xnorgrid"])
    for _ in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from([header, description, description, None]))
        if target is None:
            if draw(st.booleans()) and data:
                data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
            else:
                begin = draw(st.integers(0, len(data)))
                data[begin : begin + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
            continue
        paths = nodes(target)
        if not paths:
            continue
        *parents, key = draw(st.sampled_from(paths))
        for parent in parents:
            target = target[parent]
        if draw(st.integers(0, 3)):
            target[key] = draw(JUNK)
        else:
            del target[key]
    content = signed({"__metadata__": {}, **header}, description, bytes(data))
    return content if draw(st.integers(0, 9)) else content[: draw(st.integers(0, len(content)))]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_fuzz_only_model_errors_come_out(content):
    model = None
    with contextlib.suppress(ModelError):
        model = modelfile.from_bytes(content)
    assert model is None or modelfile.to_bytes(model) == content
