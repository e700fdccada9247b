"""A diagnosis as text: for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .columns import table
from .geometry.theory import equivalent_flip_rate

__all__ = ["markdown", "text"]

Report = Mapping[str, Any]

_YARD_STICK = f"{100 * equivalent_flip_rate():.1f} %"
_HEAD = """
# Diagnosis of {model}

{summary}

{command}*hurt* is the accuracy, in points, that the network regains on these images when this layer alone is
put right, ± its standard error: what contradicts the record of training is replaced by that record, or, where
the record of the weights is lost, BatchNorm is refitted to the sums. Damaged layers come first, by what they
hurt, then the others by what flipping {yard_stick} of their bits changes, in points: the error that
binarising long vectors makes. docs/diagnose.md defines every quantity.
"""


def text(report: Report) -> str:
    """The report for a terminal: the layers by rank, and what is wrong."""
    lines = [summary(report), "", *table(*_overview(report))]
    lines += ["", *_findings(report)] if report["damaged"] else []
    if "flips" in report:
        lines += ["", "accuracy (%) by share of flipped bits:", *table(*_flips(report))]
    return "\n".join(lines)


def markdown(report: Report, figures: Mapping[str, str]) -> str:
    """The report as Markdown; ``figures`` are captions by the names of files beside it."""
    command = f"Written by `{report['command']}`.\n\n" if report.get("command") else ""
    lines = [
        _HEAD.format(
            model=report["model"], summary=summary(report), command=command, yard_stick=_YARD_STICK
        ).strip()
    ]
    lines += ["", *_markdown_table(*_overview(report))]
    if report["damaged"]:
        lines += ["", "## Faults", "", *(f"- {line}" for line in _findings(report))]
    sections = (
        ("Activity and thresholds", _activity(report)),
        ("BatchNorm", _batchnorm(report)),
        ("Binarisation of the weights", _latent(report)),
        ("Accuracy (%) by share of flipped bits", _flips(report)),
    )
    for title, (columns, rows) in sections:
        if rows:
            lines += ["", f"## {title}", "", *_markdown_table(columns, rows)]
    if figures:
        lines += ["", "## Figures"]
        for name, caption in figures.items():
            lines += ["", f"![{caption}]({name})"]
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    """What was found, in a sentence or three."""
    first = f"{report['model']}: {report['accuracy']:.2%} of {report['images']:,} images right"
    if report["recorded_accuracy"] is not None:
        first += f" ({report['recorded_accuracy']:.2%} of the test set when it was trained)"
    if report["damaged"]:
        names = ", ".join(report["damaged"])
        count = len(report["damaged"])
        return f"{first}. {count} layer{'s are' if count > 1 else ' is'} damaged: {names}."
    checked = [row["name"] for row in report["layers"] if "drift" in row or "latent" in row]
    if not checked:
        return (
            f"{first}. No layer is found damaged, but there is no record of training to hold weights to: "
            f"the model keeps no BatchNorm, and no checkpoint was named."
        )
    return f"{first}. No layer is damaged."


def _overview(report: Report) -> tuple[list[str], list[list[str]]]:
    rows = {row["name"]: row for row in report["layers"]}
    columns = ["layer", "verdict", "hurt", "dead", "saturated", "entropy", "drift"]
    latent = any("latent" in row for row in report["layers"])
    columns += ["r", "same sign", "angle", "not binarised"] if latent else []
    columns += ["flips in weights", "in activations"]
    return columns, [
        [
            name,
            row["verdict"] + (f" from {row['after'][0]}" if row["verdict"] == "suffers" else ""),
            _hurt(row["hurt"]),
            _count(row, "dead"),
            _count(row, "saturated"),
            _number(row.get("entropy"), "{:.2f}"),
            _number(row.get("drift"), "{:.3f}"),
            *(_short_latent(row) if latent else ()),
            _lost(row["flips"]["weights"]),
            _lost(row["flips"].get("activations")),
        ]
        for name, row in ((name, rows[name]) for name in report["ranking"])
    ]


def _findings(report: Report) -> list[str]:
    rows = {row["name"]: row for row in report["layers"]}
    lines = []
    for name in report["damaged"]:
        lines += [f"{name}: {finding}" for finding in rows[name]["findings"]]
    return lines


def _activity(report: Report) -> tuple[list[str], list[list[str]]]:
    columns = [
        "layer", "channels", "+1 weights", "sums, 1 to 99 %", "thresholds", "unreachable",
        "firing rates", "dead", "saturated", "entropy", "mean |r|", "effective channels",
    ]  # fmt: skip
    return columns, [
        [
            row["name"], str(row["channels"]), f"{row['positive_weights']:.1%}",
            f"{row['sums']['percentile_1']:.0f} … {row['sums']['percentile_99']:.0f}",
            f"{row['thresholds']['min']} … {row['thresholds']['max']}",
            str(row["thresholds"]["unreachable"]),
            f"{row['rate_min']:.1%} … {row['rate_max']:.1%}",
            str(row["dead"]), str(row["saturated"]), f"{row['entropy']:.2f}",
            _number(row["correlation"], "{:.3f}"), f"{row['effective_channels']:.0f}",
        ]
        for row in report["layers"]
        if "sums" in row
    ]  # fmt: skip


def _batchnorm(report: Report) -> tuple[list[str], list[list[str]]]:
    columns = [
        "layer", "|γ|, median", "|γ|, range", "β", "|γ|/σ, median", "results that differ",
        "drift (nats)",
    ]  # fmt: skip
    return columns, [
        [
            row["name"], f"{norm['gamma_median']:.3g}",
            f"{norm['gamma_min']:.3g} … {norm['gamma_max']:.3g}",
            f"{norm['beta_min']:.3g} … {norm['beta_max']:.3g}", f"{norm['scale_median']:.3g}",
            f"{row['differing']:.2%}", f"{row['drift']:.3f}",
        ]
        for row, norm in ((row, row.get("batchnorm")) for row in report["layers"])
        if norm is not None
    ]  # fmt: skip


def _latent(report: Report) -> tuple[list[str], list[list[str]]]:
    columns = [
        "layer", "n", "angle", "σ", "σ if Gaussian", "r", "r of independent inputs", "slope",
        "same sign", "weights that differ", "latent at ±1",
    ]  # fmt: skip
    return columns, [
        [
            row["name"], str(row["fan_in"]), f"{found['angle_mean']:.1f}°",
            f"{found['angle_sigma']:.2f}°", f"{found['angle_sigma_expected']:.2f}°",
            f"{found['r']:.3f}", f"{found['r_independent']:.3f}", f"{found['slope']:.3f}",
            f"{found['sign_agreement']:.1%}", f"{found['differing']:.2%}",
            f"{found['at_limit']:.1%}",
        ]
        for row, found in ((row, row.get("latent")) for row in report["layers"])
        if found is not None
    ]  # fmt: skip


def _flips(report: Report) -> tuple[list[str], list[list[str]]]:
    curves = report.get("flips")
    if curves is None:
        return [], []
    columns = ["layer", "bits flipped", *(f"{100 * rate:.3g} %" for rate in curves["rates"])]
    return columns, [
        [row["layer"], kind, *(f"{100 * value:.1f}" for value in row[kind])]
        for kind in ("weights", "activations")
        for row in curves["layers"]
        if row[kind] is not None
    ]


def _hurt(hurt: Report) -> str:
    return "-" if hurt["repair"] is None else f"{hurt['points']:.1f} ± {hurt['error']:.1f}"


def _short_latent(row: Report) -> tuple[str, str, str, str]:
    found, change = row.get("latent"), row.get("not_binarised")
    if found is None:
        return "-", "-", "-", "-"
    shown = "-" if change is None else f"{change['points']:+.1f} ± {change['error']:.1f}"
    return (
        f"{found['r']:.3f}",
        f"{found['sign_agreement']:.1%}",
        f"{found['angle_mean']:.1f}°",
        shown,
    )


def _count(row: Report, name: str) -> str:
    return f"{row[name]} of {row['channels']}" if name in row else "-"


def _lost(points: float | None) -> str:
    return _number(points, "{:+.1f}")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
