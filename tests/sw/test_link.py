"""The request engine against a board made of Python, which answers in order but loses things."""

import random
import time
import zlib
from collections import deque

import pytest

from xnorgrid import link as link_module
from xnorgrid.errors import DeviceBusy, DeviceReset, LinkCorrupt, LinkTimeout, RequestRefused
from xnorgrid.frames import FrameDecoder, encode_frame
from xnorgrid.hw.protocol import WINDOW_BYTES, Op, Region, Reply, Request, Status
from xnorgrid.link import REPLY_WINDOW_BYTES, Call, Link, checked
from xnorgrid.sim.streams import new_seed
from xnorgrid.transport import Transport


class FakeBoard(Transport):
    """Answers READ with bytes made from the address. ``lose`` decides frame by frame."""

    description = "fake board"

    def __init__(self, lose=lambda: False):
        self.lose = lose
        self.decoder = FrameDecoder()
        self.queue = deque()
        self.seen = []
        self.most_queued = 0
        self.status = Status.OK

    def write(self, data, timeout):
        for content in self.decoder.feed(data):
            if not self.lose():
                self.queue.append(content)
        frames = map(encode_frame, self.queue)
        self.most_queued = max(self.most_queued, sum(map(len, frames)))

    def read(self, size, timeout):
        while self.queue:
            request = Request.from_bits(int.from_bytes(self.queue[0][:12], "little"))
            self.queue.popleft()
            self.seen.append((request.op, int(request.address)))
            data = content(request.address, request.length + 1) if request.op == Op.READ else b""
            if self.status is not Status.OK:
                data = b""
            fields = {
                "op": request.op, "seq": request.seq, "session": request.session,
                "status": self.status, "running": 0,
            }  # fmt: skip
            reply = Reply.const(fields).as_bits().to_bytes(Reply.size // 8, "little") + data
            if not self.lose():
                return encode_frame(reply)
        time.sleep(min(timeout, 0.001))
        return b""

    def close(self):
        pass


def content(address, length):
    return (zlib.crc32(int(address).to_bytes(2, "little")).to_bytes(4, "little") * 64)[:length]


def reads(count, length=40):
    return [
        Call(Op.READ, Region.WEIGHTS, 0, address, length=length - 1, reply_bytes=length)
        for address in range(count)
    ]


def make_link(board):
    link = Link(board, clock_hz=48_000_000, baud=12_000_000)
    link.new_session()
    return link


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(link_module, "LATENCY_SECONDS", 0.01)


def test_replies_come_in_the_order_of_calls():
    board = FakeBoard()
    replies = make_link(board).execute(reads(600), time.monotonic() + 10)
    assert [reply.data for reply in replies] == [content(k, 40) for k in range(600)]
    # Nothing was asked twice.
    assert len(board.seen) == 600


def test_windows_are_kept():
    board = FakeBoard()
    link = make_link(board)
    writes = [Call(Op.WRITE, address=k, data=b"\xc0" * 100) for k in range(100)]
    link.execute(writes, time.monotonic() + 10)
    assert 400 < board.most_queued <= WINDOW_BYTES
    board = FakeBoard()
    make_link(board).execute(reads(100, 256), time.monotonic() + 10)
    assert 2 * 20 < board.most_queued <= REPLY_WINDOW_BYTES // 256 * 25


@pytest.mark.parametrize("loss", [0.02, 0.2])
def test_lost_frames_are_repeated(hurry, monkeypatch, loss):
    # With ten, one run in 70 loses one of its requests every time.
    monkeypatch.setattr(link_module, "MAX_ATTEMPTS", 20)
    rng = random.Random(new_seed())
    board = FakeBoard(lambda: rng.random() < loss)
    replies = make_link(board).execute(reads(400), time.monotonic() + 30)
    assert [reply.data for reply in replies] == [content(k, 40) for k in range(400)]
    assert 400 < len(board.seen) < 400 * (1 + 6 * loss)


def test_a_board_that_never_answers(hurry):
    board = FakeBoard(lambda: True)
    started = time.monotonic()
    with pytest.raises(
        LinkTimeout,
        match=r"fake board: STATUS was not answered in 10 attempts \(sent 10 requests.*got 0 replies.*"
        r"never answered\); check that the board is powered",
    ):
        make_link(board).execute([Call(Op.STATUS, reply_bytes=36)], started + 10)
    assert time.monotonic() - started < 2


def test_the_deadline_ends_a_call():
    started = time.monotonic()
    with pytest.raises(LinkTimeout, match="READ WEIGHTS bank 0 address 0 was not answered in time"):
        make_link(FakeBoard(lambda: True)).execute(reads(3), started + 0.1)
    assert 0.1 <= time.monotonic() - started < 0.5


def test_the_last_known_state_is_told():
    board = FakeBoard()
    link = make_link(board)
    link.execute(reads(1), time.monotonic() + 5)
    board.lose = lambda: True
    with pytest.raises(LinkTimeout, match="last known state: idle"):
        link.execute(reads(1), time.monotonic() + 0.05)


class Noise(FakeBoard):
    def read(self, size, timeout):
        time.sleep(min(timeout, 0.005))
        return b"\x55\xc0\x55\xaa\x00\x12\xc0"


def test_noise_is_not_silence():
    with pytest.raises(LinkCorrupt, match=r"what came back is no reply.*damaged frames.*baud rate"):
        make_link(Noise()).execute(reads(1), time.monotonic() + 0.05)


def test_replies_of_other_sessions_are_ignored():
    board = FakeBoard()
    old = make_link(board)
    line = []
    write = board.write
    board.write = lambda data, timeout: line.append(data)
    with pytest.raises(LinkTimeout):
        old.execute(reads(1, 4), time.monotonic() + 0.05)
    board.write = write
    # The old request's reply comes late, with the number of the first new request.
    write(line[0], 1)
    new = Link(board, clock_hz=48_000_000, baud=12_000_000)
    new.session = old.session ^ 1
    calls = [Call(Op.READ, address=9, length=3, reply_bytes=4)]
    [reply] = new.execute(calls, time.monotonic() + 5)
    assert reply.data == content(9, 4)
    assert new.traffic.stale_replies == 1


def test_wrong_session():
    board = FakeBoard()
    board.status = Status.WRONG_SESSION
    with pytest.raises(DeviceReset, match="fake board no longer knows this session"):
        make_link(board).execute(reads(1), time.monotonic() + 5)
    # A repeated RESET finds no session: it is done.
    [reply] = make_link(board).execute([Call(Op.RESET)], time.monotonic() + 5)
    assert reply.status == Status.WRONG_SESSION.value


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (Status.BUSY, DeviceBusy, "READ WEIGHTS bank 0 address 0: the array is still running"),
        (Status.RANGE, RequestRefused, "the board answered RANGE; gateware and driver do not fit"),
        (Status.LENGTH, RequestRefused, "the board answered LENGTH"),
    ],
)
def test_refusals(status, error, message):
    board = FakeBoard()
    board.status = status
    [call] = reads(1)
    [reply] = make_link(board).execute([call], time.monotonic() + 5)
    with pytest.raises(error, match=message):
        checked(call, reply)
