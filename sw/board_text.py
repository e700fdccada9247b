"""What boards, devices and builds are, as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .columns import pairs, rate, table, weights

__all__ = ["board_text", "boards_text", "build_text", "devices_text"]

_RESOURCES = {
    "lut4": "LUTs", "flip_flop": "flip-flops", "block_ram": "block RAMs", "spram": "SPRAMs",
}  # fmt: skip


def boards_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """All boards, a line each."""
    rows = [
        [
            report["board"],
            report["title"],
            report["device_title"],
            _array(report["config"]),
            _mega(report["config"]["clock_hz"]),
            _mega(report["config"]["baud"]),
            ", ".join(report["programmers"]),
        ]
        for report in reports
    ]
    columns = ["board", "name", "FPGA", "array", "MHz", "Mbaud", "loaded with"]
    return "\n".join(table(columns, rows))


def board_text(report: Mapping[str, Any]) -> str:
    """One board with its pins and its configuration."""
    config = report["config"]
    rows = [
        ("board", report["title"]),
        ("FPGA", f"{report['device_title']} ({report['device']})"),
        ("oscillator", f"{_mega(report['oscillator_hz'])} MHz"),
        *((f"pin of {use}", pin) for use, pin in report["pins"].items()),
        ("connected by", report["connection"]),
        ("loaded with", ", ".join(report["programmers"])),
        *(
            (name, f"{value:,}" if isinstance(value, int) else value)
            for name, value in config.items()
        ),
    ]
    return pairs(rows)


def devices_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """All FPGAs, a line each."""
    rows = [
        [
            report["name"],
            report["title"],
            report["family"],
            f"{report['luts']:,}",
            f"{report['flip_flops']:,}",
            _memories(report["block_rams"], report["block_ram_bits"]),
            _memories(report["sprams"], report["spram_bits"]),
        ]
        for report in reports
    ]
    columns = ["device", "name", "family", "LUTs", "flip-flops", "block RAMs", "SPRAMs"]
    return "\n".join(table(columns, rows))


def _memories(count: int, bits: int) -> str:
    return f"{count} x {bits:,} bits" if count else "-"


def build_text(report: Mapping[str, Any]) -> str:
    """What a build came to."""
    clock = report["clocks"]["clk"]
    file = Path(report["folder"]) / report["bitstream"]
    rows = [
        ("board", f"{report['board']} ({report['device']})"),
        ("array", _array(report["config"])),
        *(
            (
                _RESOURCES[name],
                f"{resource['used']:,} of {resource['total']:,} ({resource['percent']:.0f} %)",
            )
            for name, resource in report["resources"].items()
        ),
        (
            "clock",
            (
                f"{_mega(clock['target_hz'])} MHz asked for, {clock['routed_hz'] / 1e6:.2f} MHz routed: "
                f"{clock['slack_ns']:.2f} ns to spare"
            ),
        ),
        *_path_rows(report["critical_path"]),
        ("operations", f"{report['operations_per_lut_per_cycle']:.3f} a LUT and cycle"),
        *_model_rows(report["model"], report["config"]),
        ("tools", ", ".join(f"{name} {version}" for name, version in report["tools"].items())),
        ("seed", str(report["seed"])),
        ("seconds", ", ".join(f"{name} {value:g}" for name, value in report["seconds"].items())),
        ("bitstream", f"{file}, {report['bitstream_bytes']:,} bytes"),
        ("SHA-256", report["bitstream_sha256"]),
    ]
    return pairs(rows)


def _path_rows(path: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if path is None:
        return []
    return [
        (
            "slowest path",
            f"{path['logic_ns']:.2f} ns logic and {path['routing_ns']:.2f} ns routing",
        ),
        ("  from", path["start"]),
        ("  to", path["end"]),
    ]


def _model_rows(
    model: Mapping[str, Any] | None, config: Mapping[str, Any]
) -> list[tuple[str, str]]:
    if model is None:
        return []
    return [
        ("model", f"{model['name']}, weights {weights(model['segments'])}"),
        (
            "images/s, core",
            (
                f"{rate(model['images_per_second_core'])}: {model['cycles_per_image']:,.1f} cycles an image"
            ),
        ),
        (
            "images/s, link",
            f"{rate(model['images_per_second_link'])} at {config['baud']:,} baud",
        ),
    ]


def _array(config: Mapping[str, Any]) -> str:
    return f"{config['rows']} x {config['cols']} x {config['lanes']} lanes"


def _mega(value: float) -> str:
    return f"{value / 1e6:g}"
