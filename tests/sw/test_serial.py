"""Real serial ports: pseudo-terminals whose other end is a simulated board, or is not."""

import os
import pty
import select
import termios
import threading
import time
import tty

import numpy as np
import pytest

from xnorgrid import discovery
from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.discovery import devices
from xnorgrid.discovery import open as open_board
from xnorgrid.errors import (
    Disconnected,
    LinkTimeout,
    NotXnorgrid,
    PortError,
    WrongConfiguration,
)
from xnorgrid.hw.config import preset
from xnorgrid.model import Dense, Input, Model
from xnorgrid.serial_port import SerialTransport
from xnorgrid.sim import reference
from xnorgrid.sim.boards import open_simulated
from xnorgrid.transport import TransportError

CONFIG = preset("tiny")
#: A pseudo-terminal keeps no baud rate; the simulated board is far slower than a real one.
TIMEOUT = 20.0


class Terminal:
    """A pseudo-terminal; ``answer`` is called with what is written to ``port`` (often nothing)."""

    def __init__(self, answer):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.answer = answer
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self):
        while not self.stopped.is_set():
            readable, _, _ = select.select([self.master], [], [], 0.002)
            received = os.read(self.master, 4096) if readable else b""
            answer = self.answer(received)
            while answer:
                answer = answer[os.write(self.master, answer) :]

    def unplug(self):
        self.stopped.set()
        self.thread.join()
        for end in (self.master, self.slave):
            if end is not None:
                os.close(end)
        self.master = self.slave = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.master is not None:
            self.unplug()


def simulated(board):
    """Answers of a simulated board whose line is never idle for long."""

    def answer(received):
        if received:
            board.write(received, 10.0)
        return board.read(4096, 0.0)

    return answer


@pytest.fixture(scope="module")
def simulator():
    board = open_simulated("auto", CONFIG)
    yield board
    board.close()


def make_model():
    rng = np.random.default_rng(0)
    hidden = Dense(
        "hidden",
        rng.integers(0, 2, (9, 40), np.uint8),
        rng.integers(10, 30, 9).astype(np.int32),
        rng.integers(0, 2, 9).astype(bool),
    )
    scores = Dense("scores", rng.integers(0, 2, (4, 9), np.uint8))
    return Model("random", Input((40,)), (hidden, scores))


def test_a_board_behind_a_terminal(simulator):
    model = make_model()
    images = np.random.default_rng(1).integers(0, 2, (7, 40), np.uint8)
    expected = reference.scores(model, images)
    with (
        Terminal(simulated(simulator)) as terminal,
        open_board(f"serial:{terminal.port}", config=CONFIG, timeout=TIMEOUT) as board,
    ):
        assert board.description == f"serial:{terminal.port}"
        assert board.config == CONFIG
        board.load(model, timeout=TIMEOUT)
        assert np.array_equal(board.run(images, timeout=TIMEOUT), expected)
        assert np.array_equal(board.predict(images, timeout=TIMEOUT), expected.argmax(axis=1))
        with pytest.raises(PortError, match="in use by another program: close that and try again"):
            open_board(f"serial:{terminal.port}")
        # In the middle of everything, the cable.
        terminal.unplug()
        with pytest.raises(Disconnected, match=r"is gone .* check cable and power"):
            board.run(images, timeout=2)
        with pytest.raises(PortError, match=r"there is no port .* plug the board in"):
            board.load(model, timeout=2)


def test_discovery(simulator, monkeypatch):
    class Port:
        description = "pseudo-terminal"

        def __init__(self, device):
            self.device = device

    with Terminal(simulated(simulator)) as board, Terminal(lambda received: b"") as silent:
        ports = [Port(board.port), Port(silent.port), Port("/dev/nothing-here")]
        monkeypatch.setattr(discovery.list_ports, "comports", lambda: ports)
        [found] = devices(timeout=3.0)
        assert found.name == f"serial:{board.port}"
        assert found.identity.config == CONFIG
        monkeypatch.setattr(discovery, "devices", lambda: [found])
        with open_board("auto", timeout=TIMEOUT) as opened:
            assert opened.config == CONFIG
        monkeypatch.setattr(discovery, "devices", list)
        with pytest.raises(PortError, match="no board answers on any port: plug one in"):
            open_board("auto")
        monkeypatch.setattr(discovery, "devices", lambda: [found, found])
        with pytest.raises(PortError, match="2 boards answer: name one of serial:"):
            open_board("auto")


