"""The list of memories against the exported accelerator."""

import re
from collections import Counter

import pytest

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.export import TOP, export
from xnorgrid.hw.inventory import memories
from xnorgrid.hw.memory import memory_cells

CONFIG = ArrayConfig(
    rows=4, cols=6, lanes=40, tile_rows=2, tile_cols=3,
    weight_depth=1100, activation_depth=600, preset_depth=100, program_depth=16,
)  # fmt: skip
SINGLE_PORT = ArrayConfig(
    rows=2, cols=1, lanes=16, weight_ports=1,
    weight_depth=16384, activation_depth=256, preset_depth=64, accumulator_bits=12,
)  # fmt: skip
CELLS = ("DP16KD", "SB_RAM40_4K", "SB_SPRAM256KA", "SDPX9B")


def instances(verilog, top):
    """Number of instances of each module below ``top``, at any depth."""
    bodies = dict(re.findall(r"^module (\S+?) ?\((.*?)^endmodule", verilog, re.M | re.S))
    total = Counter()

    def walk(module):
        for name in re.findall(r"^  (\S+) +(?:#|\S+ +)\($", bodies[module], re.M):
            total[name] += 1
            if name in bodies:
                walk(name)

    walk(top)
    return total


@pytest.mark.parametrize("config", [CONFIG, SINGLE_PORT], ids=["two_ports", "single_port"])
@pytest.mark.parametrize("technology", ["ecp5", "ice40", "gowin"])
def test_inventory_is_what_the_accelerator_has(technology, config):
    expected = Counter()
    for use in memories(config):
        cells = memory_cells(
            technology, use.width, use.depth, use.parts, single_port=use.single_port
        )
        for cell, count in cells.items():
            expected[cell] += use.count * count
    found = instances(export(config, technology), TOP)
    assert Counter({cell: found[cell] for cell in CELLS if found[cell]}) == expected


def test_nothing_large_is_left_to_the_tools():
    """A memory that is not a cell is inferred, with logic around it: only small tables may be."""
    declared = re.findall(r"^  reg \[(\d+):0\] .+ \[(\d+):0\];", export(CONFIG, "ecp5"), re.M)
    assert declared
    assert max((int(width) + 1) * (int(depth) + 1) for width, depth in declared) <= 1024
