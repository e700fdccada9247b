"""What estimates and searches say, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .columns import pairs, rate, table, weights

__all__ = ["estimate_text", "missed_clock", "tune_text"]

_RESOURCES = {
    "lut4": "LUTs", "flip_flop": "flip-flops", "block_ram": "block RAMs", "spram": "SPRAMs",
}  # fmt: skip


def estimate_text(report: Mapping[str, Any]) -> str:
    """What a configuration takes of a board, and how fast a model runs on it."""
    config = report["config"]
    clock, expected = report["clock_hz"] / 1e6, report["estimated_clock_hz"] / 1e6
    verdict = (
        "" if report["estimated_clock_hz"] >= report["clock_hz"] else ": too fast, set clock_hz"
    )
    rows = [
        ("model", report["model"]),
        ("board", f"{report['board']} ({report['device']})"),
        ("array", _array(config)),
        *(
            (
                _RESOURCES[name],
                (
                    f"{resource['used']:,} of {resource['total']:,} ({resource['percent']:.0f} %), "
                    f"{_error(resource['error'])}"
                ),
            )
            for name, resource in report["resources"].items()
        ),
        (
            "clock",
            (
                f"{clock:g} MHz asked for, {expected:.0f} MHz expected, "
                f"{_error(report['clock_error'])}{verdict}"
            ),
        ),
        ("weights", weights(report["segments"])),
        ("cycles per image", f"{report['cycles_per_image']:,.1f}, exact"),
        ("utilisation", f"{report['utilisation']:.1%}, exact"),
        (
            "images/s, core",
            (
                f"{rate(report['images_per_second_core'])} at {clock:g} MHz, "
                f"{rate(report['images_per_second_core_at_estimated_clock'])} at {expected:.0f} MHz"
            ),
        ),
        (
            "images/s, link",
            (
                f"{rate(report['images_per_second_link'])} at {config['baud']:,} baud: "
                f"{report['line_bytes_per_image']:,.1f} bytes an image"
            ),
        ),
        ("", "(requests and replies at once, so of each exchange the longer one, frames included)"),
    ]
    return pairs(rows)


def tune_text(report: Mapping[str, Any]) -> str:
    """The best candidates, estimated and routed, and the winner."""
    rows = [_candidate(row) for row in report["candidates"]]
    least = report["least_clock_hz"]
    lines = [
        f"{report['model']} on {report['board']} ({report['device']}): {report['tried']:,} arrays "
        + (f"of {least / 1e6:g} MHz or more estimated" if least else "estimated"),
        "",
        *table(
            [
                "array", "tile", "block RAMs", "cycles/image", "LUTs", "routed", "ops/LUT", "routed",
                "MHz", "routed", "images/s", "routed",
            ],
            rows,
        ),
        "",
        "images/s are the core's, without the link; columns without 'routed' are estimates",
        "ops/LUT: binary operations, an XNOR and an addition a lane, per cycle and LUT of the whole design",
    ]  # fmt: skip
    lines += [
        f"{_array(row['config'])}: {row['problem']}"
        for row in report["candidates"]
        if "problem" in row
    ]
    winner = report["winner"]
    if winner is None:
        return "\n".join([*lines, "", _without_winner(report)])
    clock = winner["config"]["clock_hz"]
    lines += ["", f"winner: {_array(winner['config'])}"]
    if "routed_hz" in winner:
        lines.append(
            f"routed at {winner['routed_hz'] / 1e6:.1f} MHz, runs at {clock / 1e6:.6g} MHz: "
            f"{rate(winner['images_per_second'])} images/s, "
            f"{winner['operations_per_lut_per_cycle_routed']:.2f} operations per LUT and cycle"
        )
    else:
        lines.append(
            f"nothing was built: {rate(winner['images_per_second_estimated'])} images/s by estimate"
        )
    if missed_clock(report):
        lines.append(
            f"no array that was built reaches {least / 1e6:g} MHz: clocks are estimated within "
            f"{winner['clock_error']:.0%}; ask for a higher one, or build more"
        )
    lines.append(f"xnorgrid build {report['board']} --config {report['file']}")
    return "\n".join(lines)


def missed_clock(report: Mapping[str, Any]) -> bool:
    """Whether the winner of a search was routed and is slower than the clock that was asked for."""
    winner, least = report["winner"], report["least_clock_hz"]
    return winner is not None and "routed_hz" in winner and winner["routed_hz"] < (least or 0)


def _without_winner(report: Mapping[str, Any]) -> str:
    """Why there is none, and what to do."""
    if any("routed" in row for row in report["candidates"]):
        return (
            "the fastest of these missed every clock that its routing had allowed: give one of them a lower "
            f"one with xnorgrid build {report['board']} --set clock_hz=HZ"
        )
    return "none of these could be built: lower --ceiling, or build more"


def _candidate(row: Mapping[str, Any]) -> list[str]:
    config, routed = row["config"], row.get("routed")
    return [
        f"{config['rows']} x {config['cols']} x {config['lanes']}",
        f"{config['tile_rows']} x {config['tile_cols']}",
        f"{row['resources']['block_ram']['used']:,}",
        f"{row['cycles_per_image']:,.1f}",
        f"{row['resources']['lut4']['used']:,}",
        f"{routed['lut4']:,}" if routed else "-",
        f"{row['operations_per_lut_per_cycle_estimated']:.2f}",
        f"{row['operations_per_lut_per_cycle_routed']:.2f}" if routed else "-",
        f"{row['estimated_clock_hz'] / 1e6:.0f}",
        f"{row['routed_hz'] / 1e6:.0f}" if routed else "-",
        rate(row["images_per_second_estimated"]),
        rate(row["images_per_second_routed"]) if routed else "-",
    ]


def _array(config: Mapping[str, Any]) -> str:
    return (
        f"{config['rows']} x {config['cols']} x {config['lanes']} lanes in tiles of "
        f"{config['tile_rows']} x {config['tile_cols']}"
    )


def _error(error: float) -> str:
    return f"estimated within {error:.0%}" if error else "exact"
