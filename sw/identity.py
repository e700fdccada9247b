"""Who a board is, as it answers to IDENTIFY."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from xnorgrid.hw.config import LINKS, ArrayConfig, ConfigError
from xnorgrid.hw.protocol import IDENTITY_MAGIC, PROTOCOL_VERSION, Identity

from .errors import NotXnorgrid, ProtocolMismatch

__all__ = ["BoardIdentity", "parse_identity"]


@dataclass(frozen=True)
class BoardIdentity:
    """The array on a board, and the build of its gateware (64 bits of a hash)."""

    config: ArrayConfig
    build: int

    def __str__(self) -> str:
        config = self.config
        return (
            f"{config.rows} x {config.cols} x {config.lanes} lanes at {config.clock_hz / 1e6:g} MHz, "
            f"build {self.build:016x}"
        )


def parse_identity(reply: bytes, where: str) -> BoardIdentity:
    """Return the identity in an IDENTIFY reply's data; ``where`` names the board in errors.

    Raises :class:`NotXnorgrid` for another magic number, :class:`ProtocolMismatch` for another version.
    """
    bits = int.from_bytes(reply, "little")
    head = Identity["version"].offset + Identity["version"].width
    if len(reply) * 8 < head or bits & 0xFFFFFFFF != IDENTITY_MAGIC:
        raise NotXnorgrid(
            f"{where} answers, but not as an xnorgrid board: choose another port, or load an xnorgrid "
            f"bitstream into the board"
        )
    version = bits >> Identity["version"].offset & 0xFFFF
    if version != PROTOCOL_VERSION or len(reply) * 8 != Identity.size:
        raise ProtocolMismatch(
            f"{where} speaks version {version} of the link ({len(reply)} bytes of identity), this package "
            f"version {PROTOCOL_VERSION} ({Identity.size // 8} bytes): load a bitstream built from this "
            f"version, or install the package that belongs to it"
        )
    identity = Identity.from_bits(bits)
    values = {field.name: int(identity[field.name]) for field in dataclasses.fields(ArrayConfig)}
    link = dict(enumerate(LINKS)).get(values.pop("link"), "unknown")
    try:
        config = ArrayConfig(**values, link=link)
    except ConfigError as error:
        raise ProtocolMismatch(
            f"{where} describes an array that cannot be ({error}): load a bitstream built from this version"
        ) from None
    return BoardIdentity(config, int(identity.build))
