"""Reports as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .columns import pairs, rate, table, weights

__all__ = ["bench_text", "measure_text", "verify_text"]


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
        ("weights", weights(report["segments"])),
        *([("streamed", _streamed(report["streaming"]))] if report["segments"] > 1 else []),
        ("cycles per image", f"{report['cycles_per_image']:,.1f}"),
        (
            "array utilisation",
            (
                f"{report['utilisation']:.1%} ({report['useful_lanes']:,} useful lane-operations counted, "
                f"{report['expected_lanes']:,} in the network)"
            ),
        ),
        ("images/s, array", f"{rate(report['images_per_second_at_clock'])} at {clock:g} MHz"),
        ("images/s, here", f"{rate(report['images_per_second'])} with the link"),
        (
            "",
            (
                f"{rate(report['images_per_second_without_link'])} without (while the array ran: "
                f"{report['array_seconds']:.2f} s of {report['run_seconds']:.2f} s)"
            ),
        ),
        ("load", f"{report['load_seconds']:.2f} s"),
    ]
    return pairs(rows)


def verify_text(report: Mapping[str, Any]) -> str:
    """What was compared, and the first difference if there is one."""
    lines = [
        (
            f"model {report['model']}: {' = '.join(report['compared'])}? "
            f"{report['images']:,} images, layer by layer"
        )
    ]
    if report["segments"] > 1:
        lines.append(f"weights streamed in {report['segments']} segments")
    difference = report["difference"]
    failed = None if difference is None else difference["layer"]
    for layer in report["layers"]:
        if layer["name"] == failed:
            lines.append(f"  {layer['name']:<12} DIFFERS")
            break
        lines.append(f"  {layer['name']:<12} {layer['values']:,} values equal")
    lines.append("bit-exact" if difference is None else f"first difference: {difference['text']}")
    return "\n".join(lines)


def _streamed(streaming: Mapping[str, Any]) -> str:
    waiting = streaming["waiting_seconds"]
    share = waiting / ((waiting + streaming["array_seconds"]) or 1)
    return (
        f"{streaming['streamed_bytes']:,} bytes for {streaming['segments']:,} runs of a segment; "
        f"the array waited for the link in {share:.1%} of the time"
    )


def bench_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """Several models on one board, in all and layer by layer."""
    array = reports[0]["array"]
    heading = (
        f"{reports[0]['board']}: {array['rows']} x {array['cols']} x {array['lanes']} lanes, "
        f"{array['clock_hz'] / 1e6:g} MHz; images/s at the clock, simulated, with the link"
    )
    rows = [
        [
            report["model"],
            f"{report['images']:,}",
            "-" if report["accuracy"] is None else f"{report['accuracy']:.2%}",
            "yes" if report["bit_exact"] else "NO",
            weights(report["segments"]),
            f"{report['cycles_per_image']:,.1f}",
            f"{report['utilisation']:.1%}",
            rate(report["images_per_second_at_clock"]),
            rate(report["images_per_second_without_link"]),
            rate(report["images_per_second"]),
        ]
        for report in reports
    ]
    columns = [
        "model", "images", "accuracy", "exact", "weights", "cycles/image", "utilisation",
        "at clock/s", "simulated/s", "with link/s",
    ]  # fmt: skip
    lines = [heading, *table(columns, rows)]
    for report in reports:
        lines += ["", *_model_lines(report)]
    return "\n".join(lines)


def _model_lines(report: Mapping[str, Any]) -> list[str]:
    """Where one model's cycles and lanes went."""
    rows = []
    for layer in report["layers"]:
        first, *more = layer["reasons"] or [""]
        rows.append(
            [
                layer["name"],
                f"{layer['cycles_per_pass']:,}",
                f"{layer['share']:.1%}",
                f"{layer['utilisation']:.1%}",
                first,
            ]
        )
        rows += [["", "", "", "", reason] for reason in more]
    columns = ["layer", "cycles/pass", "share", "utilisation", "below 90 % because"]
    counted, predicted = report["counters"]["busy_cycles"], report["predicted_cycles"]
    each = sum(layer["cycles_per_pass"] for layer in report["layers"])
    lines = [
        f"{report['model']}:",
        *table(columns, rows),
        f"passes x cycles: {report['passes']:,} x {each:,} + {report['cycles_outside_layers']:,} around runs "
        f"= {predicted:,}; the board counted "
        + ("as many" if counted == predicted else f"{counted:,}, which DIFFERS"),
    ]
    if report["segments"] > 1:
        lines.append(f"streamed {_streamed(report['streaming'])}")
    compared = report.get("layers_compared")
    if compared is not None:
        found = compared["difference"]
        values = sum(layer["values"] for layer in compared["layers"])
        lines.append(
            f"{compared['images']:,} images layer by layer: all {values:,} values equal the reference's"
            if found is None
            else f"{compared['images']:,} images layer by layer: first difference: {found['text']}"
        )
    return lines
