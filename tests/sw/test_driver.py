import contextlib
import random

import numpy as np
import pytest

from xnorgrid.batch import batches
from xnorgrid.compile import ModelDoesNotFit
from xnorgrid.driver import Board, Counters, Streaming
from xnorgrid.errors import (
    BoardError,
    LoadFailed,
    NotLoaded,
    NotXnorgrid,
    PortError,
    ProtocolMismatch,
)
from xnorgrid.hw.config import LINKS, ArrayConfig, preset
from xnorgrid.hw.protocol import IDENTITY_MAGIC, PROTOCOL_VERSION, Identity, Op
from xnorgrid.identity import parse_identity
from xnorgrid.images import ImageError
from xnorgrid.model import Conv, Dense, Input, Model
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.streams import new_seed

CONFIG = preset("tiny")


def random_model(rng, sizes):
    layers = []
    for index in range(len(sizes) - 1):
        fan_in, outputs = sizes[index : index + 2]
        weights = rng.integers(0, 2, (outputs, fan_in), np.uint8)
        if index == len(sizes) - 2:
            layers.append(Dense("scores", weights))
            break
        thresholds = rng.integers(0, fan_in + 2, outputs).astype(np.int32)
        layers.append(
            Dense(f"hidden{index}", weights, thresholds, rng.integers(0, 2, outputs).astype(bool))
        )
    return Model("random", Input((sizes[0],)), tuple(layers))


@pytest.fixture(scope="module")
def board():
    with Board(open_simulated("auto", CONFIG), config=CONFIG) as board:
        yield board


def test_identity(board):
    assert board.config == CONFIG
    assert board.identity.config == CONFIG
    assert "simulated" in board.description
    assert str(board.identity).startswith("3 x 2 x 5 lanes at 48 MHz, build ")


@pytest.mark.parametrize("sizes", [(1, 1), (5, 3), (7, 4, 2), (90, 31, 17, 10), (300, 11)])
def test_any_batch_size(board, sizes):
    seed = new_seed()
    rng = np.random.default_rng(seed)
    model = random_model(rng, sizes)
    program = board.load(model)
    assert board.program is program
    full = CONFIG.cols * program.max_passes
    total = 0
    for count in [0, 1, 2, 3, full, full + 1]:
        count = min(count, 41)
        images = rng.integers(0, 2, (count, sizes[0]), np.uint8)
        expected = reference.scores(model, images)
        scores = board.run(images)
        assert scores.dtype == np.int32
        assert np.array_equal(scores, expected)
        classes = board.predict(images)
        assert classes.dtype == np.int64
        assert np.array_equal(classes, expected.argmax(axis=1))
        total += 2 * count
    counters = board.counters
    assert counters.useful_lanes == reference.operations(model, total)
    assert 0 < counters.stalled_cycles < counters.busy_cycles
    assert 0 < counters.utilisation(CONFIG) < 1


def test_every_layer(board):
    rng = np.random.default_rng(new_seed())
    model = random_model(rng, (40, 13, 8, 5))
    images = rng.integers(0, 2, (5, 40), np.uint8)
    board.load(model, keep_layers=True)
    found = board.layers(images)
    assert list(found) == ["hidden0", "hidden1", "scores"]
    for layer, result in zip(reference.layers(model, images), found.values(), strict=True):
        assert np.array_equal(result, layer.values)
    assert {name: result.shape for name, result in board.layers(images[:0]).items()} == {
        "hidden0": (0, 13), "hidden1": (0, 8), "scores": (0, 5),
    }  # fmt: skip
    board.load(model)
    with pytest.raises(NotLoaded, match="load it with keep_layers=True"):
        board.layers(images)


def test_reset_clears_counters_and_keeps_the_model(board):
    rng = np.random.default_rng(new_seed())
    model = random_model(rng, (20, 4))
    images = rng.integers(0, 2, (3, 20), np.uint8)
    board.load(model)
    board.run(images)
    assert board.counters.busy_cycles > 0
    board.reset()
    assert board.counters == Counters(0, 0, 0, 0, 0)
    assert np.array_equal(board.run(images), reference.scores(model, images))


def test_what_is_wrong_with_the_input_changes_nothing(board):
    rng = np.random.default_rng(new_seed())
    model = random_model(rng, (20, 4))
    images = rng.integers(0, 2, (3, 20), np.uint8)
    board.load(model)
    with pytest.raises(ModelDoesNotFit):
        board.load(random_model(rng, (600, 10)))
    with pytest.raises(ImageError):
        board.run(images[:, 1:])
    with pytest.raises(ImageError):
        board.run(images + 2)
    assert np.array_equal(board.run(images), reference.scores(model, images))


def test_a_memory_that_does_not_keep_its_contents(board, monkeypatch):
    rng = np.random.default_rng(new_seed())
    model = random_model(rng, (20, 4))
    request = board._session.request

    def forgetful(calls, deadline, progress=None):
        answers = request(calls, deadline, progress)
        if calls[0].op is Op.CHECKSUM:
            answers[1] = bytes(4)
        return answers

    with monkeypatch.context() as context:
        context.setattr(board._session, "request", forgetful)
        with pytest.raises(
            LoadFailed,
            match=r"CHECKSUM WEIGHTS bank 1 .* checksum 00000000 instead of [0-9a-f]{8}:",
        ):
            board.load(model)
    with pytest.raises(NotLoaded):
        board.run(np.zeros((1, 20), np.uint8))
    board.load(model)
    assert board.run(np.zeros((1, 20), np.uint8)).shape == (1, 4)


