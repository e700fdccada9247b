import dataclasses

import numpy as np
import pytest

from xnorgrid import load
from xnorgrid.compile import ModelDoesNotFit, compile
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import preset
from xnorgrid.inspection import fit, inspect, smallest_preset, streamed_bytes


def network(*widths):
    rng = np.random.default_rng(3)
    shapes = list(zip(widths[1:], widths, strict=False))
    weights = [rng.integers(0, 2, shape) for shape in shapes]
    return from_arrays(weights, [inputs // 2 for _, inputs in shapes[:-1]])


def test_smallest_preset_is_the_first_that_holds_all_weights():
    assert smallest_preset(network(40, 20, 3)) == preset("tiny")
    assert smallest_preset(load("digits")) == preset("small")
    # It runs on small as well, in segments.
    wider = network(600, 120, 120, 10)
    assert fit(wider, preset("small"))["segments"] > 1
    assert smallest_preset(wider) == preset("sim")


def test_smallest_preset_is_the_largest_if_none_holds_all_weights():
    model = network(4096, 2048, 10)
    assert smallest_preset(model) == preset("sim")
    assert inspect(model)["shown"] == "sim" and inspect(model)["on"]["sim"]["segments"] > 1
    with pytest.raises(ModelDoesNotFit):
        smallest_preset(network(40_000, 2))


def test_shown_is_where_a_model_is_resident_or_nothing():
    assert inspect(load("digits"))["shown"] == "small"
    assert inspect(network(40_000, 2))["shown"] is None


@pytest.mark.parametrize(
    ("field", "value", "segments"),
    [("weight_depth", 126 + 1, 1), ("program_depth", 2, 2), ("weight_depth", 126, 3)],
)
def test_streamed_bytes(field, value, segments):
    """Two segments stay in their halves of the memories: only instructions change."""
    model = network(30, 30, 30, 3)
    program = compile(model, dataclasses.replace(preset("tiny"), **{field: value}))
    assert len(program.segments) == segments
    instructions = sum(len(segment.instructions) for segment in program.segments)
    weights = sum(segment.weights.size + segment.presets.size for segment in program.segments)
    expected = {1: 0, 2: instructions, 3: instructions + weights}
    assert streamed_bytes(program) == expected[segments]
