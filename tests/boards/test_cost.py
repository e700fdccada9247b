"""Exact figures on record: a change that makes one worse fails here, one that makes it better lowers it."""

import pytest

from xnorgrid import load
from xnorgrid.boards.cost import synthesise
from xnorgrid.compile import compile
from xnorgrid.hw.config import preset
from xnorgrid.hw.pe import ProcessingElement
from xnorgrid.inspection import program_use


@pytest.mark.parametrize(("lanes", "luts"), [(32, 115), (64, 202), (128, 378)])
def test_luts_of_a_processing_element_on_ecp5(lanes, luts):
    assert synthesise(ProcessingElement(lanes, accumulator_bits=16))["LUTs"] <= luts


@pytest.mark.parametrize(
    ("name", "images", "cycles"),
    [("digits", 808, 19319), ("sfc", 240, 43048), ("lfc", 232, 335326), ("cnv", 8, 284037)],
)
def test_cycles_of_a_run(name, images, cycles):
    program = compile(load(name), preset("sim"))
    assert program_use(program, images).cycles <= cycles
