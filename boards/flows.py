"""How the tools of each family are called, from Verilog to a bitstream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .board import Board

__all__ = ["CELLS", "FLOWS", "NETLIST", "ROUTED", "Flow", "mapping", "synthesis"]

#: What the synthesis writes: the netlist, and its cells by type.
NETLIST = "top.json"
CELLS = "cells.json"
#: What nextpnr reports.
ROUTED = "routed.json"


@dataclass(frozen=True)
class Flow:
    """The tools of a family. All file names are relative to the build folder."""

    #: The yosys command, which maps the design to the family's cells.
    synthesis: str
    #: Suffix of the file with the pins.
    constraints: str
    place_and_route: str
    #: Its options that name the constraints, and what it makes of the design.
    routing_options: tuple[str, ...]
    pack: str
    pack_options: tuple[str, ...]
    bitstream: str
    #: nextpnr's names of cells that count as one resource.
    resources: dict[str, tuple[str, ...]]

    def routing(self, board: Board, clock_hz: int, seed: int) -> list[str]:
        """Return nextpnr's arguments."""
        device = board.device
        package = [] if device.family == "gowin" else ["--package", board.package]
        return [
            *device.nextpnr, *package, "--json", NETLIST, *self.routing_options,
            "--report", ROUTED, "--freq", f"{clock_hz / 1e6:g}", "--seed", str(seed),
            # Whether the clock is met is for us to say, with the report.
            "--timing-allow-fail",
        ]  # fmt: skip


FLOWS = {
    "ecp5": Flow(
        # Without multiplexers over LUTs: 18 % fewer LUTs.
        synthesis="synth_ecp5 -abc9 -nowidelut",
        constraints="lpf",
        place_and_route="nextpnr-ecp5",
        routing_options=("--lpf", "top.lpf", "--textcfg", "top.config"),
        pack="ecppack",
        pack_options=("--compress", "--input", "top.config", "--bit", "top.bit"),
        bitstream="top.bit",
        resources={
            "lut4": ("TRELLIS_COMB",),
            "flip_flop": ("TRELLIS_FF",),
            "block_ram": ("DP16KD",),
        },
    ),
    "ice40": Flow(
        synthesis="synth_ice40 -device u",
        constraints="pcf",
        place_and_route="nextpnr-ice40",
        routing_options=("--pcf", "top.pcf", "--asc", "top.asc"),
        pack="icepack",
        pack_options=("top.asc", "top.bin"),
        bitstream="top.bin",
        # A logic cell is a LUT, a carry and a flip-flop; in use if any of them is.
        resources={
            "lut4": ("ICESTORM_LC",),
            "block_ram": ("ICESTORM_RAM",),
            "spram": ("ICESTORM_SPRAM",),
        },
    ),
    "gowin": Flow(
        # Amaranth's platform brings the buffers of the pins.
        synthesis="synth_gowin -family gw1n -nowidelut -noiopads",
        constraints="cst",
        place_and_route="nextpnr-himbaechel-gowin",
        routing_options=("--vopt", "cst=top.cst", "--write", "top.routed.json"),
        pack="gowin_pack",
        # Pins that configuration needs only before the design runs are free for it.
        pack_options=(
            "-d", "GW1N-9C", "--sspi_as_gpio", "--mspi_as_gpio", "-o", "top.fs", "top.routed.json",
        ),
        bitstream="top.fs",
        resources={"lut4": ("LUT4", "ALU"), "flip_flop": ("DFF",), "block_ram": ("BSRAM",)},
    ),
}  # fmt: skip


def synthesis(family: str, shared: Sequence[str], placement: str = "") -> str:
    """Return the yosys script that makes :data:`NETLIST` of accelerator.v and top.il.

    ``shared`` are the modules that are synthesised once, however often they are used; everything else is
    optimised together, and in the end the netlist is flat. ``placement`` are commands on that.
    """
    return (
        "read_verilog accelerator.v\n"
        "read_rtlil top.il\n"
        f"{mapping(family, shared, 'top')}"
        f"{placement}"
        f"tee -q -o {CELLS} stat -json\n"
        f"write_json {NETLIST}\n"
    )


def mapping(family: str, shared: Sequence[str], top: str) -> str:
    """Return the part of :func:`synthesis` that maps module ``top``, once read, to cells of ``family``."""
    kept = "".join(f"setattr -mod -set keep_hierarchy 1 {name}\n" for name in shared)
    return (
        f"{kept}"
        f"{FLOWS[family].synthesis} -top {top}\n"
        "setattr -mod -unset keep_hierarchy *\n"
        "flatten\n"
        "opt_clean\n"
    )
