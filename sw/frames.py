"""Frames of the link as bytes: SLIP, CRC-32, request and reply headers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from xnorgrid.hw.protocol import MAX_DATA_BYTES, Op, Region, Reply, Request, Slip

__all__ = ["FrameDecoder", "ReplyFrame", "encode_frame", "encode_request", "parse_reply"]

_END = bytes([Slip.END])
_ESC = bytes([Slip.ESC])
_ESCAPED_END = bytes([Slip.ESC, Slip.END_ESCAPED])
_ESCAPED_ESC = bytes([Slip.ESC, Slip.ESC_ESCAPED])
_CRC_BYTES = 4
_REQUEST_BYTES = Request.size // 8
_REPLY_BYTES = Reply.size // 8
_MAX_BODY = max(_REQUEST_BYTES, _REPLY_BYTES) + MAX_DATA_BYTES + _CRC_BYTES


@dataclass(frozen=True)
class ReplyFrame:
    """A reply that arrived whole. ``op`` and ``status`` are as received: perhaps not known here."""

    op: int
    seq: int
    session: int
    status: int
    running: bool
    data: bytes


def encode_frame(content: bytes) -> bytes:
    """Return header and data as they go over the line: CRC appended, escaped, between two ENDs."""
    body = content + zlib.crc32(content).to_bytes(_CRC_BYTES, "little")
    return _END + body.replace(_ESC, _ESCAPED_ESC).replace(_END, _ESCAPED_END) + _END


def encode_request(
    op: Op,
    seq: int,
    session: int,
    *,
    region: Region = Region.PROGRAM,
    bank: int = 0,
    address: int = 0,
    length: int = 0,
    data: bytes = b"",
) -> bytes:
    """Return a request as it goes over the line."""
    header = Request.const(
        {
            "op": op,
            "seq": seq,
            "session": session,
            "region": region,
            "bank": bank,
            "address": address,
            "length": length,
        }
    )
    return encode_frame(header.as_bits().to_bytes(_REQUEST_BYTES, "little") + data)


def parse_reply(content: bytes) -> ReplyFrame | None:
    """Return the reply that ``content`` (header and data) holds, or None if it is too short for one."""
    if len(content) < _REPLY_BYTES:
        return None
    header = Reply.from_bits(int.from_bytes(content[:_REPLY_BYTES], "little"))
    bits = header.as_bits()

    def raw(name: str) -> int:
        field = Reply[name]
        return bits >> field.offset & ((1 << field.width) - 1)

    return ReplyFrame(
        op=raw("op"),
        seq=raw("seq"),
        session=raw("session"),
        status=raw("status"),
        running=bool(raw("running")),
        data=content[_REPLY_BYTES:],
    )


class FrameDecoder:
    """Find frames in received bytes; whatever came before, an END brings it to a known state."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._escaped = False
        self._bad = False
        #: Frames dropped for a wrong CRC, length or escape.
        self.bad_frames = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Take bytes in; return header and data of each frame that ended and is whole."""
        contents = []
        for byte in received:
            if byte == Slip.END:
                content = self._finish()
                if content is not None:
                    contents.append(content)
            elif self._escaped:
                self._escaped = False
                if byte == Slip.END_ESCAPED:
                    self._body.append(Slip.END)
                elif byte == Slip.ESC_ESCAPED:
                    self._body.append(Slip.ESC)
                else:
                    self._bad = True
                    self._escaped = byte == Slip.ESC
            elif byte == Slip.ESC:
                self._escaped = True
            elif len(self._body) < _MAX_BODY:
                self._body.append(byte)
            else:
                self._bad = True
        return contents

    def _finish(self) -> bytes | None:
        body = bytes(self._body)
        bad = self._bad or self._escaped
        self._body.clear()
        self._escaped = self._bad = False
        if not body and not bad:
            return None
        content, crc = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
        if bad or len(body) < _CRC_BYTES or zlib.crc32(content) != int.from_bytes(crc, "little"):
            self.bad_frames += 1
            return None
        return content
