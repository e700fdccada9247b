"""Dividers of the families' PLLs: from a board's oscillator to the accelerator's clock.

The limits are the data sheets': Lattice FPGA-DS-02012 (ECP5), sysCLOCK PLL timing; Lattice FPGA-DS-02008
(iCE40 UltraPlus), sysCLOCK PLL timing; Gowin DS117 (GW1NR), PLL switching characteristics of GW1NR-9, C6/I5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from xnorgrid.hw.config import ConfigError

__all__ = ["LIMITS", "TOLERANCE", "Limits", "Pll", "PllError", "frequencies", "pll"]

_MHZ = 10**6
#: Largest deviation from the wanted frequency: what a crystal deviates anyway.
TOLERANCE = Fraction(1, 10_000)


class PllError(ConfigError):
    """A clock that the board's PLL cannot make."""


@dataclass(frozen=True)
class Limits:
    """Frequencies in Hz between which a PLL works, ends included."""

    input: tuple[int, int]
    #: Phase detector: the input after its divider.
    detector: tuple[int, int]
    #: Voltage-controlled oscillator.
    oscillator: tuple[int, int]
    output: tuple[int, int]


LIMITS = {
    "ecp5": Limits(
        (8 * _MHZ, 400 * _MHZ), (10 * _MHZ, 400 * _MHZ), (400 * _MHZ, 800 * _MHZ),
        (3_125_000, 400 * _MHZ),
    ),
    "ice40": Limits(
        (10 * _MHZ, 133 * _MHZ), (10 * _MHZ, 133 * _MHZ), (533 * _MHZ, 1066 * _MHZ),
        (16 * _MHZ, 275 * _MHZ),
    ),
    "gowin": Limits(
        (3 * _MHZ, 400 * _MHZ), (3 * _MHZ, 400 * _MHZ), (400 * _MHZ, 1200 * _MHZ),
        (3_125_000, 600 * _MHZ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Pll:
    """A setting: the oscillator runs at input / ``divide`` * ``multiply``, the output at that / ``post``."""

    family: str
    input_hz: int
    divide: int
    multiply: int
    post: int

    @property
    def detector_hz(self) -> Fraction:
        """Frequency at the phase detector."""
        return Fraction(self.input_hz, self.divide)

    @property
    def oscillator_hz(self) -> Fraction:
        """Frequency of the voltage-controlled oscillator."""
        return self.detector_hz * self.multiply

    @property
    def output_hz(self) -> Fraction:
        """The clock that comes out."""
        return self.oscillator_hz / self.post

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of the family's cell: EHXPLLL, SB_PLL40_* or rPLL."""
        return _PARAMETERS[self.family](self)


def _ecp5(setting: Pll) -> dict[str, int | str]:
    """Feedback is CLKOP, divided by CLKOP_DIV and CLKFB_DIV; the clock is CLKOS."""
    # CLKOP is an output too, with the outputs' limit.
    feedback = next(
        part
        for part in range(1, setting.multiply + 1)
        if setting.multiply % part == 0 and setting.oscillator_hz / part <= LIMITS["ecp5"].output[1]
    )
    return {
        "CLKI_DIV": setting.divide,
        "CLKFB_DIV": setting.multiply // feedback,
        "FEEDBK_PATH": "CLKOP",
        "CLKOP_ENABLE": "ENABLED", "CLKOP_DIV": feedback, "CLKOP_CPHASE": feedback - 1,
        "CLKOS_ENABLE": "ENABLED", "CLKOS_DIV": setting.post, "CLKOS_CPHASE": setting.post - 1,
    }  # fmt: skip


def _ice40(setting: Pll) -> dict[str, int | str]:
    # Upper ends in MHz of the filter's ranges for the phase detector's frequency, as icepll has them.
    ranges = (17, 26, 44, 66, 101)
    return {
        "FEEDBACK_PATH": "SIMPLE",
        "DIVR": setting.divide - 1,
        "DIVF": setting.multiply - 1,
        "DIVQ": setting.post.bit_length() - 1,
        "FILTER_RANGE": 1 + sum(setting.detector_hz >= end * _MHZ for end in ranges),
    }


def _gowin(setting: Pll) -> dict[str, int | str]:
    """The feedback passes the output's divider as well, so the clock is detector * (FBDIV_SEL + 1)."""
    return {
        "FCLKIN": f"{setting.input_hz / _MHZ:g}",
        "IDIV_SEL": setting.divide - 1,
        "FBDIV_SEL": setting.multiply // setting.post - 1,
        "ODIV_SEL": setting.post,
        "DEVICE": "GW1NR-9C",
    }


_PARAMETERS = {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}


def _settings(family: str, input_hz: int) -> Iterator[Pll]:
    """Every setting within the limits, the fastest phase detector first: it jitters least."""
    limits = LIMITS[family]
    for divide in range(1, {"ecp5": 128, "ice40": 16, "gowin": 64}[family] + 1):
        detector = Fraction(input_hz, divide)
        if not limits.detector[0] <= detector <= limits.detector[1]:
            continue
        low, high = (int(edge // detector) for edge in limits.oscillator)
        for multiply in range(max(low, 1), high + 1):
            for post in _posts(family, multiply):
                found = Pll(family, input_hz, divide, multiply, post)
                if _within(found.oscillator_hz, limits.oscillator) and _within(
                    found.output_hz, limits.output
                ):
                    yield found


def _posts(family: str, multiply: int) -> list[int]:
    """Output dividers that go with ``multiply``, which is empty where its own dividers cannot make that."""
    if family == "ecp5":
        return list(range(1, 129)) if multiply <= 80 else []
    if family == "ice40":
        return [2, 4, 8, 16, 32, 64] if multiply <= 128 else []
    outputs = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
    return [post for post in outputs if multiply % post == 0 and multiply // post <= 64]


def _within(value: Fraction, limits: tuple[int, int]) -> bool:
    return limits[0] <= value <= limits[1]


def frequencies(family: str, input_hz: int) -> list[Fraction]:
    """Return all clocks in Hz that the PLL of ``family`` makes of ``input_hz``, lowest first."""
    return sorted({setting.output_hz for setting in _settings(family, input_hz)})


def pll(family: str, input_hz: int, output_hz: int) -> Pll:
    """Return the setting that makes ``output_hz`` of ``input_hz``, within :data:`TOLERANCE`.

    Of several the one with the highest phase detector's frequency, and with the oscillator farthest from its
    limits. Raises :class:`PllError` that names the nearest clocks there are.
    """
    middle = Fraction(sum(LIMITS[family].oscillator), 2)

    def badness(setting: Pll) -> tuple[Fraction, int, Fraction]:
        deviation = abs(setting.output_hz - output_hz)
        return deviation, setting.divide, abs(setting.oscillator_hz - middle)

    found = min(_settings(family, input_hz), key=badness, default=None)
    if found is None:
        raise PllError(
            f"the PLL of {family} cannot work from {input_hz / _MHZ:g} MHz: its data sheet wants "
            f"{LIMITS[family].input[0] / _MHZ:g} to {LIMITS[family].input[1] / _MHZ:g} MHz"
        )
    if abs(found.output_hz / output_hz - 1) > TOLERANCE:
        made = frequencies(family, input_hz)
        below = [clock for clock in made if clock < output_hz][-1:]
        above = [clock for clock in made if clock > output_hz][:1]
        nearest = " and ".join(f"{float(clock) / _MHZ:.6g} MHz" for clock in below + above)
        raise PllError(
            f"clock_hz: the PLL cannot make {output_hz / _MHZ:g} MHz of the board's "
            f"{input_hz / _MHZ:g} MHz; the nearest clocks are {nearest}"
        )
    return found