@pytest.mark.parametrize("rate", discovery.RATES[1:])
def test_discovery_at_other_rates(simulator, monkeypatch, rate):
    """A port whose other end only listens when the bit rate is its own."""

    class Port:
        description = "pseudo-terminal"

    answer = simulated(simulator)
    ends = []

    def at_rate(received):
        speeds = [termios.tcgetattr(end)[5] for end in ends]
        return answer(received) if getattr(termios, f"B{rate}") in speeds else b""

    with Terminal(at_rate) as terminal:
        ends.append(terminal.slave)
        Port.device = terminal.port
        monkeypatch.setattr(discovery.list_ports, "comports", lambda: [Port()])
        [found] = devices(timeout=1.0)
        assert found.name == f"serial:{terminal.port}?baud={rate}"
        assert found.identity.config == CONFIG
        [found] = devices(timeout=1.0, baud=rate)
        assert found.name == f"serial:{terminal.port}?baud={rate}"


def test_every_boards_rate_is_looked_for():
    assert {board.config.baud for board in BOARDS.values()} <= set(discovery.RATES)


def test_another_array(simulator):
    with (
        Terminal(simulated(simulator)) as terminal,
        pytest.raises(WrongConfiguration, match=r"3 x 2 x 5 lanes .* another configuration"),
    ):
        open_board(f"serial:{terminal.port}", config=preset("small"), timeout=TIMEOUT)


def test_silent_port():
    started = time.monotonic()
    with (
        Terminal(lambda received: b"") as terminal,
        pytest.raises(
            LinkTimeout, match=r"IDENTIFY was not answered.*check that the board is powered"
        ),
    ):
        open_board(f"serial:{terminal.port}", timeout=0.5)
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("answer", [lambda received: received, lambda received: b"login: "])
def test_port_that_speaks_something_else(answer):
    with (
        Terminal(answer) as terminal,
        pytest.raises(NotXnorgrid, match="not as an xnorgrid board: choose another port"),
    ):
        open_board(f"serial:{terminal.port}", timeout=0.5)


def test_transport_keeps_its_timeout():
    with Terminal(lambda received: b"") as terminal:
        transport = SerialTransport(terminal.port, 115200)
        started = time.monotonic()
        assert transport.read(10, 0.2) == b""
        assert 0.2 <= time.monotonic() - started < 0.6
        transport.close()
        transport.close()
        with pytest.raises(TransportError, match="not open"):
            transport.read(10, 0.2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("serial:/dev/nothing-here", "there is no port /dev/nothing-here: plug the board in"),
        ("serial:/dev/null", "port /dev/null cannot be opened"),
        ("serial:", "no board is called 'serial:': use serial:PORT"),
        ("serial:/dev/null?baud=fast", "is no board's name"),
        ("serial:/dev/null?speed=9600", "is no board's name"),
        ("/dev/ttyUSB0", "no board is called '/dev/ttyUSB0': use serial:PORT"),
        ("sim:huge", "sim:huge cannot be simulated: no array configuration is called 'huge'"),
    ],
)
def test_names_that_open_nothing(name, message):
    with pytest.raises(PortError, match=message.replace("?", r"\?")):
        open_board(name)


def test_a_name_and_a_configuration():
    with pytest.raises(PortError, match="leave it or config out"):
        open_board("pysim:tiny", config=CONFIG)


def test_the_environment_names_the_board(monkeypatch):
    monkeypatch.setenv("XNORGRID_DEVICE", "serial:/dev/nothing-here")
    with pytest.raises(PortError, match="there is no port /dev/nothing-here"):
        open_board()
