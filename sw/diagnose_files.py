"""The files of a diagnosis: report.md, report.json and the figures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import diagnose_plots as plots
from .diagnose_text import markdown
from .geometry.figures import Drawing, save

__all__ = ["drawings", "write"]


def drawings(
    report: Mapping[str, Any], curves: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Drawing, Mapping[str, Any]]]:
    """Every figure with what it is drawn from: the ranking, flips if measured, one or two a layer."""
    rows = {row["name"]: row for row in report["layers"]}
    ranked = {"layers": [rows[name] for name in report["ranking"]]}
    found: list[tuple[Drawing, Mapping[str, Any]]] = [(plots.RANKING, ranked)]
    if "flips" in report:
        found.append((plots.FLIPS, {**report["flips"], "accuracy": report["accuracy"]}))
    for number, (name, drawn) in enumerate(curves.items(), 1):
        # A layer may be called anything printable.
        file = f"layer-{number}-{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:40]}"
        of_layer = {**drawn, "name": name}
        if "bands" in drawn:
            caption = f"{name}: sums against thresholds, and firing rates"
            found.append((Drawing(file, caption, plots.activity), of_layer))
        else:
            caption = f"{name}: margin of the right class"
            found.append((Drawing(file, caption, plots.scores), of_layer))
        if "pairs" in drawn:
            caption = f"{name}: dot products and angles before and after binarising"
            found.append((Drawing(f"{file}-weights", caption, plots.compared), of_layer))
    return found


def write(
    report: Mapping[str, Any], curves: Mapping[str, Mapping[str, Any]], folder: Path
) -> list[Path]:
    """Write all files into ``folder``, which is made; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = drawings(report, curves)
    captions = {f"{drawing.name}.png": drawing.caption for drawing, _ in figures}
    paths = [folder / "report.md", folder / "report.json"]
    paths[0].write_text(markdown(report, captions))
    paths[1].write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return paths + [save(drawing, drawn, folder) for drawing, drawn in figures]
