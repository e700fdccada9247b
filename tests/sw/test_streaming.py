"""Models in segments, on gateware: the next weights are written while the array runs."""

import dataclasses
import random
import time

import numpy as np
import pytest
import streamed

from xnorgrid.driver import Board, Streaming
from xnorgrid.frames import FrameDecoder, encode_frame, parse_reply
from xnorgrid.hw.protocol import Op, Region, Request, Status
from xnorgrid.link import Call
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.streams import new_seed
from xnorgrid.transport import Transport

CONFIG = streamed.CONFIG


class Recorder(Transport):
    """Passes everything on and keeps the frames of both directions."""

    description = "recorded line"

    def __init__(self, inner):
        self.inner = inner
        self.start()

    def start(self):
        self.decoders = FrameDecoder(), FrameDecoder()
        self.requests, self.replies = [], []
        self.bytes = 0

    def write(self, data, timeout):
        self.requests += self.decoders[0].feed(data)
        self.bytes += len(data)
        self.inner.write(data, timeout)

    def read(self, size, timeout):
        data = self.inner.read(size, timeout)
        self.replies += self.decoders[1].feed(data)
        self.bytes += len(data)
        return data

    def slowdown(self, clock_hz):
        return self.inner.slowdown(clock_hz)

    def close(self):
        """The simulator is shared by the tests: it stays."""


@pytest.fixture(scope="module")
def simulator():
    board = open_simulated("auto", CONFIG)
    yield board
    board.close()


@pytest.fixture
def board(simulator):
    # Not closed: the simulator is shared by the tests.
    return Board(simulator, config=CONFIG)


def make(segments, passes):
    """A model of so many segments, and images for so many batches of so many passes."""
    rng = np.random.default_rng(new_seed())
    model = streamed.random_model(rng, segments)
    return model, streamed.random_images(rng, model, passes * CONFIG.cols)


