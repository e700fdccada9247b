"""What is said of a model before it runs, as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .columns import rate, table, weights

__all__ = ["inspect_text", "problems_text"]

#: Columns of running text.
_WIDTH = 106


def inspect_text(report: Mapping[str, Any]) -> str:
    """A model's layers, where it comes from, and where it fits."""
    shown = report["shown"]
    fit = {} if shown is None else report["on"][shown]
    lines = [
        (
            f"model {report['name']}: {report['weight_bits']:,} weight bits, "
            f"{report['operations_per_image']:,} XNORs per image"
        ),
        f"input {_input(report['input'])}; classes {', '.join(report['labels']) or report['classes']}"
        + ("; a gain and an offset for each class" if report["has_affine"] else ""),
    ]
    if shown is not None:
        array = fit["array"]
        lines.append(
            f"cycles and utilisation are those of a pass of {array['cols']} images on {shown}: "
            f"{array['rows']} x {array['cols']} x {array['lanes']} lanes"
        )
    lines += ["", *_layer_table(report["layers"], fit.get("layers")), ""]
    for name, value in report["provenance"].items():
        text = value
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} {entry}" for key, entry in value.items())
        lines += textwrap.wrap(f"{name}: {text}", _WIDTH, subsequent_indent="  ")
    if report["provenance"]:
        lines.append("")
    fitting = {name: fit for name, fit in report["on"].items() if fit["fits"]}
    if fitting:
        lines += _fit_table(fitting)
    for name, other in report["on"].items():
        if not other["fits"]:
            problems = [(entry["layer"], entry["problem"]) for entry in other["problems"]]
            lines.append(f"{name}: {problems_text(other['why_not'], problems)}")
    return "\n".join(lines)


def problems_text(message: str, problems: Sequence[tuple[str, str]]) -> str:
    """The message of :class:`~xnorgrid.compile.UnsupportedLayers` with one line for each problem."""
    listed = "; ".join(f"layer {layer!r}: {text}" for layer, text in problems)
    head = message.removesuffix(listed).rstrip()
    return "\n  ".join([head, *(f"layer {layer!r}: {text}" for layer, text in problems)])


def _layer_table(
    layers: Sequence[Mapping[str, Any]], uses: Sequence[Mapping[str, Any]] | None
) -> list[str]:
    rows = []
    for index, layer in enumerate(layers):
        conv = layer["op"] == "conv"
        row = [
            layer["name"],
            layer["op"],
            _shape(layer["input_shape"]),
            _shape(layer["output_shape"]),
            _shape(layer["shape"][1:3]) if conv else "-",
            str(layer["stride"]) if conv else "-",
            _padding(layer) if conv else "-",
            _shape([layer["pool"]] * 2) if conv and layer["pool"] > 1 else "-",
            f"{layer['weight_bits']:,}",
            f"{layer['operations']:,}",
        ]
        if uses is not None:
            row += [f"{uses[index]['cycles_per_pass']:,}", f"{uses[index]['utilisation']:.1%}"]
        rows.append(row)
    columns = [
        "layer", "op", "in", "out", "kernel", "stride", "padding", "pool", "weights",
        "XNORs/image",
    ]  # fmt: skip
    return table([*columns, *(["cycles", "utilisation"] if uses is not None else [])], rows)


def _fit_table(fits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            name,
            weights(fit["segments"]),
            f"{fit['images_per_run']:,}",
            f"{fit['cycles_per_image']:,.1f}",
            f"{fit['utilisation']:.1%}",
            rate(fit["images_per_second_at_clock"]),
            f"{fit['streamed_bytes_per_run']:,}",
            rate(fit["images_per_second_on_link"]),
        ]
        for name, fit in fits.items()
    ]
    arrays = [fit["array"] for fit in fits.values()]
    clocks = sorted({f"{array['clock_hz'] / 1e6:g} MHz" for array in arrays})
    links = sorted({f"{array['baud'] / 1e6:g} Mbit/s ({array['link']})" for array in arrays})
    lines = table(
        [
            "array", "weights", "images/run", "cycles/image", "utilisation", "images/s, array",
            "bytes/run", "images/s, link",
        ],
        rows,
    )  # fmt: skip
    return [
        *lines,
        f"at {' or '.join(clocks)}, {' or '.join(links)}; bytes/run are streamed weights",
    ]


def _input(source: Mapping[str, Any]) -> str:
    how = f"pixels 0 … {source['maximum']}"
    match source["kind"]:
        case "bits":
            how = "bits"
        case "threshold":
            how = f"pixel >= {source['threshold']}"
        case "pixels":
            how += " with all of their bits"
        case "thermometer":
            how += f" as thermometers of {source['levels']} bits"
        case "hadamard":
            how += f", signs of {_shape(source['patch'])} patches under {source['draws']} random rotations"
        case "weight-planes":
            how += f" with all of their bits, for weights of {source['bits']} bits"
    return f"{_shape(source['shape'])}, {how}"


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(str(size) for size in sizes)


def _padding(layer: Mapping[str, Any]) -> str:
    rows, columns = layer["padding"]
    if not rows and not columns:
        return "-"
    size = str(rows) if rows == columns else _shape((rows, columns))
    return f"{size} of {layer['fill']:+d}" if layer["fill"] else f"{size} of 0"
