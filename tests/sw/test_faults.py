"""Faults of the line: the right answer or a typed error in time, and a usable board afterwards."""

import itertools
import random
import time

import numpy as np
import pytest
import streamed

from xnorgrid import link
from xnorgrid.driver import Board
from xnorgrid.errors import (
    BoardError,
    DeviceReset,
    Disconnected,
    LinkCorrupt,
    LinkTimeout,
    NotLoaded,
    NotXnorgrid,
)
from xnorgrid.frames import encode_request
from xnorgrid.hw.config import preset
from xnorgrid.hw.protocol import Op
from xnorgrid.model import Dense, Input, Model
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.sim.streams import new_seed
from xnorgrid.transport import Transport, TransportError

CONFIG = preset("tiny")
#: Seconds that a call may take when something is wrong.
TIMEOUT = 4.0
#: What a loaded machine may add to a deadline.
TOLERANCE = 1.0

#: Faults that pass by themselves ...
PASSING = ["flip", "drop", "double", "insert", "burst", "stale"]
#: ... and faults that stay until somebody does something about them.
STAYING = ["cut", "silence", "babble"]


class FaultyTransport(Transport):
    """A transport that damages what crosses it, once armed, from a given byte on, in one direction."""

    description = "faulty line"

    def __init__(self, inner, seed):
        self.inner = inner
        self.rng = random.Random(seed)
        self.history = {"out": bytearray(), "in": bytearray()}
        self.counts = {"out": 0, "in": 0}
        self.heal()

    def arm(self, kind, direction, position):
        """Let the fault happen ``position`` bytes from now."""
        self.kind, self.direction = kind, direction
        self.position = self.counts[direction] + position
        self.happened = False

    def heal(self):
        self.kind = self.direction = None
        self.position = 0
        self.happened = False

    def slowdown(self, clock_hz):
        return self.inner.slowdown(clock_hz)

    def close(self):
        """The simulator is shared by the tests: it stays."""

    def write(self, data, timeout):
        self.inner.write(self.cross("out", data), timeout)

    def read(self, size, timeout):
        deadline = time.monotonic() + timeout
        while True:
            received = self.inner.read(size, max(0.0, deadline - time.monotonic()))
            received = self.cross("in", received)
            if received or time.monotonic() >= deadline:
                return received

    def cross(self, direction, data):
        start = self.counts[direction]
        self.counts[direction] += len(data)
        self.history[direction] += data
        if direction != self.direction or (self.happened and self.kind not in STAYING):
            return data
        if self.happened:
            return self.staying(data)
        at = self.position - start
        if at >= len(data):
            return data
        self.happened = True
        if self.kind in STAYING:
            return data[:at] + self.staying(data[at:])
        return data[:at] + self.passing(data[at:])

    def staying(self, data):
        if self.kind == "cut":
            raise TransportError("cut")
        return self.rng.randbytes(len(data)) if self.kind == "babble" else b""

    def passing(self, data):
        if self.kind == "flip":
            return bytes([data[0] ^ 1 << self.rng.randrange(8)]) + data[1:]
        if self.kind == "drop":
            return data[1:]
        if self.kind == "double":
            return data[:1] + data
        if self.kind == "insert":
            return self.rng.randbytes(self.rng.randrange(1, 5)) + data
        if self.kind == "takeover":
            session = self.rng.randrange(1 << 16)
            return b"".join(encode_request(op, 0, session) for op in (Op.IDENTIFY, Op.RESET)) + data
        if self.kind == "burst":
            return data[self.rng.randrange(1, 300) :]
        history = self.history[self.direction]
        at = self.rng.randrange(len(history))
        return bytes(history[at : at + 400]) + data


def make_model(seed):
    rng = np.random.default_rng(seed)
    sizes = [100, 30, 7]
    layers = []
    for index, (fan_in, outputs) in enumerate(itertools.pairwise(sizes)):
        weights = rng.integers(0, 2, (outputs, fan_in), np.uint8)
        if index < len(sizes) - 2:
            thresholds = rng.integers(0, fan_in + 2, outputs).astype(np.int32)
            inverted = rng.integers(0, 2, outputs).astype(bool)
            layers.append(Dense(f"layer{index}", weights, thresholds, inverted))
        else:
            layers.append(Dense(f"layer{index}", weights))
    return Model("random", Input((sizes[0],)), tuple(layers))


