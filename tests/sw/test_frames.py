import random
import zlib

import pytest

from xnorgrid.frames import FrameDecoder, encode_frame, encode_request, parse_reply
from xnorgrid.hw.protocol import Op, Region, Reply, Request, Status
from xnorgrid.sim.streams import new_seed


def test_request_on_the_line():
    frame = encode_request(
        Op.WRITE,
        0xC0,
        0xDB01,
        region=Region.PRESETS,
        bank=3,
        address=0x102,
        length=1,
        data=b"\xc0\xdb",
    )
    header = bytes([2, 0xC0, 0x01, 0xDB, 2, 0, 3, 0, 2, 1, 1, 0])
    assert len(header) == Request.size // 8
    [content] = FrameDecoder().feed(frame)
    assert content == header + b"\xc0\xdb"
    body = content + zlib.crc32(content).to_bytes(4, "little")
    escaped = body.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    assert frame == b"\xc0" + escaped + b"\xc0"


def test_length_without_data():
    [content] = FrameDecoder().feed(encode_request(Op.READ, 0, 0, length=200))
    assert content[-2:] == b"\xc8\x00"


def test_reply():
    fields = {
        "op": Op.READ, "seq": 7, "session": 9, "status": Status.BUSY, "running": 1,
    }  # fmt: skip
    raw = Reply.const(fields).as_bits().to_bytes(Reply.size // 8, "little")
    reply = parse_reply(raw + b"ab")
    assert (reply.op, reply.seq, reply.session, reply.status) == (3, 7, 9, 1)
    assert reply.running is True
    assert reply.data == b"ab"


@pytest.mark.parametrize("content", [b"", b"\1\2\3", bytes(5)])
def test_malformed_reply(content):
    assert parse_reply(content) is None


def test_unknown_status_is_kept():
    assert parse_reply(bytes([99, 0, 0, 0, 77, 0])).status == 77


def test_decoder_finds_frames_in_pieces_after_garbage():
    rng = random.Random(new_seed())
    contents = [rng.randbytes(rng.randrange(1, 268)) for _ in range(50)]
    line = rng.randbytes(500) + b"".join(map(encode_frame, contents))
    decoder = FrameDecoder()
    found = []
    while line:
        size = rng.randrange(1, 100)
        found += decoder.feed(line[:size])
        line = line[size:]
    assert found == contents


def test_decoder_bounds_its_memory():
    decoder = FrameDecoder()
    assert decoder.feed(b"\1" * 100_000) == []
    assert len(decoder._body) < 300
    assert decoder.feed(encode_frame(b"next")) == [b"next"]
    assert decoder.bad_frames == 1
