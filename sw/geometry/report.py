"""The report: one JSON-ready object, and the same as Markdown, written with its figures."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import FIGURES, save
from .rows import Row, Section, Settings

__all__ = ["markdown", "report", "text", "write"]

PAPER = (
    "A. G. Anderson and C. P. Berg, The High-Dimensional Geometry of Binary Neural Networks, "
    "ICLR 2018"
)
_HEAD = """
# The geometry of binary vectors, recomputed

{paper}.

{summary} Written by `{command}`, xnorgrid {xnorgrid}.
Most rows take {samples:,} random vectors, half as many from 1152 entries on.

*paper* is what the paper or its authors' code prints. Where it only has a figure, there is no number, and
ours is held to a closed form. *accepted* is what passes. *explained* is what does not where a further
measurement in the same section tells why, and passes.
"""
_VERDICTS = {True: "pass", False: "FAIL", None: "-"}


def report(sections: Sequence[Section], settings: Settings) -> dict[str, Any]:
    """All rows and their verdicts, JSON-ready; the same settings give the same object."""
    rows = [row for section in sections for row in section.rows]
    passing = {row.key for row in rows if row.passed}
    failing = [row for row in rows if row.passed is False]
    return {
        "paper": PAPER,
        "xnorgrid": importlib.metadata.version("xnorgrid"),
        "command": _command(settings),
        "seed": settings.seed,
        "samples": settings.samples,
        "passed": sum(row.passed is True for row in rows),
        "failed": [row.key for row in failing if row.because not in passing],
        "explained": [row.key for row in failing if row.because in passing],
        "reported": sum(row.passed is None for row in rows),
        "skipped": [section.key for section in sections if section.skipped],
        "sections": [_section(section) for section in sections],
    }


def _command(settings: Settings) -> str:
    """The command that writes the report; folders are another machine's."""
    parts = ["xnorgrid geometry", f"--seed {settings.seed}"]
    if settings.checkpoint is not None:
        parts += [f"--checkpoint {settings.checkpoint.name}", f"--count {settings.count}"]
    return " ".join(parts)


def _section(section: Section) -> dict[str, Any]:
    figures = [] if section.skipped else FIGURES[section.key]
    return {
        "key": section.key,
        "title": section.title,
        "source": section.source,
        "text": section.text.strip(),
        "skipped": section.skipped,
        "rows": [_row(row) for row in section.rows],
        "figures": [
            {"file": f"{figure.name}.png", "caption": figure.caption} for figure in figures
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "what": row.what,
        "paper": row.paper,
        # More digits would be another machine's rounding.
        "ours": float(f"{row.ours:.6g}"),
        "unit": row.unit,
        "accepted": row.accepted,
        "passed": row.passed,
        **({} if row.error is None else {"error": float(f"{row.error:.3g}")}),
        **({} if row.because is None else {"because": row.because}),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The report of :func:`report` as Markdown; its figures are files beside it."""
    lines = [_HEAD.format(summary=_summary(found), **found).strip()]
    for section in found["sections"]:
        lines += ["", f"## {section['title']}", "", f"*{section['source']}*"]
        if section["text"]:
            lines += ["", section["text"]]
        if section["skipped"]:
            lines += ["", f"Skipped: {section['skipped']}."]
            continue
        for figure in section["figures"]:
            lines += ["", f"![{figure['caption']}]({figure['file']})"]
        lines += ["", "| | paper | ours | accepted | |", "| --- | --- | --- | --- | --- |"]
        for row in section["rows"]:
            verdict = _verdict(row, found)
            cells = (row["what"], row["paper"] or "-", _value(row), row["accepted"], verdict)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def text(found: Mapping[str, Any]) -> str:
    """The report for a terminal: what failed and what was left out, and how many rows passed."""
    lines = []
    for section in found["sections"]:
        verdicts = [row["passed"] for row in section["rows"]]
        count = f"{verdicts.count(True)} of {len(verdicts) - verdicts.count(None)} rows pass"
        lines.append(f"{section['key']:<10} {section['title']}: {section['skipped'] or count}")
        lines += [
            f"    {_verdict(row, found)} {row['what']}: {_value(row)}, accepted {row['accepted']}"
            for row in section["rows"]
            if row["passed"] is False
        ]
    return "\n".join([*lines, f"seed {found['seed']}: {_summary(found)}"])


def write(found: Mapping[str, Any], sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write report.md, report.json and the figures into ``folder``, which is made; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "report.md", folder / "report.json"]
    paths[0].write_text(markdown(found))
    paths[1].write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    for section in sections:
        if not section.skipped:
            paths += [save(figure, section.curves, folder) for figure in FIGURES[section.key]]
    return paths


def _summary(found: Mapping[str, Any]) -> str:
    failed, skipped = len(found["failed"]), len(found["skipped"])
    parts = [f"{found['passed']} rows pass", f"{failed or 'none'} fail{'s' if failed == 1 else ''}"]
    if found["explained"]:
        parts.append(f"{len(found['explained'])} not accepted but explained")
    parts.append(f"{found['reported']} are only reported")
    if skipped:
        parts.append(f"{skipped} section{'s' if skipped > 1 else ''} skipped")
    return ", ".join(parts) + "."


def _value(row: Mapping[str, Any]) -> str:
    error = f" ± {row['error']:.2g}" if "error" in row else ""
    return f"{row['ours']:.5g}{error}{row['unit']}"


def _verdict(row: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return "explained" if row["key"] in found["explained"] else _VERDICTS[row["passed"]]
