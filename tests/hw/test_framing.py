# amaranth: UnusedElaboratable=no
import random

import pytest

from xnorgrid.frames import FrameDecoder, encode_frame
from xnorgrid.hw.framing import Deframer, Framer
from xnorgrid.hw.protocol import Slip
from xnorgrid.sim.streams import new_seed, put, receive, send, simulate, take

END = bytes([Slip.END])


def deframe(received, rng, *, stalls=0.0, crc_bits=8):
    """Return the contents that came out and the number of dropped frames."""
    dut = Deframer(crc_bits=crc_bits)
    contents = []
    bad = []

    async def source(ctx):
        await send(ctx, dut.i, received, rng, stalls)
        # Until the last frame has left.
        idle = 0
        while idle < 10:
            *_, valid = await ctx.tick().sample(dut.o.valid)
            idle = 0 if valid else idle + 1

    async def sink(ctx):
        content = bytearray()
        while True:
            while rng.random() < stalls:
                await ctx.tick()
            packet = await take(ctx, dut.o)
            if packet.end:
                contents.append(bytes(content))
                content.clear()
            else:
                content.append(packet.data)

    async def count(ctx):
        while True:
            *_, pulse = await ctx.tick().sample(dut.bad_frame)
            if pulse:
                bad.append(pulse)

    simulate(dut, source, monitors=[sink, count], cycles=200_000)
    return contents, len(bad)


def random_content(rng, length=None):
    length = rng.choice([12, 13, 100, 267, 268]) if length is None else length
    return bytes(rng.choice([0xC0, 0xDB, 0xDC, 0xDD, rng.randrange(256)]) for _ in range(length))


@pytest.mark.parametrize("crc_bits", [2, 8])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_good_frames_pass(stalls, crc_bits):
    rng = random.Random(new_seed())
    contents = [random_content(rng) for _ in range(12)]
    line = b"".join(map(encode_frame, contents))
    assert deframe(line, rng, stalls=stalls, crc_bits=crc_bits) == (contents, 0)


@pytest.mark.parametrize(
    ("length", "good"), [(1, 0), (11, 0), (12, 1), (268, 1), (269, 0), (700, 0)]
)
def test_length_limits(length, good):
    rng = random.Random(new_seed())
    content = random_content(rng, length)
    follower = random_content(rng, 12)
    got = deframe(encode_frame(content) + encode_frame(follower), rng)
    assert got == ([content] * good + [follower], 1 - good)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5])
def test_bodies_shorter_than_a_crc(length):
    follower = bytes(range(12))
    got = deframe(END + b"\x00" * length + END + encode_frame(follower), random.Random(0))
    assert got == ([follower], int(length > 0))


def damage(frame, rng):
    """One fault of a serial line."""
    at = rng.randrange(len(frame))
    kind = rng.choice(["flip", "drop", "double", "insert", "cut"])
    if kind == "flip":
        return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
    if kind == "drop":
        return frame[:at] + frame[at + 1 :]
    if kind == "double":
        return frame[: at + 1] + frame[at:]
    if kind == "insert":
        return frame[:at] + bytes([rng.randrange(256)]) + frame[at:]
    return frame[:at]


def test_damaged_frames_never_pass_and_the_next_always_does():
    rng = random.Random(new_seed())
    line = b""
    sent = []
    followers = []
    for _ in range(60):
        content = random_content(rng, rng.choice([12, 20, 40]))
        followers.append(random_content(rng, 12))
        sent += [content, followers[-1]]
        line += damage(encode_frame(content), rng) + encode_frame(followers[-1])
    contents, bad = deframe(line, rng, stalls=0.1)
    assert all(content in sent for content in contents)
    # The leading END of the next frame closes whatever the damage left open.
    assert [content for content in contents if content in followers] == followers
    # The host's decoder, written apart from the gateware, judges alike, but accepts other lengths.
    decoder = FrameDecoder()
    assert contents == [content for content in decoder.feed(line) if 12 <= len(content) <= 268]
    assert bad == decoder.bad_frames


def test_garbage_then_a_frame():
    rng = random.Random(new_seed())
    content = random_content(rng, 30)
    garbage = rng.randbytes(3000)
    contents, _ = deframe(garbage + encode_frame(content), rng)
    assert contents == [content]


def test_frame_cut_short_by_the_next():
    content = bytes(range(20))
    dut = Deframer()
    got = []

    async def bench(ctx):
        frame = encode_frame(content)
        for byte in frame[:12]:
            await put(ctx, dut.i, byte)
        for byte in frame:
            await put(ctx, dut.i, byte)
        while True:
            packet = await take(ctx, dut.o)
            if packet.end:
                break
            got.append(packet.data)

    simulate(dut, bench)
    assert bytes(got) == content


@pytest.mark.parametrize(("crc_bits", "cycles"), [(8, 5), (2, 4)])
def test_latency(crc_bits, cycles):
    dut = Deframer(crc_bits=crc_bits)

    async def bench(ctx):
        for byte in encode_frame(bytes(12)):
            await put(ctx, dut.i, byte)
        for _ in range(cycles):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)


@pytest.mark.parametrize(("crc_bits", "cycles"), [(8, 272 + 7), (2, 4 * 272 + 7)])
def test_cycles_of_a_frame(crc_bits, cycles):
    dut = Deframer(crc_bits=crc_bits)
    now = 0
    spent = []

    async def bench(ctx):
        for _ in range(3):
            started = now
            for byte in encode_frame(b"\1" * 268):
                await put(ctx, dut.i, byte)
            spent.append(now - started)

    async def clock(ctx):
        nonlocal now
        while True:
            await ctx.tick()
            now += 1

    async def sink(ctx):
        while True:
            await take(ctx, dut.o)

    simulate(dut, bench, monitors=[clock, sink])
    assert spent[1:] == [cycles] * 2


@pytest.mark.parametrize("crc_bits", [2, 8])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_framer(stalls, crc_bits):
    rng = random.Random(new_seed())
    contents = [random_content(rng, rng.randrange(1, 60)) for _ in range(20)]
    dut = Framer(crc_bits=crc_bits)
    offered = []
    for content in contents:
        offered += [{"data": byte, "end": 0} for byte in content]
        offered.append({"data": rng.randrange(256), "end": 1})
    expected = b"".join(map(encode_frame, contents))
    got = bytearray()

    async def source(ctx):
        await send(ctx, dut.i, offered, rng, stalls)

    async def sink(ctx):
        got.extend(await receive(ctx, dut.o, len(expected), rng, stalls))

    simulate(dut, source, sink)
    assert bytes(got) == expected
    assert FrameDecoder().feed(bytes(got)) == contents


def test_limits_are_checked():
    with pytest.raises(ValueError, match="needs 1 <= min <= max"):
        Deframer(5, 4)
