"""Places of memories."""

import itertools
import re

import pytest

from xnorgrid.boards.build import SCRIPT, sources
from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.devices import DEVICES
from xnorgrid.boards.floorplan import cells, placement, sites

ECP5 = [device for device in DEVICES.values() if device.family == "ecp5"]


def place(site):
    """Column, line and number of ``site``."""
    return tuple(map(int, re.fullmatch(r"X(\d+)/Y(\d+)/EBR(\d)", site).groups()))


@pytest.mark.parametrize("device", ECP5, ids=lambda device: device.name)
def test_every_block_ram_once_and_no_jumps(device):
    way = [place(site) for site in sites(device)]
    assert len(way) == len(set(way)) == device.block_rams
    for (x, y, _), (next_x, next_y, _) in itertools.pairwise(way):
        # Within a line to a neighbour; from a line to the next at the edge or in the middle.
        assert abs(next_x - x) <= (5 if next_y == y else 18)
        assert abs(next_y - y) <= 24
    # Results leave at the end and come back to where operands start.
    assert way[0][1] == way[-1][1]
    assert abs(way[0][0] - way[-1][0]) <= 5


def test_cells_follow_the_data():
    board = BOARDS["icesugar-pro"]
    order = cells(board.config, board.device)
    assert len(order) == len(set(order))
    assert order[0] == "core.sequencer.program.cell_0_0"
    kinds = [key for key, _ in itertools.groupby(re.sub(r"[\d_]+", "", cell) for cell in order)]
    rows = board.config.grid_rows
    activations, presets, weights = (
        f"core.datapath.{kind}.cell"
        for kind in ("activations.columns.bank", "weights.rows.presets", "weights.rows.weights")
    )
    assert kinds == [
        "core.sequencer.program.cell",
        "link.deframer.queue.storage.cell",
        activations,
        *([presets, weights] * rows),
    ]
    numbers = [int(cell.split("rows_")[1].split(".")[0]) for cell in order if "rows_" in cell]
    assert numbers == sorted(numbers)


def test_the_script_places_every_cell():
    board = BOARDS["icesugar-pro"]
    lines = placement(board.config, board.device).splitlines()
    assert lines[0].endswith(" top/accelerator.core.sequencer.program.cell_0_0")
    assert len(lines) == len(cells(board.config, board.device))
    script = sources(board, board.config)[SCRIPT]
    assert placement(board.config, board.device) in script
    assert script.index("flatten") < script.index(lines[0]) < script.index("write_json")


def test_no_places_where_none_are_known():
    board = BOARDS["icebreaker"]
    assert sites(board.device) == []
    assert placement(board.config, board.device) == ""
