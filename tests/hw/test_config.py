import dataclasses

import pytest

from xnorgrid.hw.config import PRESETS, ConfigError, preset

TINY = preset("tiny")


def test_presets_are_found_by_name():
    assert all(preset(name) == config for name, config in PRESETS.items())
    with pytest.raises(ConfigError, match="no array configuration is called 'huge'; known: tiny, "):
        preset("huge")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "rows must be at least 1, not 0"),
        ({"cols": -3}, "cols must be at least 1, not -3"),
        ({"lanes": 2.0}, "lanes must be an integer, not 2.0"),
        ({"lanes": True}, "lanes must be an integer, not True"),
        ({"rows": 1025}, "rows must be at most 1024, not 1025"),
        ({"weight_depth": 1}, "weight_depth must be at least 2, because word 0 is reserved"),
        ({"accumulator_bits": 2}, "accumulator_bits must be at least 3, not 2"),
        ({"accumulator_bits": 33}, "accumulator_bits must be at most 32, not 33"),
        ({"tile_rows": 2}, "tile_rows must divide rows, but 3 is no multiple of 2"),
        ({"clock_hz": 47_999_999}, "the UART needs at least 4 clock cycles a bit"),
        (
            {"clock_hz": 100_000_000},
            "100000000 Hz divided by whole numbers gives 12500000 baud at best, too far from 12000000",
        ),
        ({"link": "usb"}, "link must be one of uart, fifo, not 'usb'"),
        ({"link": 1}, "link must be one of uart, fifo, not 1"),
        ({"link": "fifo", "baud": 0}, "baud must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_built(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize(
    ("clock_hz", "baud", "clocks"),
    [(48_000_000, 12_000_000, 4), (25_000_000, 5_000_000, 5), (50_000_000, 115_200, 434)],
)
def test_clocks_per_bit(clock_hz, baud, clocks):
    assert dataclasses.replace(TINY, clock_hz=clock_hz, baud=baud).clocks_per_bit == clocks


@pytest.mark.parametrize("clock_hz", [10_000_000, 100_000_000])
def test_a_fifo_goes_with_any_clock(clock_hz):
    assert dataclasses.replace(TINY, link="fifo", clock_hz=clock_hz).baud == TINY.baud
    with pytest.raises(ConfigError):
        dataclasses.replace(TINY, clock_hz=clock_hz)


def test_small_boards_keep_to_the_uart():
    assert {name: config.link for name, config in PRESETS.items()} == {
        "tiny": "uart", "small": "uart", "sim": "fifo"
    }  # fmt: skip