@pytest.fixture(scope="module")
def simulator():
    board = open_simulated("auto", CONFIG)
    yield board
    board.close()


@pytest.fixture(scope="module")
def small_simulator():
    """An array that runs its model in segments."""
    board = open_simulated("auto", streamed.CONFIG)
    yield board
    board.close()


@pytest.fixture
def patient_no_more(monkeypatch):
    """A simulated line has no latency timer to wait for."""
    monkeypatch.setattr(link, "LATENCY_SECONDS", 0.02)


class Bench:
    """A board behind a faulty line, and what it should answer."""

    def __init__(self, simulator, seed, segments=1):
        self.seed = seed
        self.line = FaultyTransport(simulator, seed)
        self.opened = 0
        rng = np.random.default_rng(seed)
        config, count = (CONFIG, 5) if segments == 1 else (streamed.CONFIG, 23)
        self.board = Board(self.line, config=config, reopen=self.reopen, timeout=TIMEOUT)
        self.model = make_model(seed) if segments == 1 else streamed.random_model(rng, segments)
        self.images = rng.integers(0, 2, (count, *self.model.input.shape), np.uint8)
        self.scores = reference.scores(self.model, self.images)

    def reopen(self):
        self.opened += 1
        if self.line.kind == "cut" and self.line.happened:
            raise Disconnected("still cut")
        return self.line

    def load(self):
        self.board.load(self.model, timeout=TIMEOUT)

    def run(self):
        assert np.array_equal(self.board.run(self.images, timeout=TIMEOUT), self.scores)

    def attempt(self, action):
        """Do ``action``; return its typed error if any. All other errors and wrong answers fail."""
        started = time.monotonic()
        found = None
        try:
            action()
        except BoardError as error:
            found = error
        assert time.monotonic() - started < TIMEOUT + TOLERANCE
        assert "\n" not in str(found)
        return found

    def check_usable(self):
        """After the fault is gone: an answer, if need be after one more load."""
        error = self.attempt(self.run)
        if error is not None:
            assert isinstance(error, DeviceReset | NotLoaded), error
            self.load()
            self.run()
        self.load()
        self.run()


