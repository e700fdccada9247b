"""Reference = synthesised netlist, every value of every layer, for each family; and a broken LUT is found.

With --netlist-networks N as many random networks as wanted.
"""

import re

import networks
import numpy as np
import pytest

import xnorgrid
from xnorgrid import data
from xnorgrid.boards.devices import FAMILIES
from xnorgrid.boards.netlist import netlist
from xnorgrid.driver import Board
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.model import Conv, describe
from xnorgrid.sim import reference
from xnorgrid.sim.netlist_board import netlist_models, open_netlist, unmodelled
from xnorgrid.sim.streams import new_seed
from xnorgrid.sim.verilator import CompileError
from xnorgrid.verify import first_difference

#: A UART, as on the boards, and memories in which the digits take several segments.
CONFIG = ArrayConfig(
    rows=2, cols=2, lanes=8, weight_depth=512, activation_depth=256, preset_depth=128,
    program_depth=16, accumulator_bits=12,
)  # fmt: skip

#: A look-up table of a processing element whose output is the parity of its inputs, so that none of its bits
#: is of no consequence.
PARITY = re.compile(
    r"(LUT4 #\(\s*\.(?:LUT_)?INIT\(16'h)(6996|9669|5aa5|a55a|3cc3|c33c|6666|9999|5a5a|a5a5|3c3c|c3c3)"
    r"(\)\s*\) \\core\.datapath\.array\.tile_\w+\.pe_\w+\.)"
)


def open_board(family, verilog=None):
    verilog = netlist(CONFIG, family).verilog if verilog is None else verilog
    return Board(open_netlist(verilog, family, CONFIG), config=CONFIG)


@pytest.fixture(scope="module", params=FAMILIES)
def board(request):
    with open_board(request.param) as board:
        yield board


def difference(board, model, images):
    """Where reference and netlist first differ."""
    board.load(model, keep_layers=True)
    return first_difference(
        [layer.name for layer in model.layers],
        {
            "reference": [layer.values for layer in reference.layers(model, images)],
            "netlist": list(board.layers(images).values()),
        },
    )


def draw(seed):
    """A network that fits, its first layer a convolution on bit-planes, and images."""
    rng = np.random.default_rng(seed)
    while True:
        model = networks.random_network(rng, operations=8_000)
        planes = model.input.kind == "pixels" and model.input.maximum > 1
        if planes and isinstance(model.layers[0], Conv) and networks.fits(model, CONFIG):
            break
    images = networks.random_images(rng, model, 3)
    return networks.met_thresholds(rng, model, images), images


def test_the_netlist_says_who_it_is(board):
    assert board.config == CONFIG


def test_digits(board):
    model, images = xnorgrid.load("digits"), data.load("digits").test_images[:3]
    assert difference(board, model, images) is None
    counters = board.counters
    assert counters.useful_lanes == reference.operations(model, len(images))
    assert counters.bad_frames == counters.lost_bytes == 0


def test_random_convolutions_on_bit_planes(board, pytestconfig):
    first = new_seed()
    for seed in range(first, first + pytestconfig.getoption("--netlist-networks")):
        model, images = draw(seed)
        found = difference(board, model, images)
        assert found is None, f"{found}\nseed {seed}\n{describe(model)}"
        # Loaded as usual, results take each other's place.
        board.load(model)
        assert (board.run(images) == reference.scores(model, images)).all()
        assert board.counters.useful_lanes == reference.operations(model, len(images))


def test_one_wrong_bit_of_a_lut_is_found():
    """In the first element's popcount: the digits come out wrong, wherever it is."""
    verilog = netlist(CONFIG, "ecp5").verilog
    match = PARITY.search(verilog)
    bits = int(match[2], 16) ^ 1
    broken = f"{verilog[: match.start()]}{match[1]}{bits:04x}{match[3]}{verilog[match.end() :]}"
    assert sum(a != b for a, b in zip(verilog, broken, strict=True)) == 1
    model, images = xnorgrid.load("digits"), data.load("digits").test_images[:3]
    with open_board("ecp5", broken) as board:
        found = difference(board, model, images)
    assert found is not None and found.layer == "dense1"


def test_a_black_box_is_no_model():
    verilog = "module accelerator();\n  DP16KD #(\n    .GSR(1)\n  ) \\a  (\n  );\nendmodule\n"
    models = netlist_models("ecp5")
    assert unmodelled(verilog, models) == []
    assert unmodelled(verilog, models[-1:]) == ["DP16KD"]


def test_cells_without_a_model_are_refused():
    verilog = (
        "module accelerator(clk);\n  input clk;\n"
        "  MULT18X18D \\a.b  (\n    .A0(clk)\n  );\n"
        "  EHXPLLL #(\n    .CLKI_DIV(1)\n  ) pll (\n    .CLKI(clk)\n  );\n"
        "endmodule\n"
    )
    assert unmodelled(verilog, netlist_models("ecp5")) == ["EHXPLLL", "MULT18X18D"]
    with pytest.raises(CompileError, match=r"without a simulation model: EHXPLLL, MULT18X18D; "):
        open_netlist(verilog, "ecp5", CONFIG)
