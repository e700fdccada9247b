"""Dividers of PLLs, checked against the data sheets' limits by formulas of their own."""

import random
from fractions import Fraction

import pytest

from xnorgrid.boards.catalogue import BOARDS
from xnorgrid.boards.pll import TOLERANCE, PllError, frequencies, pll
from xnorgrid.hw.config import ConfigError
from xnorgrid.sim.streams import new_seed

OSCILLATORS = [("ecp5", 25_000_000), ("ice40", 12_000_000), ("gowin", 27_000_000)]


def ecp5_output(parameters, input_mhz):
    """MHz of CLKOS, as FPGA-TN-02200 describes the cell; the limits are FPGA-DS-02012's."""
    detector = input_mhz / parameters["CLKI_DIV"]
    assert parameters["FEEDBK_PATH"] == "CLKOP"
    assert 1 <= parameters["CLKI_DIV"] <= 128 and 1 <= parameters["CLKFB_DIV"] <= 80
    assert 1 <= parameters["CLKOP_DIV"] <= 128 and 1 <= parameters["CLKOS_DIV"] <= 128
    oscillator = detector * parameters["CLKFB_DIV"] * parameters["CLKOP_DIV"]
    assert 10 <= detector <= 400 and 400 <= oscillator <= 800
    assert Fraction(25, 8) <= oscillator / parameters["CLKOP_DIV"] <= 400
    output = oscillator / parameters["CLKOS_DIV"]
    assert Fraction(25, 8) <= output <= 400
    return output


def ice40_output(parameters, input_mhz):
    """MHz of PLLOUT in the mode SIMPLE, as FPGA-TN-02052 describes it; the limits are FPGA-DS-02008's."""
    assert parameters["FEEDBACK_PATH"] == "SIMPLE"
    assert 0 <= parameters["DIVR"] <= 15 and 0 <= parameters["DIVF"] <= 127
    assert 1 <= parameters["DIVQ"] <= 6
    detector = input_mhz / (parameters["DIVR"] + 1)
    oscillator = detector * (parameters["DIVF"] + 1)
    assert 10 <= detector <= 133 and 533 <= oscillator <= 1066
    assert parameters["FILTER_RANGE"] == next(
        k for k, end in enumerate((17, 26, 44, 66, 101, 134), 1) if detector < end
    )
    output = oscillator / 2 ** parameters["DIVQ"]
    assert 16 <= output <= 275
    return output


def gowin_output(parameters, input_mhz):
    """MHz of CLKOUT, as UG286 describes rPLL; the limits are DS117's for C6/I5."""
    assert parameters["FCLKIN"] == str(input_mhz) and parameters["DEVICE"] == "GW1NR-9C"
    assert 0 <= parameters["IDIV_SEL"] <= 63 and 0 <= parameters["FBDIV_SEL"] <= 63
    assert parameters["ODIV_SEL"] in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
    detector = input_mhz / (parameters["IDIV_SEL"] + 1)
    output = detector * (parameters["FBDIV_SEL"] + 1)
    assert 3 <= detector <= 400 and Fraction(25, 8) <= output <= 600
    assert 400 <= output * parameters["ODIV_SEL"] <= 1200
    return output


OUTPUTS = {"ecp5": ecp5_output, "ice40": ice40_output, "gowin": gowin_output}


@pytest.mark.parametrize(("family", "input_hz"), OSCILLATORS)
def test_every_clock_keeps_to_the_data_sheet(family, input_hz):
    clocks = frequencies(family, input_hz)
    assert len(clocks) > 100
    chosen = [*random.Random(new_seed()).sample(clocks, 60), clocks[0], clocks[-1]]
    for clock in chosen:
        if abs(clock / round(clock) - 1) <= TOLERANCE:
            found = pll(family, input_hz, round(clock))
            output = OUTPUTS[family](found.parameters(), Fraction(input_hz, 10**6)) * 10**6
            assert output == found.output_hz
            assert abs(output / clock - 1) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "input_hz", "wanted"),
    [
        ("ecp5", 25_000_000, Fraction(100_000_000)),
        ("ecp5", 25_000_000, Fraction(150_000_000)),
        ("ecp5", 25_000_000, Fraction(200_000_000, 3)),
        ("ice40", 12_000_000, Fraction(24_000_000)),
        ("ice40", 12_000_000, Fraction(36_000_000)),
        ("gowin", 27_000_000, Fraction(48_000_000)),
        ("gowin", 27_000_000, Fraction(54_000_000)),
    ],
)
def test_output_is_exact(family, input_hz, wanted):
    assert pll(family, input_hz, round(wanted)).output_hz == wanted


def test_a_clock_that_cannot_be_made_names_the_nearest():
    with pytest.raises(PllError) as caught:
        pll("ecp5", 25_000_000, 48_000_000)
    assert str(caught.value) == (
        "clock_hz: the PLL cannot make 48 MHz of the board's 25 MHz; the nearest clocks are "
        "47.9167 MHz and 48.0769 MHz"
    )
    for nearest in (47_916_667, 48_076_923):
        assert pll("ecp5", 25_000_000, nearest)
    assert issubclass(PllError, ConfigError)


@pytest.mark.parametrize(("family", "wanted"), [("ice40", 12_000_000), ("gowin", 700_000_000)])
def test_clocks_beyond_the_range_are_refused(family, wanted):
    with pytest.raises(PllError, match=r"the nearest clocks are [0-9.]+ MHz$"):
        pll(family, dict(OSCILLATORS)[family], wanted)


def test_an_oscillator_beyond_the_range_is_refused():
    with pytest.raises(
        PllError, match=r"cannot work from 1 MHz: its data sheet wants 10 to 133 MHz"
    ):
        pll("ice40", 1_000_000, 24_000_000)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_boards_can_make_their_clock(board):
    found = pll(board.device.family, board.clock_hz, board.config.clock_hz)
    assert found.output_hz == board.config.clock_hz
