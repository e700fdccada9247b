import random

import pytest

from xnorgrid.frames import FrameDecoder, encode_request, parse_reply
from xnorgrid.hw.config import preset
from xnorgrid.hw.link import Link
from xnorgrid.hw.protocol import WINDOW_BYTES, Op, Region, Status, StatusReport
from xnorgrid.sim.streams import new_seed, simulate

CONFIG = preset("tiny")
SESSION = 0xDBC0


class Board:
    """A link with memories made of Python; the host sees its pins."""

    def __init__(self):
        self.dut = Link(CONFIG)
        self.memory = {}
        self.decoder = FrameDecoder()
        self.replies = []

    async def send(self, ctx, line, cycles_per_bit=CONFIG.clocks_per_bit):
        """Send bytes back to back."""
        for byte in line:
            for bit in [0, *(byte >> k & 1 for k in range(8)), 1]:
                ctx.set(self.dut.rx, bit)
                await ctx.tick().repeat(cycles_per_bit)

    async def listen(self, ctx):
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
                self.replies += map(parse_reply, self.decoder.feed(bytes([byte])))

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
                self.memory[region, bank, address] = data
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
        simulate(self.dut, host, monitors=[self.listen, self.memories], cycles=2_000_000)


def test_a_full_window_of_requests_loses_nothing():
    rng = random.Random(new_seed())
    board = Board()
    frames = [encode_request(Op.IDENTIFY, 0, SESSION)]
    expected = [None]
    # Reads first: while their replies leave, all the rest has to wait in the queue.
    data = rng.randbytes(64)
    write = {"region": Region.WEIGHTS, "bank": 1, "address": 3, "data": data}
    while True:
        seq = len(frames)
        kind = Op.READ if seq in (1, 2) or seq % 3 == 0 else Op.WRITE
        if kind is Op.READ:
            frame = encode_request(
                kind, seq, SESSION, region=Region.WEIGHTS, bank=2, address=0, length=200
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
    assert [board.memory[1, 1, 3 + k] for k in range(64)] == list(data)


@pytest.mark.parametrize("garbage", ["random", "ends", "break", "wrong baud", "half a frame"])
def test_garbage_then_a_request(garbage):
    rng = random.Random(new_seed())
    board = Board()
    write = encode_request(
        Op.WRITE, 9, SESSION, region=Region.PROGRAM, address=1, data=rng.randbytes(8)
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
