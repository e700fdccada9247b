"""How far estimates are off, as a page of documentation: :func:`page`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .estimate import FamilyModel, estimate
from .fitted_model import FIGURES, Measured

__all__ = ["page"]

_HEAD = """# Estimates

`xnorgrid estimate` says what a configuration takes of a board before anything is built. Memories are counted
exactly. LUTs, flip-flops and the clock come from a model: a sum of what control, processing elements,
registers between tiles, rows and columns cost, and a period of logic, wires and crowding
(`boards/estimate.py`).

`python -m xnorgrid.boards.fit` made this page. It builds a list of configurations (`boards/samples.py`),
fits the model by least squares of relative errors, and tries it on configurations that it was not fitted to.
LUTs are those that nextpnr places: TRELLIS_COMB, ICESTORM_LC, or Gowin's LUTs and ALUs. The clock is that of
nextpnr after routing; where there is none, the design was counted and not routed, which changes no count.
No board has run any of these.
"""

_COLUMNS = (
    "device", "rows x columns x lanes", "tile", "accumulator bits",
    "LUTs: estimate", "routed", "error",
    "flip-flops: estimate", "routed", "error",
    "MHz: estimate", "routed", "error",
)  # fmt: skip


def page(families: Mapping[str, Any]) -> str:
    """The page of documentation that says how far the estimates of ``families`` are off, as Markdown.

    ``families`` is what the package's file of models holds.
    """
    models = {name: FamilyModel.from_dict(found) for name, found in families.items()}
    measured = [
        Measured.from_dict(build) for found in families.values() for build in found["builds"]
    ]
    lines = [
        _HEAD,
        "## Not fitted to",
        "",
        *_table([one for one in measured if one.sample.held_out], models),
        "",
        "## Fitted to",
        "",
        *_table([one for one in measured if not one.sample.held_out], models),
        "",
        "## Largest errors where not fitted",
        "",
        "| family | LUTs | flip-flops | clock |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, model in models.items():
        errors = " | ".join(f"{model.errors[figure]:.1%}" for figure in FIGURES)
        lines.append(f"| {name} | {errors} |")
    return "\n".join(lines) + "\n"


def _table(measured: Iterable[Measured], models: Mapping[str, FamilyModel]) -> list[str]:
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * 3}{' ---: |' * (len(_COLUMNS) - 3)}",
    ]
    for one in measured:
        config, model = one.sample.config, models[one.device.family]
        expected, errors = estimate(config, one.device, model), one.errors(model)
        cells = [
            one.device.name,
            f"{config.rows} x {config.cols} x {config.lanes}",
            f"{config.tile_rows} x {config.tile_cols}",
            f"{config.accumulator_bits}",
        ]
        for figure in ("lut4", "flip_flop"):
            cells += [f"{expected.resources[figure].used:,}", f"{getattr(one, figure):,}"]
            cells += [f"{errors[figure]:+.1%}"]
        cells += [f"{expected.clock_hz / 1e6:.1f}"]
        cells += [f"{one.clock / 1e6:.1f}", f"{errors['clock']:+.1%}"] if one.clock else ["-", "-"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
