import dataclasses
import itertools
import random
import statistics

import pytest

from xnorgrid.frames import FrameDecoder, encode_request, parse_reply
from xnorgrid.hw.config import preset
from xnorgrid.hw.link import Link
from xnorgrid.hw.protocol import WINDOW_BYTES, Op, Region, Status, StatusReport
from xnorgrid.hw.regions import region_shapes
from xnorgrid.sim.streams import new_seed, put, simulate

CONFIG = preset("tiny")
FIFO = dataclasses.replace(CONFIG, link="fifo")
SESSION = 0xDBC0


class Board:
    """A link with memories made of Python; the host sees its pins.

    In each cycle a FIFO's bridge pauses with probability ``stalls``. ``replied`` tells when replies ended.
    """

    def __init__(self, config=CONFIG, stalls=0.0):
        self.config = config
        self.stalls = stalls
        self.rng = random.Random(new_seed())
        self.dut = Link(config)
        self.shapes = region_shapes(config)
        self.memory = {}
        self.decoder = FrameDecoder()
        self.replies = []
        self.cycles = 0
        self.replied = []

    async def send(self, ctx, line, cycles_per_bit=CONFIG.clocks_per_bit):
        """Send bytes back to back, or as the FIFO takes them."""
        if self.config.link == "fifo":
            for byte in line:
                await put(ctx, self.dut.i, byte)
        else:
            await self.send_bits(ctx, line, cycles_per_bit)

    async def send_bits(self, ctx, line, cycles_per_bit):
        for byte in line:
            for bit in [0, *(byte >> k & 1 for k in range(8)), 1]:
                ctx.set(self.dut.rx, bit)
                await ctx.tick().repeat(cycles_per_bit)

    async def listen(self, ctx):
        if self.config.link == "uart":
            await self.listen_to_bits(ctx)
        o, offered = self.dut.o, None
        while True:
            ready = self.rng.random() >= self.stalls
            ctx.set(o.ready, ready)
            *_, valid, byte = await ctx.tick().sample(o.valid, o.payload)
            if offered is not None:
                assert (valid, byte) == (1, offered), "an offer was not held until taken"
            offered = byte if valid and not ready else None
            if valid and ready:
                self.heard(byte)

    def heard(self, byte):
        found = list(map(parse_reply, self.decoder.feed(bytes([byte]))))
        self.replies += found
        self.replied += [self.cycles] * len(found)

    async def count(self, ctx):
        while True:
            await ctx.tick()
            self.cycles += 1

    async def listen_to_bits(self, ctx):
        clocks = CONFIG.clocks_per_bit
        while True:
            *_, tx = await ctx.tick().sample(self.dut.tx)
            if not tx:
                byte = 0
                for k in range(8):
                    for _ in range(clocks + (k == 0)):
                        await ctx.tick()
                    byte |= ctx.get(self.dut.tx) << k
                for _ in range(clocks):
                    await ctx.tick()
                assert ctx.get(self.dut.tx) == 1
                self.heard(byte)

    async def memories(self, ctx):
        port = self.dut.memory
        ctx.set(port.ready, 1)
        signals = [
            port.valid, port.write, port.region.as_value(), port.bank, port.address, port.write_data,
        ]  # fmt: skip
        while True:
            *_, valid, write, region, bank, address, data = await ctx.tick().sample(*signals)
            ctx.set(port.read_valid, 0)
            if valid and write:
                width = self.shapes[Region(region)].width
                self.memory[region, bank, address] = data & ((1 << width) - 1)
            elif valid:
                ctx.set(port.read_data, self.memory.get((region, bank, address), 0))
                ctx.set(port.read_valid, 1)

    async def wait(self, ctx, count, cycles=20_000):
        """Wait for ``count`` replies in all."""
        for _ in range(cycles // 40):
            if len(self.replies) >= count:
                return
            await ctx.tick().repeat(40)
        raise AssertionError(f"{len(self.replies)} replies instead of {count}")

    def run(self, host):
        monitors = [self.count, self.listen, self.memories]
        simulate(self.dut, host, monitors=monitors, cycles=2_000_000)


@pytest.mark.parametrize(
    ("config", "stalls"),
    [(CONFIG, 0.0), (FIFO, 0.0), (FIFO, 0.6)],
    ids=["uart", "fifo", "fifo with pauses"],
)
def test_a_full_window_of_requests_loses_nothing(config, stalls):
    board = Board(config, stalls)
    rng = board.rng
    frames = [encode_request(Op.IDENTIFY, 0, SESSION)]
    expected = [None]
    # Reads first: while their replies leave, all the rest has to wait in the queue.
    data = rng.randbytes(64)
    write = {"region": Region.WEIGHTS, "bank": 1, "address": 3, "length": 63, "data": data}
    while True:
        seq = len(frames)
        kind = Op.READ if seq in (1, 2) or seq % 3 == 0 else Op.WRITE
        if kind is Op.READ:
            frame = encode_request(
                kind, seq, SESSION, region=Region.WEIGHTS, bank=2, address=0, length=199
            )
        else:
            frame = encode_request(kind, seq, SESSION, **write)
        if sum(map(len, frames)) + len(frame) > WINDOW_BYTES:
            break
        frames.append(frame)
        expected.append(bytes(200) if kind is Op.READ else b"")
    assert len(frames) > 10

    async def host(ctx):
        await board.send(ctx, b"".join(frames))
        await board.wait(ctx, len(frames), 200_000)

    board.run(host)
    assert [reply.seq for reply in board.replies] == list(range(len(frames)))
    assert {reply.status for reply in board.replies} == {Status.OK.value}
    assert [reply.data for reply in board.replies[1:]] == expected[1:]
    assert [board.memory[1, 1, 3 + k] for k in range(64)] == [byte & 31 for byte in data]


@pytest.mark.parametrize(
    ("config", "garbage"),
    [
        *((CONFIG, name) for name in ["random", "ends", "break", "wrong baud", "half a frame"]),
        *((FIFO, name) for name in ["random", "ends", "half a frame"]),
    ],
    ids=lambda part: getattr(part, "link", part),
)
def test_garbage_then_a_request(config, garbage):
    board = Board(config)
    rng = board.rng
    write = encode_request(
        Op.WRITE, 9, SESSION, region=Region.PROGRAM, address=1, length=1, data=rng.randbytes(8)
    )

    async def host(ctx):
        await board.send(ctx, encode_request(Op.IDENTIFY, 1, SESSION))
        await board.wait(ctx, 1)
        if garbage == "random":
            await board.send(ctx, rng.randbytes(500))
        elif garbage == "ends":
            await board.send(ctx, b"\xc0" * 50)
        elif garbage == "break":
            ctx.set(board.dut.rx, 0)
            await ctx.tick().repeat(1000)
        elif garbage == "wrong baud":
            await board.send(ctx, write * 3, cycles_per_bit=7)
        else:
            await board.send(ctx, write[: len(write) // 2])
        if config.link == "uart":
            # A line that was cut in the middle of a byte needs the time of one to settle.
            ctx.set(board.dut.rx, 1)
            await ctx.tick().repeat(11 * CONFIG.clocks_per_bit)
        before = len(board.replies)
        await board.send(ctx, write)
        await board.send(ctx, encode_request(Op.STATUS, 10, SESSION))
        await board.wait(ctx, before + 2)

    board.run(host)
    written, status = board.replies[-2:]
    assert (written.op, written.seq, written.status) == (Op.WRITE.value, 9, Status.OK.value)
    assert len(board.memory) == 2
    report = StatusReport.from_bits(int.from_bytes(status.data, "little"))
    assert (report.bad_frames + report.lost_bytes > 0) == (garbage != "ends")


def test_a_fifo_waits_where_a_uart_would_lose():
    """More than the queue holds, to a board that cannot send: nothing is lost, nothing overtakes."""
    board = Board(FIFO, stalls=1.0)
    data = board.rng.randbytes(256)
    frames = [encode_request(Op.IDENTIFY, 0, SESSION)]
    for seq in range(1, 12):
        bank = seq % 3
        frames.append(
            encode_request(
                Op.WRITE, seq, SESSION, region=Region.WEIGHTS, bank=bank, length=255, data=data
            )
        )
    frames.append(encode_request(Op.STATUS, 12, SESSION))
    line = b"".join(frames)
    taken = 0

    async def host(ctx):
        nonlocal taken
        ctx.set(board.dut.i.valid, 1)
        waited = 0
        while waited < 2000:
            ctx.set(board.dut.i.payload, line[taken])
            *_, ready = await ctx.tick().sample(board.dut.i.ready)
            taken += ready
            waited = 0 if ready else waited + 1
        ctx.set(board.dut.i.valid, 0)
        assert WINDOW_BYTES < taken < len(line)
        assert not board.replies
        board.stalls = 0.0
        await board.send(ctx, line[taken:])
        await board.wait(ctx, len(frames))

    board.run(host)
    assert [reply.seq for reply in board.replies] == list(range(len(frames)))
    assert {reply.status for reply in board.replies} == {Status.OK.value}
    report = StatusReport.from_bits(int.from_bytes(board.replies[-1].data, "little"))
    assert report.bad_frames == report.lost_bytes == 0
    assert [board.memory[1, 2, k] for k in range(256)] == [byte & 31 for byte in data]


@pytest.mark.parametrize(("op", "cycles"), [(Op.WRITE, 347), (Op.READ, 411)])
def test_cycles_of_a_full_frame_on_a_fifo(op, cycles):
    """The commander is the limit where the line is none: back to back, without escapes, words of 4 bytes."""
    board = Board(FIFO)
    frames = [encode_request(Op.IDENTIFY, 0, SESSION)]
    for seq in range(1, 8):
        data = bytes(256) if op is Op.WRITE else b""
        frames.append(encode_request(op, seq, SESSION, region=Region.PROGRAM, length=63, data=data))

    async def host(ctx):
        await board.send(ctx, b"".join(frames))
        await board.wait(ctx, len(frames))

    board.run(host)
    gaps = [after - before for before, after in itertools.pairwise(board.replied)]
    # Some replies have an escape.
    assert statistics.median(gaps[1:]) == cycles