def volume(make, action):
    """Bytes that surely cross the line, out and in, during ``action``."""
    bench = make(1)
    if action == "run":
        bench.load()
    before = dict(bench.line.counts)
    getattr(bench, action)()
    # Escapes and the number of status requests differ from seed to seed.
    return {key: (bench.line.counts[key] - before[key]) * 3 // 5 for key in before}


@pytest.fixture(scope="module")
def actions(simulator, small_simulator):
    """How to make a bench, what it does, and bytes that surely cross the line, by a test's name for it."""

    def resident(seed):
        return Bench(simulator, seed)

    def in_segments(seed):
        # An odd number leaves segment 0's place occupied, an even one does not.
        return Bench(small_simulator, seed, 3 + seed % 2)

    chosen = {"load": (resident, "load"), "run": (resident, "run"), "stream": (in_segments, "run")}
    return {name: (*pair, volume(*pair)) for name, pair in chosen.items()}


ACTIONS = ["load", "run", "stream"]


@pytest.mark.parametrize("direction", ["out", "in"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", PASSING)
def test_passing_faults(actions, patient_no_more, kind, action, direction):
    seed = new_seed()
    rng = random.Random(seed)
    make, method, volumes = actions[action]
    bench = make(seed)
    bench.load()
    for _ in range(3):
        bench.line.arm(kind, direction, rng.randrange(volumes[direction]))
        error = bench.attempt(getattr(bench, method))
        assert bench.line.happened
        bench.line.heal()
        # One fault is repaired by repetition, without anybody noticing, unless an old handshake comes
        # again and makes the board listen to a session that is over.
        if error is not None:
            assert (kind, direction) == ("stale", "out")
            assert isinstance(error, DeviceReset)
            bench.load()
    bench.check_usable()


@pytest.mark.parametrize("direction", ["out", "in"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", STAYING)
def test_staying_faults(actions, patient_no_more, kind, action, direction):
    seed = new_seed()
    rng = random.Random(seed)
    make, method, volumes = actions[action]
    bench = make(seed)
    bench.load()
    position = rng.randrange(volumes[direction])
    bench.line.arm(kind, direction, position)
    error = bench.attempt(getattr(bench, method))
    expected = Disconnected if kind == "cut" else (LinkTimeout, LinkCorrupt)
    assert isinstance(error, expected)
    # As long as the cause is there, so is the error; a run then has nothing loaded or no line.
    again = bench.attempt(bench.run)
    assert isinstance(again, (NotLoaded,) if action == "load" else (*np.atleast_1d(expected),))
    bench.line.heal()
    bench.check_usable()


@pytest.mark.parametrize("action", ["run", "stream"])
def test_many_faults_at_once(actions, patient_no_more, action):
    seed = new_seed()
    rng = random.Random(seed)
    bench = actions[action][0](seed)
    answers = 0
    for _ in range(12):
        for attempted in (bench.load, bench.run):
            kind = rng.choice(PASSING + STAYING)
            bench.line.arm(kind, rng.choice(["out", "in"]), rng.randrange(2000))
            if kind in STAYING:
                bench.line.position += rng.randrange(3000)
            error = bench.attempt(attempted)
            answers += error is None
            if kind in STAYING or error is not None:
                bench.line.heal()
    bench.line.heal()
    bench.check_usable()
    assert answers > 0


@pytest.mark.parametrize("action", ["run", "stream"])
def test_a_reset_in_the_middle_of_a_run(actions, patient_no_more, action):
    seed = new_seed()
    rng = random.Random(seed)
    make, _, volumes = actions[action]
    bench = make(seed)
    for _ in range(6):
        bench.load()
        bench.line.arm("takeover", "out", rng.randrange(volumes["out"]))
        assert isinstance(bench.attempt(bench.run), DeviceReset)
        assert bench.line.happened
        assert isinstance(bench.attempt(bench.run), NotLoaded)
    bench.line.heal()
    bench.check_usable()


@pytest.mark.parametrize(
    "use",
    [
        lambda bench: bench.board.run(bench.images),
        lambda bench: bench.board.reset(),
        lambda bench: bench.board.counters,
    ],
)
def test_reset_of_the_board_is_noticed(simulator, use):
    bench = Bench(simulator, 3)
    bench.load()
    # Another client takes the board over.
    simulator.write(encode_request(Op.IDENTIFY, 200, bench.board._session._link.session ^ 1), 1.0)
    with pytest.raises(DeviceReset, match=r"no longer knows this session.*load the model again"):
        use(bench)
    with pytest.raises(NotLoaded, match="no model is loaded on the board: load one"):
        bench.board.run(bench.images)
    bench.load()
    bench.run()


def test_a_handover_that_nobody_confirmed(simulator, patient_no_more):
    bench = Bench(simulator, 6)
    bench.load()
    for direction in ("out", "in"):
        bench.line.arm("silence", direction, 0)
        with pytest.raises(LinkTimeout):
            bench.board.run(bench.images, timeout=0.3)
        bench.line.heal()
        # In the old session or in the new one, the board still is ours.
        bench.run()


def test_an_interrupted_run_is_stopped(simulator, monkeypatch):
    bench = Bench(simulator, 4)
    bench.load()
    session = bench.board._session

    def interrupted(deadline):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(session, "report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.board.run(bench.images)
    bench.run()


def test_silent_line(simulator):
    line = FaultyTransport(simulator, 5)
    line.arm("silence", "in", 0)
    started = time.monotonic()
    with pytest.raises(
        LinkTimeout, match=r"IDENTIFY was not answered in time.*got 0 replies.*powered"
    ):
        Board(line, config=CONFIG, timeout=0.6)
    assert time.monotonic() - started < 0.6 + TOLERANCE


class Stranger(Transport):
    """Something else: it answers, or repeats what it hears."""

    description = "stranger"

    def __init__(self, answer):
        self.answer = answer
        self.pending = b""

    def write(self, data, timeout):
        self.pending += self.answer or data

    def read(self, size, timeout):
        received, self.pending = self.pending[:size], self.pending[size:]
        if not received:
            time.sleep(min(timeout, 0.01))
        return received

    def close(self):
        pass


@pytest.mark.parametrize(
    "answer", [b"ERROR\r\n", b"\x00" * 40, b"\xc0" * 7, b"\xdb\xdb\xc0login: ", None]
)
def test_something_else_is_talking(answer):
    with pytest.raises(NotXnorgrid, match="not as an xnorgrid board: choose another port"):
        Board(Stranger(answer), config=CONFIG, timeout=0.6)
