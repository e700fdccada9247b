import random
import zlib

import pytest

from xnorgrid.frames import parse_reply
from xnorgrid.hw.commander import Commander, region_shapes
from xnorgrid.hw.config import LINKS, preset
from xnorgrid.hw.protocol import (
    IDENTITY_MAGIC,
    PROTOCOL_VERSION,
    Identity,
    Op,
    Region,
    Reply,
    Request,
    Run,
    Status,
    StatusReport,
)
from xnorgrid.sim.streams import new_seed, put, simulate, take

CONFIG = preset("tiny")
BUILD = 0x0123456789ABCDEF


def request_bytes(op, seq=0, session=0, region=0, bank=0, address=0, length=None, data=b""):
    """A request's header and data, however wrong its fields are."""
    length = len(data) if length is None else length
    fields = [(op, 1), (seq, 1), (session, 2), (region, 1), (0, 1), (bank, 2), (address, 2)]
    fields.append((length, 2))
    raw = b"".join(int(getattr(v, "value", v)).to_bytes(n, "little") for v, n in fields)
    assert len(raw) == Request.size // 8
    return raw + data


def run_bytes(tag, passes=0, columns=0):
    fields = {
        "tag": tag, "passes": passes, "columns": columns, "input_stride": 3, "output_stride": 4,
    }  # fmt: skip
    return Run.const(fields).as_bits().to_bytes(Run.size // 8, "little")


class Model:
    """The protocol in plain Python: what each request does and what it is answered."""

    def __init__(self, config):
        self.shapes = region_shapes(config)
        self.config = config
        self.memory = {}
        self.session = None
        self.tag = None
        self.shown_tag = 0
        self.running = False
        self.done = False
        self.counters = (0, 0, 0)
        self.bad_frames = 0
        self.lost_bytes = 0
        self.starts = []

    def finish(self):
        self.done |= self.running
        self.running = False

    def handle(self, op, region, bank, address, session, length, data):
        """Return (status, reply data)."""
        if op not in [o.value for o in Op]:
            return Status.UNKNOWN_OP, b""
        op = Op(op)
        if session != self.session and (
            op is not Op.IDENTIFY or (bank == 1 and address != self.session)
        ):
            return Status.WRONG_SESSION, b""
        if data and op not in (Op.WRITE, Op.RUN):
            return Status.LENGTH, b""
        waits = op in (Op.READ, Op.CHECKSUM) or (op is Op.WRITE and region == Region.PROGRAM.value)
        if waits and self.running:
            return Status.BUSY, b""
        if op in (Op.WRITE, Op.READ, Op.CHECKSUM):
            if region > 3 or bank >= self.shapes[Region(region)].banks:
                return Status.RANGE, b""
            return self.access(op, Region(region), bank, address, length, data)
        return getattr(self, op.name.lower())(session, length, data)

    def access(self, op, region, bank, address, length, data):
        shape = self.shapes[region]
        size = shape.word_bytes
        if op is Op.WRITE:
            if length != len(data) or length % size or length > 256:
                return Status.LENGTH, b""
            status = Status.OK
            for k in range(length // size):
                if address + k < shape.depth:
                    word = int.from_bytes(data[k * size : (k + 1) * size], "little")
                    self.memory[region.value, bank, address + k] = word & ((1 << shape.width) - 1)
                else:
                    status = Status.RANGE
            return status, b""
        if op is Op.READ:
            if length % size or length > 256:
                return Status.LENGTH, b""
            length //= size
        if address + length > shape.depth:
            return Status.RANGE, b""
        data = b"".join(
            self.memory.get((region.value, bank, address + k), 0).to_bytes(size, "little")
            for k in range(length)
        )
        if op is Op.CHECKSUM:
            data = zlib.crc32(data).to_bytes(4, "little")
        return Status.OK, data

    def identify(self, session, length, data):
        if session != self.session:
            self.tag = None
        self.session = session
        names = [name for name, _ in Identity if hasattr(self.config, name)]
        fields = {name: getattr(self.config, name) for name in names}
        fields["link"] = LINKS.index(self.config.link)
        value = Identity.const(
            {**fields, "magic": IDENTITY_MAGIC, "version": PROTOCOL_VERSION, "build": BUILD}
        )
        return Status.OK, value.as_bits().to_bytes(Identity.size // 8, "little")

    def run(self, session, length, data):
        if length != 12 or len(data) != 12:
            return Status.LENGTH, b""
        tag = int.from_bytes(data[:2], "little")
        if tag != self.tag:
            if self.running:
                return Status.BUSY, b""
            self.tag = self.shown_tag = tag
            self.running = True
            self.done = False
            self.starts.append(data)
        return Status.OK, b""

    def status(self, session, length, data):
        busy, stalled, useful = self.counters
        value = StatusReport.const(
            {
                "tag": self.shown_tag,
                "running": self.running,
                "done": self.done,
                "busy_cycles": busy,
                "stalled_cycles": stalled,
                "useful_lanes": useful,
                "bad_frames": self.bad_frames,
                "lost_bytes": self.lost_bytes,
            }
        )
        return Status.OK, value.as_bits().to_bytes(StatusReport.size // 8, "little")

    def reset(self, session, length, data):
        self.session = self.tag = None
        self.shown_tag = 0
        self.running = self.done = False
        self.counters = (0, 0, 0)
        self.bad_frames = self.lost_bytes = 0
        return Status.OK, b""


class Board:
    """A commander with memories and a sequencer made of Python, with random delays."""

    def __init__(self, config, rng, stalls):
        self.dut = Commander(config, BUILD)
        self.shapes = region_shapes(config)
        self.rng = rng
        self.stalls = stalls
        self.memory = {}
        self.starts = []

    def stalled(self):
        return self.rng.random() < self.stalls

    async def memories(self, ctx):
        port = self.dut.memory
        signals = [
            port.valid, port.ready, port.write, port.region.as_value(), port.bank, port.address,
            port.write_data,
        ]  # fmt: skip
        ctx.set(port.ready, 1)
        while True:
            *_, valid, ready, write, region, bank, address, data = await ctx.tick().sample(*signals)
            ctx.set(port.read_valid, 0)
            ctx.set(port.read_data, self.rng.getrandbits(len(port.read_data)))
            if valid and ready:
                shape = self.shapes[Region(region)]
                assert bank < shape.banks
                assert address < shape.depth
                mask = (1 << shape.width) - 1
                if write:
                    self.memory[region, bank, address] = data & mask
                else:
                    while self.stalled():
                        await ctx.tick()
                    noise = self.rng.getrandbits(len(port.read_data)) & ~mask
                    ctx.set(port.read_data, self.memory.get((region, bank, address), 0) | noise)
                    ctx.set(port.read_valid, 1)
            ctx.set(port.ready, not self.stalled())

    async def sequencer(self, ctx):
        control = self.dut.control
        while True:
            *_, start, run, abort, clear, running = await ctx.tick().sample(
                control.start, control.run, control.abort, control.clear, control.running
            )
            assert not (start and running)
            if start:
                self.starts.append(run.as_bits().to_bytes(Run.size // 8, "little"))
                ctx.set(control.running, 1)
            if abort:
                ctx.set(control.running, 0)
            if clear:
                for name in ("busy_cycles", "stalled_cycles", "useful_lanes"):
                    ctx.set(getattr(control, name), 0)

    async def pulse(self, ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def request(self, ctx, content):
        """Send a request and return its reply, which must come and be the only one."""
        for k, byte in enumerate(content):
            while self.stalled():
                await ctx.tick()
            await put(ctx, self.dut.i, {"data": byte, "last": k == len(content) - 1})
        reply = bytearray()
        while True:
            while self.stalled():
                await ctx.tick()
            packet = await take(ctx, self.dut.o)
            reply.append(packet.data)
            if packet.last:
                break
        for _ in range(5):
            assert not ctx.get(self.dut.o.valid)
            await ctx.tick()
        return parse_reply(bytes(reply))


def random_request(rng, model):
    """Mostly sensible fields, each sometimes wrong."""
    op = rng.choice([1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6] + [7] * (rng.random() < 0.2))
    if rng.random() < 0.03:
        op = rng.choice([0, 8, 255])
    region = rng.randrange(4) if rng.random() < 0.97 else rng.choice([4, 255])
    shape = model.shapes[Region(region & 3)]
    bank = rng.randrange(shape.banks) if rng.random() < 0.95 else rng.choice([shape.banks, 65535])
    # A small part of each memory, so that reads meet writes, and its end.
    base = rng.choice([0, 0, 0, shape.depth - 6])
    address = base + rng.randrange(6) if rng.random() < 0.97 else 65535
    session = model.session if rng.random() < 0.95 and model.session is not None else 77
    if op == 1 and rng.random() < 0.5:
        bank, session = 1, rng.randrange(1 << 16)
        address = model.session if model.session is not None and rng.random() < 0.7 else 77
    words = rng.randrange(9)
    data = b""
    length = words
    if op == 2:
        data = rng.randbytes(words * shape.word_bytes + (rng.random() < 0.05))
        length = len(data)
    elif op == 3:
        length = words * shape.word_bytes + (rng.random() < 0.05)
    elif op == 5:
        data = run_bytes(rng.randrange(3), rng.randrange(65536))
        if rng.random() < 0.1:
            data = data[: rng.randrange(12)] + rng.randbytes(rng.randrange(3))
        length = len(data)
    if rng.random() < 0.03:
        data = rng.randbytes(rng.randrange(257))
    if rng.random() < 0.03:
        length = rng.choice([0, 1, 255, 256, 257, 65535])
    if op == 2 and len(data) != length and length % shape.word_bytes == 0 and length <= 256:
        # Whole words that came before the mismatch showed are written; not worth a model.
        data = b""
    return {
        "op": op,
        "session": session,
        "region": region,
        "bank": bank,
        "address": address,
        "length": length,
        "data": data,
    }


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_against_the_model(name, stalls):
    config = preset(name)
    rng = random.Random(new_seed())
    model = Model(config)
    board = Board(config, rng, stalls)
    seen = set()

    async def host(ctx):
        control = board.dut.control
        for seq in range(400):
            if rng.random() < 0.2:
                ctx.set(control.running, 0)
                model.finish()
                await ctx.tick()
            if rng.random() < 0.1:
                await board.pulse(ctx, board.dut.bad_frame)
                model.bad_frames += 1
            if rng.random() < 0.1:
                await board.pulse(ctx, board.dut.lost_byte)
                model.lost_bytes += 1
            if rng.random() < 0.1:
                model.counters = tuple(rng.getrandbits(64) for _ in range(3))
                ctx.set(control.busy_cycles, model.counters[0])
                ctx.set(control.stalled_cycles, model.counters[1])
                ctx.set(control.useful_lanes, model.counters[2])
            fields = random_request(rng, model)
            reply = await board.request(ctx, request_bytes(seq=seq & 255, **fields))
            status, data = model.handle(**fields)
            assert reply is not None
            assert (Status(reply.status), reply.data) == (status, data), fields
            assert (reply.op, reply.seq) == (fields["op"], seq & 255)
            assert (reply.session, reply.running) == (fields["session"], model.running)
            seen.add(status)

    simulate(board.dut, host, monitors=[board.memories, board.sequencer], cycles=1_000_000)
    assert board.memory == model.memory
    assert board.starts == model.starts
    assert len(seen) == len(Status)


def converse(*requests, config=CONFIG):
    """Send requests to a fresh board; return it and the replies."""
    board = Board(config, random.Random(0), 0.0)
    replies = []

    async def host(ctx):
        for content in requests:
            replies.append(await board.request(ctx, content))

    simulate(board.dut, host, monitors=[board.memories, board.sequencer])
    return board, replies


def statuses(replies):
    return [Status(reply.status) for reply in replies]


IDENTIFY = request_bytes(Op.IDENTIFY, session=5)


def test_a_session_is_only_handed_over_by_who_knows_it():
    def take(session, before):
        return request_bytes(Op.IDENTIFY, session=session, bank=1, address=before)

    # Nobody's; from 5 to 6; again; from a session that is over; from the present one.
    _, replies = converse(take(5, 0), IDENTIFY, take(6, 5), take(6, 5), take(7, 5), take(7, 6))
    wrong, ok = Status.WRONG_SESSION, Status.OK
    assert statuses(replies) == [wrong, ok, ok, ok, wrong, ok]


def test_a_repeated_run_is_run_once():
    run = request_bytes(Op.RUN, session=5, data=run_bytes(9))
    board, replies = converse(IDENTIFY, run, run, IDENTIFY, run)
    assert statuses(replies) == [Status.OK] * 5
    assert board.starts == [run_bytes(9)]


def test_the_first_run_of_a_session_is_run_whatever_its_tag():
    first = request_bytes(Op.RUN, session=5, data=run_bytes(9))
    reset = request_bytes(Op.RESET, session=5)
    other = request_bytes(Op.IDENTIFY, session=6)
    second = request_bytes(Op.RUN, session=6, data=run_bytes(9))
    board, replies = converse(IDENTIFY, first, reset, IDENTIFY, other, second)
    assert statuses(replies) == [Status.OK] * 6
    assert board.starts == [run_bytes(9)] * 2


def test_a_new_session_does_not_abort_a_run():
    first = request_bytes(Op.RUN, session=5, data=run_bytes(9))
    other = request_bytes(Op.IDENTIFY, session=6)
    second = request_bytes(Op.RUN, session=6, data=run_bytes(9))
    _, replies = converse(IDENTIFY, first, other, second)
    assert statuses(replies) == [Status.OK, Status.OK, Status.OK, Status.BUSY]
    assert replies[2].running


def test_a_run_is_running_or_done_in_every_cycle():
    board = Board(CONFIG, random.Random(0), 0.0)
    status = request_bytes(Op.STATUS, session=5)
    period = len(status) + (Reply.size + StatusReport.size) // 8 + 10

    async def ends(ctx):
        for later in range(period):
            await ctx.tick().until(board.dut.control.running)
            await ctx.tick().repeat(period + later)
            ctx.set(board.dut.control.running, 0)

    async def host(ctx):
        await board.request(ctx, IDENTIFY)
        for tag in range(period):
            await board.request(ctx, request_bytes(Op.RUN, session=5, data=run_bytes(tag)))
            done = False
            while not done:
                reply = await board.request(ctx, status)
                report = StatusReport.from_bits(int.from_bytes(reply.data, "little"))
                done = report.done
                assert report.tag == tag and report.running != done

    simulate(board.dut, host, monitors=[board.memories, board.sequencer, ends], cycles=1_000_000)


def test_an_overlong_write_is_refused():
    write = request_bytes(
        Op.WRITE, session=5, region=Region.WEIGHTS, address=2, length=3, data=b"\1\2\3\4\5"
    )
    read = request_bytes(Op.READ, session=5, region=Region.WEIGHTS, address=2, length=3)
    _, replies = converse(IDENTIFY, write, read)
    assert statuses(replies) == [Status.OK, Status.LENGTH, Status.OK]
    assert replies[2].data == b"\1\2\3"


def test_a_full_frame():
    data = bytes(k % 32 for k in range(256))
    write = request_bytes(Op.WRITE, session=5, region=Region.WEIGHTS, address=768, data=data)
    read = request_bytes(Op.READ, session=5, region=Region.WEIGHTS, address=768, length=256)
    check = request_bytes(Op.CHECKSUM, session=5, region=Region.WEIGHTS, address=768, length=256)
    _, replies = converse(IDENTIFY, write, read, check)
    assert statuses(replies) == [Status.OK] * 4
    assert replies[2].data == data
    assert replies[3].data == zlib.crc32(data).to_bytes(4, "little")


def test_more_data_than_a_frame_takes_is_refused():
    shared = {"session": 5, "region": Region.WEIGHTS, "address": 1}
    read = request_bytes(Op.READ, length=257, **shared)
    write = request_bytes(Op.WRITE, data=b"\1" * 257, **shared)
    board, replies = converse(IDENTIFY, read, write)
    assert statuses(replies) == [Status.OK, Status.LENGTH, Status.LENGTH]
    assert not replies[1].data and not board.memory
