"""Array configurations: declared, derived and validated in one place.

Host and gateware both read this module; it imports nothing but the standard library.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

__all__ = ["BAUD_TOLERANCE", "LINKS", "PRESETS", "ArrayConfig", "ConfigError", "preset"]

#: Kinds of lines to the host. Identity.link is the index.
LINKS = ("uart", "fifo")
#: How far the UART's bit rate may be from the nominal one.
BAUD_TOLERANCE = 0.02


class ConfigError(ValueError):
    """A configuration that cannot be built, or a preset that does not exist."""


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Shape of the array, its memories and its link.

    A column works on one image and a row on one output channel; every processing element compares
    ``lanes`` weight bits with ``lanes`` activation bits per cycle. Raises :class:`ConfigError` for
    values that cannot be built.
    """

    #: Output channels in flight. One weight memory and one preset memory a row.
    rows: int
    #: Images in flight. One activation memory a column.
    cols: int
    #: Weight bits compared with activation bits per processing element per cycle.
    lanes: int
    #: Words of ``lanes`` bits in each row's weight memory. Word 0 is reserved: it holds zeros.
    weight_depth: int
    #: Words of ``lanes`` bits in each column's activation memory. Word 0 is reserved: it holds zeros.
    activation_depth: int
    #: Words of ``accumulator_bits`` bits in each row's preset memory; see :attr:`Region.PRESETS`.
    preset_depth: int
    #: Layer instructions in the program memory.
    program_depth: int = 64
    #: Signed accumulator width. A layer of fan-in n with P bit-planes needs bits for n * (2**P - 1)
    #: and a sign.
    accumulator_bits: int = 16
    #: Processing elements that share one set of operand registers: rows and columns of one tile.
    #: Requires: divides ``rows`` and ``cols``.
    tile_rows: int = 1
    tile_cols: int = 1
    #: Ports of the weight memories: with 1, as iCE40's SPRAM has, they are not written while the array runs.
    weight_ports: int = 2
    #: Clock of the whole accelerator in Hz.
    clock_hz: int = 48_000_000
    #: The line to the host, one of :data:`LINKS`: a UART's two pins, or two streams of bytes with valid
    #: and ready, up to a byte per cycle each way, as a parallel USB FIFO (FT245, FT2232H, FT600) gives them.
    link: str = "uart"
    #: Bits per second of the line, ten for each byte; the host's deadlines rest on it. A UART's bit rate:
    #: at least 4 clock cycles a bit, and close to a whole number. For a FIFO, what its bridge carries at
    #: least; the gateware takes whatever comes.
    baud: int = 12_000_000

    def __post_init__(self) -> None:
        if self.link not in LINKS:
            raise ConfigError(f"link must be one of {', '.join(LINKS)}, not {self.link!r}")
        for field in dataclasses.fields(self):
            if field.name == "link":
                continue
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError(f"{field.name} must be an integer, not {value!r}")
            if value < 1:
                raise ConfigError(f"{field.name} must be at least 1, not {value}")
        limits = {
            "rows": 1024, "cols": 1024, "lanes": 1024,
            "weight_depth": 1 << 16, "activation_depth": 1 << 16, "preset_depth": 1 << 16,
            "program_depth": 256, "accumulator_bits": 32, "weight_ports": 2,
        }  # fmt: skip
        for name, limit in limits.items():
            if getattr(self, name) > limit:
                raise ConfigError(f"{name} must be at most {limit}, not {getattr(self, name)}")
        for name in ("weight_depth", "activation_depth"):
            if getattr(self, name) < 2:
                raise ConfigError(f"{name} must be at least 2, because word 0 is reserved")
        if self.accumulator_bits < 3:
            raise ConfigError(f"accumulator_bits must be at least 3, not {self.accumulator_bits}")
        for whole, part in (("rows", "tile_rows"), ("cols", "tile_cols")):
            if getattr(self, whole) % getattr(self, part):
                raise ConfigError(
                    f"{part} must divide {whole}, but {getattr(self, whole)} is no multiple of "
                    f"{getattr(self, part)}"
                )
        if self.link == "uart":
            self._check_baud()

    def _check_baud(self) -> None:
        if self.clock_hz < 4 * self.baud:
            raise ConfigError(
                f"the UART needs at least 4 clock cycles a bit, but {self.clock_hz} Hz is less than "
                f"4 * {self.baud} baud"
            )
        rate = self.clock_hz / self.clocks_per_bit
        if abs(rate / self.baud - 1) > BAUD_TOLERANCE:
            raise ConfigError(
                f"{self.clock_hz} Hz divided by whole numbers gives {rate:.0f} baud at best, too far from "
                f"{self.baud}: choose a baud rate or a clock that divides with at most "
                f"{BAUD_TOLERANCE:.0%} error"
            )

    @property
    def clocks_per_bit(self) -> int:
        """Clock cycles per bit of the UART, rounded to the nearest whole number."""
        return round(self.clock_hz / self.baud)

    @property
    def grid_rows(self) -> int:
        """Tiles from top to bottom of the array."""
        return self.rows // self.tile_rows

    @property
    def grid_cols(self) -> int:
        """Tiles from left to right of the array."""
        return self.cols // self.tile_cols

    @property
    def pack_bits(self) -> int:
        """Bits of a tile's result that the packer stores per cycle: divides rows and lanes."""
        return math.gcd(self.rows, self.lanes)

    @property
    def pack_cycles(self) -> int:
        """Cycles to pack one tile's ``rows`` result bits; two results are never closer than this."""
        return self.rows // self.pack_bits

    @property
    def max_fan_in(self) -> int:
        """Largest fan-in of a layer on 1-bit activations that the accumulator can hold."""
        return 2 ** (self.accumulator_bits - 1) - 1

    @property
    def lane_count(self) -> int:
        """XNORs per cycle of the whole array."""
        return self.rows * self.cols * self.lanes


PRESETS: dict[str, ArrayConfig] = {
    #: Smallest sensible array, for tests: no dimension is a multiple of another.
    "tiny": ArrayConfig(
        rows=3, cols=2, lanes=5,
        weight_depth=1024, activation_depth=256, preset_depth=64, accumulator_bits=10,
    ),
    #: Large enough for the digits model; few elements, which is what makes a pure-Python simulation fast.
    "small": ArrayConfig(
        rows=2, cols=2, lanes=32,
        weight_depth=1024, activation_depth=256, preset_depth=256, accumulator_bits=12,
    ),
    #: 8 x 8 processing elements of 32 lanes: the compiled simulated board. Holds LFC, and the bit-planes of
    #: a CIFAR-10 image behind a 3 x 3 kernel.
    "sim": ArrayConfig(
        rows=8, cols=8, lanes=32,
        weight_depth=16384, activation_depth=16384, preset_depth=2048, link="fifo",
    ),
}  # fmt: skip


def preset(name: str) -> ArrayConfig:
    """Return the named configuration; raises :class:`ConfigError` that lists the known names."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"no array configuration is called {name!r}; known: {', '.join(PRESETS)}"
        ) from None
