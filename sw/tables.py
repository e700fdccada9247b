"""Reports as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["bench_table", "inspect_text", "measure_text", "verify_text"]


def measure_text(report: Mapping[str, Any]) -> str:
    """What one model did on one board."""
    array = report["array"]
    clock = array["clock_hz"] / 1e6
    rows = [
        ("model", report["model"]),
        ("board", report["board"]),
        (
            "array",
            f"{array['rows']} x {array['cols']} processing elements of {array['lanes']} lanes",
        ),
        ("images", f"{report['images']:,}"),
    ]
    if report["accuracy"] is not None:
        rows.append(("accuracy", f"{report['accuracy']:.2%}"))
    exact = "yes: every score of every image equals the integer reference's"
    if not report["bit_exact"]:
        exact = f"NO: {report['differing_scores']:,} scores differ from the integer reference's"
    rows.append(("bit-exact", exact))
    if report["matches_pytorch"] is not None:
        same = "yes: SHA-256 of all scores" if report["matches_pytorch"] else "NO: SHA-256 differs"
        rows.append(("equals PyTorch", same))
    rows += [
        ("cycles per image", f"{report['cycles_per_image']:,.1f}"),
        (
            "array utilisation",
            (
                f"{report['utilisation']:.1%} ({report['useful_lanes']:,} useful lane-operations counted, "
                f"{report['expected_lanes']:,} in the network)"
            ),
        ),
        ("images/s, array", f"{_rate(report['images_per_second_at_clock'])} at {clock:g} MHz"),
        ("images/s, here", f"{_rate(report['images_per_second'])} with the link"),
        (
            "",
            (
                f"{_rate(report['images_per_second_without_link'])} without (while the array ran: "
                f"{report['array_seconds']:.2f} s of {report['run_seconds']:.2f} s)"
            ),
        ),
        ("load", f"{report['load_seconds']:.2f} s"),
    ]
    return _pairs(rows)


def verify_text(report: Mapping[str, Any]) -> str:
    """What was compared, and the first difference if there is one."""
    lines = [
        (
            f"model {report['model']}: {' = '.join(report['compared'])}? "
            f"{report['images']:,} images, layer by layer"
        )
    ]
    difference = report["difference"]
    failed = None if difference is None else difference["layer"]
    for layer in report["layers"]:
        if layer["name"] == failed:
            lines.append(f"  {layer['name']:<12} DIFFERS")
            break
        lines.append(f"  {layer['name']:<12} {layer['values']:,} values equal")
    lines.append("bit-exact" if difference is None else f"first difference: {difference['text']}")
    return "\n".join(lines)


def inspect_text(report: Mapping[str, Any]) -> str:
    """A model's layers, where it comes from, and where it fits."""
    source = report["input"]
    shape = "x".join(str(size) for size in source["shape"])
    how = "bits" if source["kind"] == "bits" else f"pixel >= {source['threshold']}"
    lines = [
        (f"model {report['name']}: {report['weight_bits']:,} weight bits, "
        f"{report['operations_per_image']:,} XNORs per image"),
        f"input {shape}, {how}; classes {', '.join(report['labels']) or report['classes']}",
        "",
        *_table(
            ["layer", "op", "in", "out", "result", "inverted"],
            [
                [
                    layer["name"], layer["op"], str(layer["shape"][1]), str(layer["shape"][0]),
                    layer["result"], str(layer["inverted_channels"]),
                ]
                for layer in report["layers"]
            ],
        ),
        "",
    ]  # fmt: skip
    for name, value in report["provenance"].items():
        lines.append(f"{name}: {value}")
    if report["provenance"]:
        lines.append("")
    fitting = [
        [
            name,
            f"{fit['cycles_per_image']:,.1f}",
            f"{fit['utilisation']:.1%}",
            _rate(fit["images_per_second_at_clock"]),
        ]
        for name, fit in report["on"].items()
        if fit["fits"]
    ]
    if fitting:
        lines += _table(["array", "cycles/image", "utilisation", "images/s"], fitting)
    lines += [f"{name}: {fit['why_not']}" for name, fit in report["on"].items() if not fit["fits"]]
    return "\n".join(lines)


def bench_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Several models on one board, measured beside predicted."""
    array = reports[0]["array"]
    heading = (
        f"{reports[0]['board']}: {array['rows']} x {array['cols']} x {array['lanes']} lanes, "
        f"{array['clock_hz'] / 1e6:g} MHz"
    )
    rows = [
        [
            report["model"],
            f"{report['images']:,}",
            "-" if report["accuracy"] is None else f"{report['accuracy']:.2%}",
            "yes" if report["bit_exact"] else "NO",
            f"{report['cycles_per_image']:,.1f}",
            f"{report['predicted']['cycles_per_image']:,.1f}",
            f"{report['utilisation']:.1%}",
            f"{report['operations_per_image']:,}",
            _rate(report["images_per_second_at_clock"]),
            _rate(report["images_per_second_without_link"]),
            _rate(report["images_per_second"]),
        ]
        for report in reports
    ]
    columns = [
        "model", "images", "accuracy", "exact", "cycles/image", "predicted", "utilisation",
        "XNORs/image", "images/s at clock", "simulated/s", "with link",
    ]  # fmt: skip
    return "\n".join([heading, *_table(columns, rows)])


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned: text to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in [columns, *rows]) for k in range(len(columns))]
    numeric = [all(row[k][:1].isdigit() for row in rows) for k in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        cells = (
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(cells).rstrip()

    return [line(columns), *(line(row) for row in rows)]
