"""What a model needs, against the compiler on a configuration of exactly that and of one less."""

import dataclasses

import networks
import numpy as np
import pytest

from xnorgrid import load
from xnorgrid.compile import ModelDoesNotFit, compile
from xnorgrid.construct import from_arrays
from xnorgrid.hw.config import ArrayConfig
from xnorgrid.modelfile import bundled_models
from xnorgrid.needs import needs
from xnorgrid.sim.streams import new_seed

DEPTHS = ("weight_depth", "activation_depth", "preset_depth", "program_depth")


def resident(model, config):
    try:
        return len(compile(model, config).segments) == 1
    except ModelDoesNotFit:
        return False


def check(model, array):
    needed = needs(model, array)
    least = dataclasses.replace(
        needed.smallest(array), activation_depth=max(2, needed.activation_depth)
    )
    assert resident(model, least)
    for name in (*DEPTHS, "accumulator_bits"):
        value = getattr(least, name)
        if value > {"accumulator_bits": 3, "activation_depth": 2, "weight_depth": 2}.get(name, 1):
            assert not resident(model, dataclasses.replace(least, **{name: value - 1})), name
    for passes in (1, 3):
        depth = needed.shared_words + passes * needed.pass_words
        config = dataclasses.replace(least, activation_depth=depth)
        program = compile(model, config)
        assert program.max_passes == passes
        exact = program.cycles(passes, turnaround=31, overhead=77)
        assert needed.cycles_per_image(config, 31, 77) == exact / (passes * config.cols)


def test_random_models_need_exactly_what_is_said():
    seed = new_seed()
    rng = np.random.default_rng(seed)
    for _ in range(40):
        check(networks.random_network(rng), networks.random_array(rng))


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_need_exactly_what_is_said(name):
    array = ArrayConfig(
        rows=22, cols=8, lanes=72, weight_depth=2, activation_depth=2, preset_depth=1
    )
    check(load(name), array)


def test_lfc_on_22_rows_of_72_lanes():
    array = ArrayConfig(
        rows=22, cols=8, lanes=72, weight_depth=2, activation_depth=2, preset_depth=1
    )
    needed = needs(load("lfc"), array)
    # 47 tiles of 11 words, twice 47 of 15, one of 15, and the reserved word.
    assert needed.weight_depth == 47 * 11 + 2 * 47 * 15 + 15 + 1
    assert needed.preset_depth == 3 * 47 + 1
    assert needed.program_depth == 4
    assert needed.accumulator_bits == 12
    assert needed.shared_words == 1 + 2 * 15
    assert needed.pass_words == 11 + 4


def test_a_model_that_no_memories_hold_is_refused():
    rng = np.random.default_rng(0)
    model = from_arrays([rng.integers(0, 2, (20, 20_000))], [], name="wide")
    array = ArrayConfig(rows=1, cols=1, lanes=4, weight_depth=2, activation_depth=2, preset_depth=1)
    with pytest.raises(
        ModelDoesNotFit, match="model 'wide': no memories hold all of it on 1 x 1 x 4"
    ):
        needs(model, array)
