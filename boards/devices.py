"""The FPGAs of the boards, with what a design can use of each."""

from __future__ import annotations

from dataclasses import dataclass

from xnorgrid.hw.library import TECHNOLOGIES

__all__ = ["DEVICES", "FAMILIES", "Device"]

#: Families that bitstreams are made for.
FAMILIES = tuple(name for name in TECHNOLOGIES if name != "generic")


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA. The numbers are what nextpnr says is available, which equals the vendor's tables."""

    name: str
    title: str
    #: One of :data:`FAMILIES`.
    family: str
    #: Four-input look-up tables. A carry bit takes the place of one on all three families.
    luts: int
    flip_flops: int
    #: Dual-ported memories of ``block_ram_bits`` bits.
    block_rams: int
    block_ram_bits: int
    #: Single-ported memories of ``spram_bits`` bits.
    sprams: int = 0
    spram_bits: int = 0
    #: How nextpnr is told which device it is.
    nextpnr: tuple[str, ...]


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        # Lattice FPGA-DS-02008, table 1.1.
        Device(
            name="up5k", title="Lattice iCE40UP5K", family="ice40",
            luts=5280, flip_flops=5280, block_rams=30, block_ram_bits=4096,
            sprams=4, spram_bits=262144, nextpnr=("--up5k",),
        ),
        # Lattice FPGA-DS-02012, table 1.1. Block RAM bits with parity.
        Device(
            name="ecp5-25f", title="Lattice LFE5U-25F", family="ecp5",
            luts=24288, flip_flops=24288, block_rams=56, block_ram_bits=18432,
            nextpnr=("--25k", "--speed", "6"),
        ),
        Device(
            name="ecp5-85f", title="Lattice LFE5U-85F", family="ecp5",
            luts=83640, flip_flops=83640, block_rams=208, block_ram_bits=18432,
            nextpnr=("--85k", "--speed", "6"),
        ),
        # Gowin DS117, table 1-1. Block RAM bits with parity.
        Device(
            name="gw1nr-9c", title="Gowin GW1NR-9C", family="gowin",
            luts=8640, flip_flops=6480, block_rams=26, block_ram_bits=18432,
            nextpnr=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
        ),
    )
}  # fmt: skip
