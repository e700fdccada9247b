import random

import pytest

from xnorgrid.frames import encode_frame
from xnorgrid.hw.protocol import Slip
from xnorgrid.hw.slip import SlipDecoder, SlipEncoder
from xnorgrid.sim.streams import new_seed, receive, send, simulate

SPECIAL = [Slip.END, Slip.ESC, Slip.END_ESCAPED, Slip.ESC_ESCAPED]


def model_decode(received):
    """Decoded items as (data, None) or (None, error) per end."""
    items = []
    escaped = damaged = False
    for byte in received:
        if byte == Slip.END:
            items.append((None, damaged or escaped))
            escaped = damaged = False
        elif byte == Slip.ESC:
            damaged |= escaped
            escaped = True
        elif escaped:
            escaped = False
            undone = {Slip.END_ESCAPED: Slip.END, Slip.ESC_ESCAPED: Slip.ESC}.get(byte)
            damaged |= undone is None
            items.append((byte if undone is None else undone, None))
        else:
            items.append((byte, None))
    return [(None if data is None else int(data), error) for data, error in items]


def model_encode(packet):
    escapes = {
        Slip.END: [Slip.ESC, Slip.END_ESCAPED],
        Slip.ESC: [Slip.ESC, Slip.ESC_ESCAPED],
    }
    body = [out for byte in packet for out in escapes.get(byte, [byte])]
    return [int(byte) for byte in [Slip.END, *body, Slip.END]]


def decode(received, rng, stalls):
    dut = SlipDecoder()
    expected = model_decode(received)
    got = []

    async def source(ctx):
        await send(ctx, dut.i, received, rng, stalls)

    async def sink(ctx):
        for item in await receive(ctx, dut.o, len(expected), rng, stalls):
            got.append((None, bool(item.error)) if item.end else (item.data, None))

    simulate(dut, source, sink)
    return got, expected


@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_decoder_on_any_bytes(stalls):
    rng = random.Random(new_seed())
    received = [
        int(rng.choice(SPECIAL)) if rng.random() < 0.5 else rng.randrange(256) for _ in range(2000)
    ]
    got, expected = decode(received, rng, stalls)
    assert got == expected


def test_end_after_escape_is_an_error_and_a_known_state():
    end, esc = int(Slip.END), int(Slip.ESC)
    got, _ = decode([1, esc, end, 2, end], random.Random(0), 0.0)
    assert got == [(1, None), (None, True), (2, None), (None, False)]


@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_encoder(stalls):
    rng = random.Random(new_seed())
    packets = [
        [rng.choice([*map(int, SPECIAL), 0, 7, 255]) for _ in range(rng.randrange(1, 20))]
        for _ in range(50)
    ]
    dut = SlipEncoder()
    offered = []
    for packet in packets:
        offered += [{"data": byte, "end": 0} for byte in packet]
        offered.append({"data": int(Slip.ESC), "end": 1})
    expected = [byte for packet in packets for byte in model_encode(packet)]
    got = []

    async def source(ctx):
        await send(ctx, dut.i, offered, rng, stalls)

    async def sink(ctx):
        got.extend(await receive(ctx, dut.o, len(expected), rng, stalls))

    simulate(dut, source, sink)
    assert got == expected


def test_host_encodes_alike():
    content = bytes(range(256))
    frame = encode_frame(content)
    body = [data for data, error in model_decode(frame) if error is None]
    assert bytes(body[:256]) == content
    assert list(frame) == model_encode(body)
