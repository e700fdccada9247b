"""What a board tells of itself, byte by byte."""

from __future__ import annotations

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import LINKS, ArrayConfig
from .library import technology_of
from .protocol import IDENTITY_MAGIC, PROTOCOL_VERSION, Identity, StatusReport

__all__ = ["EventCounter", "IdentityBytes", "StatusBytes", "identity"]


def identity(config: ArrayConfig, build: int) -> data.Const:
    """Return what a board of ``config`` answers to IDENTIFY; ``build`` fills the 64-bit field."""
    fields = {name: getattr(config, name) for name, _ in Identity if hasattr(config, name)}
    fields["link"] = LINKS.index(config.link)
    return Identity.const(
        {"magic": IDENTITY_MAGIC, "version": PROTOCOL_VERSION, "build": build, **fields}
    )


class IdentityBytes(wiring.Component):
    """The bytes of the identity, each a cycle after its ``index``."""

    def __init__(self, config: ArrayConfig, build: int) -> None:
        self.bytes = list(identity(config, build).as_bits().to_bytes(Identity.size // 8, "little"))
        super().__init__({"index": In(range(len(self.bytes))), "byte": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # On iCE40 block RAM is plenty and as fast as logic, elsewhere it is slow without its output register.
        style = "block" if technology_of(platform) == "ice40" else "logic"
        m.submodules.rom = rom = Memory(
            shape=8, depth=len(self.bytes), init=self.bytes, attrs={"rom_style": style}
        )
        read = rom.read_port()
        m.d.comb += [read.addr.eq(self.index), read.en.eq(1), self.byte.eq(read.data)]
        return m


class StatusBytes(wiring.Component):
    """The bytes of ``report``, each a cycle after its ``index``."""

    def __init__(self) -> None:
        super().__init__(
            {"report": In(StatusReport), "index": In(range(StatusReport.size // 8)), "byte": Out(8)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = Signal(8, reset_less=True)
        report = Value.cast(self.report)
        layer = [report[k : k + 8] for k in range(0, len(report), 8)]
        # A tree: selecting a part of a value costs half as much again.
        for bit in self.index:
            pairs = zip(layer[::2], [*layer[1::2], layer[-1]], strict=False)
            layer = [Mux(bit, odd, even) for even, odd in pairs]
        m.d.sync += byte.eq(layer[0])
        m.d.comb += self.byte.eq(byte)
        return m


class EventCounter(wiring.Component):
    """Count cycles with ``event``; stays at :attr:`MOST` where there were that many or more."""

    BITS = 16
    MOST = 1 << (BITS - 1)

    def __init__(self) -> None:
        super().__init__({"event": In(1), "clear": In(1), "count": Out(self.BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The highest bit stops it: cheaper than a comparison.
        with m.If(self.event & ~self.count[-1]):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        return m