def test_a_closed_board():
    board = Board(open_simulated("auto", CONFIG), config=CONFIG)
    with pytest.raises(NotLoaded, match=r"load one with board.load\(model\)"):
        board.run(np.zeros((1, 20), np.uint8))
    board.close()
    board.close()
    for use in (lambda: board.run([[0]]), lambda: board.counters, board.reset):
        with pytest.raises(PortError, match="was closed: open the board again"):
            use()
    with pytest.raises(BoardError, match="was closed"):
        board.load(random_model(np.random.default_rng(0), (20, 4)))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 8, 9, 100])
def test_batches_cover_all_images_once(count):
    runs = list(batches(count, 4, 5))
    seen = [index for batch in runs for index in range(count)[batch.images]]
    assert seen == list(range(count))
    for batch in runs:
        size = len(range(count)[batch.images])
        assert size == batch.passes * batch.columns
        assert batch.passes <= 5
        assert batch.columns == 4 or batch is runs[-1]


def identity_bytes(**changes):
    fields = {name: getattr(CONFIG, name) for name, _ in Identity if hasattr(CONFIG, name)}
    fields |= {"link": LINKS.index(CONFIG.link)}
    fields |= {"magic": IDENTITY_MAGIC, "version": PROTOCOL_VERSION, "build": 5, **changes}
    return Identity.const(fields).as_bits().to_bytes(Identity.size // 8, "little")


def test_parse_identity():
    identity = parse_identity(identity_bytes(lanes=64, build=7), "port")
    assert identity.config.lanes == 64
    assert isinstance(identity.config, ArrayConfig)
    assert identity.build == 7
    for index, link in enumerate(LINKS):
        assert parse_identity(identity_bytes(link=index), "port").config.link == link


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (b"", NotXnorgrid, "port answers, but not as an xnorgrid board"),
        (
            identity_bytes(magic=1),
            NotXnorgrid,
            "choose another port, or load an xnorgrid bitstream",
        ),
        (identity_bytes(version=9), ProtocolMismatch, "speaks version 9 of the link"),
        (
            identity_bytes() + b"x",
            ProtocolMismatch,
            f"{len(identity_bytes()) + 1} bytes of identity",
        ),
        (
            identity_bytes(rows=0),
            ProtocolMismatch,
            "an array that cannot be .rows must be at least 1",
        ),
        (
            identity_bytes(link=2),
            ProtocolMismatch,
            "an array that cannot be .link must be one of uart, fifo, not 'unknown'",
        ),
    ],
)
def test_identities_that_are_none(reply, error, message):
    with pytest.raises(error, match=message):
        parse_identity(reply, "port")


def test_identity_of_random_bytes():
    rng = random.Random(new_seed())
    for _ in range(300):
        reply = bytearray(identity_bytes())
        for _ in range(rng.randrange(4)):
            reply[rng.randrange(len(reply))] = rng.randrange(256)
        with contextlib.suppress(NotXnorgrid, ProtocolMismatch):
            parse_identity(bytes(reply[: rng.randrange(60)]), "port")


def test_progress_of_a_load(board):
    model = random_model(np.random.default_rng(new_seed()), (40, 12, 4))
    seen = []
    board.load(model, progress=lambda done, total: seen.append((done, total)))
    complete = [k for k, (done, total) in enumerate(seen) if done == total > 1]
    # First all that is written, then all that is checked.
    assert len(complete) == 2 and complete[-1] == len(seen) - 1
    assert all(done < total for k, (done, total) in enumerate(seen) if k not in complete)


def random_conv(rng, name, shape, **fields):
    weights = rng.integers(0, 2, shape, np.uint8)
    out, fan_in = len(weights), weights[0].size
    doubled = 1 + (fields.get("fill") == 0)
    thresholds = rng.integers(0, doubled * fan_in * fields.pop("amplitude", 1) + 2, out)
    inverted = rng.integers(0, 2, out).astype(bool)
    return Conv(name, weights, thresholds.astype(np.int32), inverted, **fields)


def convolutional(rng):
    """Zero and constant padding, stride, pooling, pixels of two bits, a class affine; not square."""
    layers = (
        random_conv(rng, "first", (7, 3, 3, 1), padding=(1, 1), fill=1, pool=2, amplitude=3),
        random_conv(rng, "second", (4, 3, 1, 7), padding=(1, 0), fill=0),
        Dense("dense", rng.integers(0, 2, (9, 24), np.uint8), np.full(9, 12, np.int32)),
        Dense("scores", rng.integers(0, 2, (5, 9), np.uint8)),
    )
    affine = rng.normal(0, 1, (2, 5)).astype(np.float32)
    return Model("convolutional", Input((6, 5), "pixels", 3), layers, affine=affine)


def check(board, model, images):
    """Compare scores, classes and, if they are kept, all layers with the reference."""
    expected = reference.layers(model, images)
    assert np.array_equal(board.run(images), expected[-1].scores)
    classes = reference.outputs(model, images).argmax(axis=1)
    assert np.array_equal(board.predict(images), classes)
    if board.program.keeps_layers:
        found = board.layers(images)
        assert list(found) == [layer.name for layer in expected]
        for layer in expected:
            assert found[layer.name].shape == layer.values.shape
            assert np.array_equal(found[layer.name], layer.values)


@pytest.mark.parametrize("keep_layers", [False, True])
def test_convolutions(board, keep_layers):
    rng = np.random.default_rng(new_seed())
    model = convolutional(rng)
    images = rng.integers(0, 4, (5, 6, 5), np.uint8)
    program = board.load(model, keep_layers=keep_layers)
    assert len(program.segments) == 1
    check(board, model, images)
    assert board.streaming == Streaming()