def header(content):
    return Request.from_bits(int.from_bytes(content[: Request.size // 8], "little"))


@pytest.mark.parametrize("segments", [2, 3, 4, 5, 6])
def test_every_score_and_every_layer(board, segments):
    model, images = make(segments, 11)
    expected = reference.layers(model, images)
    for keep_layers in (False, True):
        program = board.load(model, keep_layers=keep_layers)
        assert len(program.segments) == segments
        assert program.max_passes < 11 - 1
        for count in (len(images), 0, 1, len(images) - 1):
            assert np.array_equal(board.run(images[:count]), expected[-1].scores[:count])
        classes = reference.outputs(model, images).argmax(axis=1)
        assert np.array_equal(board.predict(images), classes)
    found = board.layers(images)
    for layer in expected:
        assert found[layer.name].shape == layer.values.shape
        assert np.array_equal(found[layer.name], layer.values)


@pytest.mark.parametrize("segments", [2, 3, 4, 5, 6])
def test_what_is_written_between_and_during_runs(board, segments):
    model, images = make(segments, 1)
    program = board.load(model)
    batches = 3
    images = np.concatenate([images[: CONFIG.cols]] * (batches * program.max_passes))
    assert board.streaming == Streaming()
    board.run(images)
    weights = [part.size for part in program.segments]
    instructions = [len(part.instructions) for part in program.segments]
    # Segments 0 and 1 were loaded. Two stay, and of three the one that has its half for itself.
    again = {2: [], 3: [0, 2]}.get(segments, range(segments))
    expected = sum(weights[2:]) + (batches - 1) * sum(weights[k] for k in again)
    expected += batches * sum(instructions) - instructions[0]
    streaming, counters = board.streaming, board.counters
    assert streaming.streamed_bytes == expected
    assert streaming.segments == batches * segments
    assert streaming.array_seconds == pytest.approx(counters.busy_cycles / CONFIG.clock_hz)
    assert counters.useful_lanes == reference.operations(model, len(images))
    # Between two runs at least the instructions cross the line, a byte a cycle.
    least = (expected - sum(weights) * batches) / CONFIG.clock_hz
    assert streaming.waiting_seconds > least
    board.load(model)
    assert board.streaming == Streaming()


def test_waiting_is_counted_in_cycles_of_a_simulated_board(board, simulator):
    model, images = make(4, 1)
    board.load(model)
    before = simulator.cycles
    board.run(images)
    cycles = simulator.cycles - before
    spent = board.streaming.array_seconds + board.streaming.waiting_seconds
    assert 0.3 * cycles < spent * CONFIG.clock_hz < cycles


def test_weights_of_one_port_are_written_between_runs():
    config = dataclasses.replace(CONFIG, weight_ports=1)
    line = Recorder(open_simulated("auto", config))
    try:
        board = Board(line, config=config)
        assert board.config == config
        model, images = make(3, 3)
        board.load(model)
        line.start()
        scores = board.run(images)
    finally:
        line.inner.close()
    assert np.array_equal(scores, reference.scores(model, images))
    assert board.streaming.segments >= 3
    replies = [parse_reply(content) for content in line.replies]
    assert {reply.status for reply in replies} == {Status.OK.value}
    assert not any(reply.running and reply.op == Op.WRITE.value for reply in replies)


@pytest.mark.parametrize("segments", [2, 3])
def test_loading_writes_the_reserved_word_of_every_bank(simulator, segments):
    line = Recorder(simulator)
    board = Board(line, config=CONFIG)
    model, _ = make(segments, 1)
    line.start()
    board.load(model)
    zeros = bytes(-(-CONFIG.lanes // 8))
    written = set()
    for content in line.requests:
        request = header(content)
        if request.op == Op.WRITE and request.address == 0 and content[12:] == zeros:
            written.add((request.region, int(request.bank)))
    for region, banks in ((Region.WEIGHTS, CONFIG.rows), (Region.ACTIVATIONS, CONFIG.cols)):
        assert {bank for of, bank in written if of == region} == set(range(banks))


def test_weights_are_written_while_the_array_runs(simulator):
    line = Recorder(simulator)
    board = Board(line, config=CONFIG)
    model, images = make(4, 1)
    program = board.load(model)
    line.start()
    board.run(np.concatenate([images] * program.max_passes))
    replies = [parse_reply(content) for content in line.replies]
    assert {reply.status for reply in replies} == {Status.OK.value}
    during = [reply for reply in replies if reply.running and reply.op == Op.WRITE.value]
    # Segments 2 and 3; 0 and 1 have been loaded.
    assert len({reply.session for reply in during}) == 2


def test_no_session_uses_a_sequence_number_twice(simulator):
    line = Recorder(simulator)
    board = Board(line, config=CONFIG)
    session = board._session
    model, images = make(4, 20)
    board.load(model)
    board.run(images)
    deadline = time.monotonic() + 60
    with session.conversation(deadline):
        for count in (600, 1, 300):
            places = [k % CONFIG.activation_depth for k in range(count)]
            calls = [Call(Op.READ, Region.ACTIVATIONS, 0, k, reply_bytes=1) for k in places]
            assert len(session.transfer(calls, deadline)) == count
    numbered = {}
    for content in line.requests:
        request = header(content)
        assert numbered.setdefault((request.session, request.seq), content) == content
    assert len(numbered) > 1000


def test_the_deadline_counts_what_crosses_the_line(simulator, monkeypatch):
    line = Recorder(simulator)
    board = Board(line, config=CONFIG)
    model, images = make(4, 20)
    expected = []
    deadline = board._session.deadline

    def noted(timeout, calls):
        expected.append(sum(call.request_size + call.reply_size for call in calls))
        return deadline(timeout, calls)

    monkeypatch.setattr(board._session, "deadline", noted)
    for action in (lambda: board.load(model), lambda: board.run(images)):
        line.start()
        action()
        assert line.bytes / 1.2 < expected[-1] < 3 * line.bytes


class Echo(Recorder):
    """Sends what was sent before once more, now and then: anything but what opens a board."""

    def __init__(self, inner, rng):
        self.rng = rng
        self.repeated = 0
        super().__init__(inner)

    def write(self, data, timeout):
        super().write(data, timeout)
        for content in self.rng.sample(self.requests[-60:], min(2, len(self.requests))):
            request = header(content)
            opens = request.op == Op.IDENTIFY and request.bank == 0
            if not opens and request.op != Op.RESET:
                self.inner.write(encode_frame(content), timeout)
                self.repeated += 1


@pytest.mark.parametrize("segments", [3, 4])
def test_requests_that_come_again(simulator, segments):
    line = Echo(simulator, random.Random(new_seed()))
    board = Board(line, config=CONFIG)
    model, images = make(segments, 7)
    expected = reference.scores(model, images)
    board.load(model)
    for _ in range(2):
        assert np.array_equal(board.run(images), expected)
    assert line.repeated > 50


@pytest.mark.parametrize("segments", [3, 4])
def test_a_run_interrupted_anywhere(board, monkeypatch, segments):
    model, images = make(segments, 1)
    program = board.load(model)
    images = np.concatenate([images] * (program.max_passes + 1))
    expected = reference.scores(model, images)
    execute = board._session._link.execute

    def interrupted(calls, deadline, progress=None):
        nonlocal left
        left -= 1
        if left == 0:
            execute(calls[: (len(calls) + number % 2) // 2], deadline, progress)
            raise KeyboardInterrupt
        return execute(calls, deadline, progress)

    number, finished = 1, False
    while not finished:
        number += 1
        # Each request list twice: of a single one, nothing was done, and something without an answer.
        left = number // 2
        with monkeypatch.context() as context:
            context.setattr(board._session._link, "execute", interrupted)
            try:
                board.run(images)
                finished = left > 0
            except KeyboardInterrupt:
                pass
        assert np.array_equal(board.run(images), expected), number
    assert number > 20 * segments
