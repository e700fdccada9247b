import dataclasses
import random
import zlib

import pytest

from xnorgrid.frames import parse_reply
from xnorgrid.hw.commander import Commander
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
from xnorgrid.hw.regions import region_shapes
from xnorgrid.sim.streams import new_seed, put, simulate, take

CONFIG = preset("tiny")
BUILD = 0x0123456789ABCDEF


RUN_BYTES = Run.size // 8


def request_bytes(op, seq=0, session=0, region=0, bank=0, address=0, length=0, data=b""):
    """A request's header and data, however wrong its fields are."""
    fields = [(op, 1), (seq, 1), (session, 2), (region, 1), (0, 1), (bank, 2), (address, 2)]
    fields += [(length, 1), (0, 1)]
    raw = b"".join(int(getattr(v, "value", v)).to_bytes(n, "little") for v, n in fields)
    assert len(raw) == Request.size // 8
    return raw + data


def run_bytes(passes=0):
    return Run.const({"passes": passes, "input_stride": 3}).as_bits().to_bytes(RUN_BYTES, "little")


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
        if op in (Op.WRITE, Op.READ, Op.CHECKSUM):
            if region > 3 or bank >= self.shapes[Region(region)].banks:
                return Status.RANGE, b""
            if address + length + 1 > self.shapes[Region(region)].depth:
                return Status.RANGE, b""
        idle_regions = [Region.PROGRAM.value]
        if self.config.weight_ports == 1:
            idle_regions.append(Region.WEIGHTS.value)
        waits = op in (Op.READ, Op.CHECKSUM) or (op is Op.WRITE and region in idle_regions)
        waits |= op is Op.RUN and address != self.tag
        if waits and self.running:
            return Status.BUSY, b""
        if op in (Op.WRITE, Op.READ, Op.CHECKSUM):
            return self.access(op, Region(region), bank, address, length + 1, data)
        if op is Op.RUN:
            return self.run(address, data)
        if data:
            return Status.LENGTH, b""
        return getattr(self, op.name.lower())(session)

    def access(self, op, region, bank, address, words, data):
        shape = self.shapes[region]
        size = shape.word_bytes
        if op is Op.WRITE:
            for k in range(min(words, len(data) // size)):
                word = int.from_bytes(data[k * size : (k + 1) * size], "little")
                self.memory[region.value, bank, address + k] = word & ((1 << shape.width) - 1)
            return (Status.OK if len(data) == words * size else Status.LENGTH), b""
        if data:
            return Status.LENGTH, b""
        data = b"".join(
            self.memory.get((region.value, bank, address + k), 0).to_bytes(size, "little")
            for k in range(words)
        )
        if op is Op.CHECKSUM:
            data = zlib.crc32(data).to_bytes(4, "little")
        return Status.OK, data

    def identify(self, session):
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

    def run(self, tag, data):
        if len(data) != RUN_BYTES:
            return Status.LENGTH, b""
        if tag != self.tag:
            self.tag = self.shown_tag = tag
            self.running = True
            self.done = False
            self.starts.append(data)
        return Status.OK, b""

    def status(self, session):
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

    def reset(self, session):
        self.session = self.tag = None
        self.shown_tag = 0
        self.running = self.done = False
        self.counters = (0, 0, 0)
        self.bad_frames = self.lost_bytes = 0
        return Status.OK, b""


class Board:
    """A commander with memories and a sequencer made of Python, with random delays."""

    def __init__(self, config, rng, stalls, crc_bits=8):
        self.dut = Commander(config, BUILD, crc_bits=crc_bits)
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
            if running:
                assert run.as_bits().to_bytes(RUN_BYTES, "little") == self.starts[-1]
            if start:
                self.starts.append(run.as_bits().to_bytes(RUN_BYTES, "little"))
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
        for packet in [*({"data": byte, "end": 0} for byte in content), {"end": 1}]:
            while self.stalled():
                await ctx.tick()
            await put(ctx, self.dut.i, packet)
        reply = bytearray()
        while True:
            while self.stalled():
                await ctx.tick()
            packet = await take(ctx, self.dut.o)
            if packet.end:
                break
            reply.append(packet.data)
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
    words = rng.randrange(1, 9)
    data = b""
    length = words - 1
    if op == 2:
        data = rng.randbytes(words * shape.word_bytes + (rng.random() < 0.05))
    elif op == 5:
        address = rng.randrange(3)
        data = run_bytes(rng.randrange(65536))
        if rng.random() < 0.1:
            data = data[: rng.randrange(len(data))] + rng.randbytes(rng.randrange(3))
    if rng.random() < 0.03:
        data = rng.randbytes(rng.randrange(257))
    if rng.random() < 0.03:
        length = rng.choice([0, 1, 255])
    return {
        "op": op,
        "session": session,
        "region": region,
        "bank": bank,
        "address": address,
        "length": length,
        "data": data,
    }


@pytest.mark.parametrize(("stalls", "crc_bits"), [(0.0, 8), (0.3, 2)])
@pytest.mark.parametrize("name", ["tiny", "small", "single-port"])
def test_against_the_model(name, stalls, crc_bits):
    single_port = name == "single-port"
    config = dataclasses.replace(CONFIG, weight_ports=1) if single_port else preset(name)
    rng = random.Random(new_seed())
    model = Model(config)
    board = Board(config, rng, stalls, crc_bits)
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
                model.counters = tuple(rng.getrandbits(48) for _ in range(3))
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
    run = request_bytes(Op.RUN, session=5, address=9, data=run_bytes())
    board, replies = converse(IDENTIFY, run, run, IDENTIFY, run)
    assert statuses(replies) == [Status.OK] * 5
    assert board.starts == [run_bytes()]


def test_the_first_run_of_a_session_is_run_whatever_its_tag():
    first = request_bytes(Op.RUN, session=5, address=9, data=run_bytes())
    reset = request_bytes(Op.RESET, session=5)
    other = request_bytes(Op.IDENTIFY, session=6)
    second = request_bytes(Op.RUN, session=6, address=9, data=run_bytes())
    board, replies = converse(IDENTIFY, first, reset, IDENTIFY, other, second)
    assert statuses(replies) == [Status.OK] * 6
    assert board.starts == [run_bytes()] * 2


def test_a_new_session_does_not_abort_a_run():
    first = request_bytes(Op.RUN, session=5, address=9, data=run_bytes())
    other = request_bytes(Op.IDENTIFY, session=6)
    second = request_bytes(Op.RUN, session=6, address=9, data=run_bytes())
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
            await board.request(
                ctx, request_bytes(Op.RUN, session=5, address=tag, data=run_bytes())
            )
            done = False
            while not done:
                reply = await board.request(ctx, status)
                report = StatusReport.from_bits(int.from_bytes(reply.data, "little"))
                done = report.done
                assert report.tag == tag and report.running != done

    simulate(board.dut, host, monitors=[board.memories, board.sequencer, ends], cycles=1_000_000)


def test_a_write_with_other_data_than_it_says():
    shared = {"session": 5, "region": Region.WEIGHTS, "address": 2, "length": 2}
    long = request_bytes(Op.WRITE, data=b"\1\2\3\4\5", **shared)
    short = request_bytes(Op.WRITE, data=b"\6\7", **shared)
    read = request_bytes(Op.READ, **shared)
    board, replies = converse(IDENTIFY, long, read, short, read)
    ok, wrong = Status.OK, Status.LENGTH
    assert statuses(replies) == [ok, wrong, ok, wrong, ok]
    assert [replies[2].data, replies[4].data] == [b"\1\2\3", b"\6\7\3"]
    assert len(board.memory) == 3


def test_a_full_frame():
    data = bytes(k % 32 for k in range(256))
    shared = {"session": 5, "region": Region.WEIGHTS, "address": 768, "length": 255}
    write = request_bytes(Op.WRITE, data=data, **shared)
    read = request_bytes(Op.READ, **shared)
    check = request_bytes(Op.CHECKSUM, **shared)
    _, replies = converse(IDENTIFY, write, read, check)
    assert statuses(replies) == [Status.OK] * 4
    assert replies[2].data == data
    assert replies[3].data == zlib.crc32(data).to_bytes(4, "little")


def test_weights_of_one_port_are_only_written_while_the_array_rests():
    config = dataclasses.replace(CONFIG, weight_ports=1)
    run = request_bytes(Op.RUN, session=5, address=1, data=run_bytes())
    write = {"session": 5, "address": 2, "data": b"\1"}
    regions = [Region.WEIGHTS, Region.PRESETS, Region.ACTIVATIONS, Region.PROGRAM]
    sizes = [1, 2, 1, 4]
    writes = [
        request_bytes(Op.WRITE, region=region, **{**write, "data": bytes(size)})
        for region, size in zip(regions, sizes, strict=True)
    ]
    _, replies = converse(IDENTIFY, writes[0], run, *writes, config=config)
    ok, busy = Status.OK, Status.BUSY
    assert statuses(replies) == [ok, ok, ok, busy, ok, ok, busy]
    _, replies = converse(IDENTIFY, writes[0], run, *writes)
    assert statuses(replies) == [ok, ok, ok, ok, ok, ok, busy]


def test_the_counter_of_bad_frames_stops():
    board = Board(CONFIG, random.Random(0), 0.0)
    status = request_bytes(Op.STATUS, session=5)
    shown = []

    async def host(ctx):
        await board.request(ctx, IDENTIFY)
        ctx.set(board.dut.bad_frame, 1)
        await ctx.tick().repeat(32767)
        for more in (1, 5):
            await ctx.tick().repeat(more)
            ctx.set(board.dut.bad_frame, 0)
            reply = await board.request(ctx, status)
            report = StatusReport.from_bits(int.from_bytes(reply.data, "little"))
            shown.append(report.bad_frames)
            ctx.set(board.dut.bad_frame, 1)

    simulate(board.dut, host, monitors=[board.memories, board.sequencer])
    assert shown == [32768, 32768]
