"""What the array costs on an ECP5: ``python -m xnorgrid.boards.cost --rows 4 --cols 4 --lanes 64``.

Synthesises one processing element and the array of them with yosys and prints LUTs per lane. A carry cell
(CCU2C) occupies two LUTs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.lib import wiring

from xnorgrid.hw.array import SystolicArray
from xnorgrid.hw.config import ArrayConfig, ConfigError
from xnorgrid.hw.export import to_verilog
from xnorgrid.hw.pe import ProcessingElement

from .flows import FLOWS
from .toolchain import BuildError, run

__all__ = ["main", "synthesise"]


def synthesise(component: wiring.Component) -> dict[str, int]:
    """Return the cells of ``component`` by type after ``synth_ecp5``, with ``LUTs`` as their sum.

    Raises :class:`BuildError` when yosys fails or is not there.
    """
    with TemporaryDirectory() as folder:
        Path(folder, "top.v").write_text(to_verilog(component, "top"))
        script = f"read_verilog top.v; {FLOWS['ecp5'].synthesis} -top top; tee -q -o cells.json stat -json"
        run("yosys", ["-q", "-p", script], Path(folder), "yosys.log")
        cells = json.loads(Path(folder, "cells.json").read_text())["design"]["num_cells_by_type"]
    counts = {name: int(count) for name, count in cells.items()}
    counts["LUTs"] = counts.get("LUT4", 0) + 2 * counts.get("CCU2C", 0)
    return counts


def _print(title: str, lanes: int, counts: dict[str, int]) -> None:
    flops = counts.get("TRELLIS_FF", 0)
    print(
        f"{title:<28} {lanes:>6} lanes {counts['LUTs']:>7} LUTs {counts['LUTs'] / lanes:6.2f} a lane "
        f"{flops:>7} flip-flops {flops / lanes:6.2f} a lane"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m xnorgrid.boards.cost", description=__doc__)
    for name, default in (
        ("rows", 4), ("cols", 4), ("lanes", 64), ("tile-rows", 2), ("tile-cols", 2),
        ("accumulator-bits", 16),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    fields = vars(parser.parse_args(argv))
    try:
        config = ArrayConfig(weight_depth=512, activation_depth=512, preset_depth=512, **fields)
        element = synthesise(ProcessingElement(config.lanes, config.accumulator_bits))
        _print("processing element", config.lanes, element)
        array = synthesise(SystolicArray(config))
        tiles = f"tiles {config.tile_rows}x{config.tile_cols}"
        _print(f"array {config.rows}x{config.cols}, {tiles}", config.lane_count, array)
    except (ConfigError, BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
