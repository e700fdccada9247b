"""``xnorgrid netlist``: what it says and what it refuses."""

import json

import pytest

#: The array of tests/sim/test_netlist_board.py, so that one synthesis and one compilation do for both.
ARRAY = {
    "lanes": 8, "weight_depth": 512, "preset_depth": 128, "program_depth": 16,
}  # fmt: skip


@pytest.fixture
def changes():
    return [word for name, value in ARRAY.items() for word in ("--set", f"{name}={value}")]


def test_digits_on_a_family(call, changes):
    status, out, _ = call("netlist", "ecp5", *changes, "--count", "2", "-q")
    assert status == 0
    cells, asked, *layers, verdict, cycles = out.splitlines()
    assert cells.startswith("netlist: ") and " LUT4" in cells and " DP16KD" in cells
    assert asked.startswith("model digits: reference = netlist (ecp5, 2 x 2 x 8)? 2 images")
    assert layers[-3:] == [
        "  dense1       256 values equal",
        "  dense2       256 values equal",
        "  scores       20 values equal",
    ]
    assert verdict == "bit-exact"
    assert " cycles simulated; synthesis " in cycles


def test_json_of_another_model(call, changes, conv):
    model, path, _, file = conv
    status, out, _ = call(
        "netlist", "ecp5", *changes, "--model", path, "--images", file, "--json", "-q"
    )
    report = json.loads(out)
    assert status == 0
    assert (report["family"], report["model"], report["bit_exact"]) == ("ecp5", model.name, True)
    assert {name: report["config"][name] for name in ARRAY} == ARRAY
    assert [layer["name"] for layer in report["layers"]] == [one.name for one in model.layers]
    assert report["cells"]["LUT4"] > 1000 and report["cycles"] > report["useful_lanes"] / 32


def test_unknown_target(refused):
    message = refused(4, "netlist", "virtex")
    assert message.startswith("no family or board is called 'virtex'; known: ecp5, ice40, gowin, ")
    assert message.endswith("tang-nano-9k")


def test_unknown_model(refused):
    assert refused(4, "netlist", "ecp5", "--model", "gone").startswith("no bundled model is called")
