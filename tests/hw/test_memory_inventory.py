"""The list of memories against the exported accelerator."""

import re

import pytest

from xnorgrid.hw.config import ArrayConfig
from xnorgrid.hw.export import TOP, export
from xnorgrid.hw.inventory import memories
from xnorgrid.hw.memory import arrangement

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
    """Module of each instance below ``top``, at any depth, by its path."""
    bodies = dict(re.findall(r"^module (\S+?) ?\((.*?)^endmodule", verilog, re.M | re.S))
    found = {}

    def walk(module, path):
        for instance in re.finditer(
            r"^  (\S+) +(?:#\(.*?^  \) )?\\?(\S+) +\($", bodies[module], re.M | re.S
        ):
            kind, name = instance.groups()
            found[f"{path}{name}"] = kind
            if kind in bodies:
                walk(kind, f"{path}{name}.")

    walk(top, "")
    return found


@pytest.mark.parametrize("config", [CONFIG, SINGLE_PORT], ids=["two_ports", "single_port"])
@pytest.mark.parametrize("technology", ["ecp5", "ice40", "gowin"])
def test_inventory_is_what_the_accelerator_has(technology, config):
    expected = {}
    for use in memories(config):
        plan = arrangement(technology, use.width, use.depth, use.parts, use.single_port)
        for path in use.paths:
            for bank in range(plan.banks):
                for column in range(plan.across):
                    expected[f"{path}.cell_{bank}_{column}"] = plan.cell.type
    found = instances(export(config, technology), TOP)
    assert {path: cell for path, cell in found.items() if cell in CELLS} == expected


def test_nothing_large_is_left_to_the_tools():
    """A memory that is not a cell is inferred, with logic around it: only small tables may be."""
    declared = re.findall(r"^  reg \[(\d+):0\] .+ \[(\d+):0\];", export(CONFIG, "ecp5"), re.M)
    assert declared
    assert max((int(width) + 1) * (int(depth) + 1) for width, depth in declared) <= 1024
