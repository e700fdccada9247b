"""Fit the model behind :mod:`.estimate` to real builds: ``python -m xnorgrid.boards.fit``.

Builds a list of configurations, keeps what each came to, fits coefficients to those that are not held out,
and writes the model, and as a page of documentation how far it is off on those that are. Builds that were
done before are taken as they are; ``--jobs 0`` builds none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xnorgrid.hw.accelerator import Accelerator
from xnorgrid.hw.export import to_verilog

from .catalogue import BOARDS
from .devices import FAMILIES
from .estimate import MODEL_FILE
from .fit_page import page
from .fitted_model import Measured, model_of
from .floorplan import placement
from .samples import SAMPLES, Sample
from .several import Task, build_all

__all__ = ["Results", "gateware", "main"]


def gateware(family: str) -> str:
    """SHA-256 of a small accelerator for ``family``: changes when its Verilog does, or its floorplan."""
    sample = next(one for one in SAMPLES if BOARDS[one.board].device.family == family)
    verilog = to_verilog(Accelerator(sample.config), technology=family)
    places = placement(sample.config, BOARDS[sample.board].device)
    return hashlib.sha256((verilog + places).encode()).hexdigest()


class Results:
    """What builds came to, in a file, each with the gateware that it was built from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def get(self, sample: Sample, digest: str | None) -> Measured | None:
        """What ``sample`` came to with this gateware, or with any if it is ``None``."""
        for found in self._found:
            if digest in (None, found["gateware"]) and Measured.from_dict(found).sample == sample:
                return Measured.from_dict(found)
        return None

    def put(self, measured: Measured, digest: str) -> None:
        """Keep ``measured`` in place of what its sample came to before."""
        self._found = [
            found for found in self._found if Measured.from_dict(found).sample != measured.sample
        ]
        self._found.append({**measured.to_dict(), "gateware": digest})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(self._found, indent=1) + "\n")
        written.replace(self._path)


def main(argv: Sequence[str] | None = None) -> int:
    """Build, fit and write; return the process's exit status."""
    arguments = _arguments(argv)
    results = Results(arguments.folder / "results.json")
    digests = {family: gateware(family) for family in FAMILIES}
    samples = [
        sample
        for sample in SAMPLES
        if arguments.family in (None, BOARDS[sample.board].device.family)
    ]
    measured, tasks = [], {}
    for number, sample in enumerate(samples):
        family = BOARDS[sample.board].device.family
        known = results.get(sample, None if arguments.any_gateware else digests[family])
        if known:
            measured.append(known)
        else:
            folder = arguments.folder / f"{number:02}"
            tasks[Task(sample.board, sample.config, folder, route=sample.route)] = sample
    # The longest first, so that none runs alone in the end.
    tasks = dict(sorted(tasks.items(), key=lambda one: -one[0].config.lane_count * one[0].route))
    for done, outcome in enumerate(
        build_all(list(tasks), arguments.jobs) if arguments.jobs else ()
    ):
        sample = tasks[outcome.task]
        if outcome.problem:
            print(f"{done + 1} of {len(tasks)}: {sample}: {outcome.problem}", file=sys.stderr)
            continue
        one = Measured.of(sample, outcome)
        print(f"{done + 1} of {len(tasks)}: {_text(one)}", file=sys.stderr)
        results.put(one, digests[one.device.family])
        measured.append(one)
    measured.sort(key=lambda one: samples.index(one.sample))
    written = json.loads(MODEL_FILE.read_text())
    for family in FAMILIES:
        of_family = [one for one in measured if one.device.family == family]
        if any(one.sample.held_out for one in of_family):
            written[family] = {
                "gateware": digests[family],
                **model_of(of_family),
                "builds": [one.to_dict() for one in of_family],
            }
    MODEL_FILE.write_text(json.dumps(written, indent=1) + "\n")
    arguments.page.write_text(page(written))
    print(f"wrote {MODEL_FILE} and {arguments.page}")
    return 0


def _text(one: Measured) -> str:
    config = one.sample.config
    return (
        f"{one.device.name} {config.rows} x {config.cols} x {config.lanes}: {one.lut4} LUTs, "
        f"{one.flip_flop} flip-flops" + (f", {one.clock / 1e6:.1f} MHz" if one.clock else "")
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m xnorgrid.boards.fit", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("build/fit"), help="builds (default: %(default)s)"
    )
    parser.add_argument("--family", choices=FAMILIES, help="only this family")
    parser.add_argument(
        "--jobs", type=int, default=2, help="builds at a time, 0 for none (default: %(default)s)"
    )
    parser.add_argument(
        "--any-gateware",
        action="store_true",
        help="take what was built from other gateware before as it is",
    )
    parser.add_argument(
        "--page", type=Path, default=Path("docs/estimates.md"), help="default: %(default)s"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
