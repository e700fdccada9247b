"""The boards: what they are, and that their pins are the platforms'."""

import pytest

from xnorgrid.boards.catalogue import BOARDS, board
from xnorgrid.boards.devices import DEVICES, FAMILIES
from xnorgrid.hw.config import ConfigError

#: From the boards' schematics.
PINS = {
    "icebreaker": {"clock": "35", "uart rx": "6", "uart tx": "9", "led": "37", "reset": "10"},
    "ulx3s": {"clock": "G2", "uart rx": "M1", "uart tx": "L4", "led": "B2", "reset": "R1"},
    "icesugar-pro": {"clock": "P6", "uart rx": "A9", "uart tx": "B9", "led": "A12"},
    "colorlight-5a75b": {"clock": "P6", "uart rx": "M13", "uart tx": "P11"},
    "tang-nano-9k": {"clock": "52", "uart rx": "18", "uart tx": "17", "led": "10", "reset": "4"},
}


@pytest.mark.parametrize("name", PINS)
def test_pins(name):
    assert board(name).pins() == PINS[name]


def test_there_are_these_boards():
    assert list(BOARDS) == list(PINS)
    assert {board.device.name for board in BOARDS.values()} == set(DEVICES)
    assert {device.family for device in DEVICES.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", PINS)
def test_default_configurations_use_a_fast_uart(name):
    config = board(name).config
    assert config.link == "uart" and config.baud >= 1_000_000


def test_unknown_board():
    with pytest.raises(ConfigError) as caught:
        board("icebraker")
    assert str(caught.value) == (
        "no board is called 'icebraker'; known: icebreaker, ulx3s, icesugar-pro, colorlight-5a75b, "
        "tang-nano-9k"
    )
