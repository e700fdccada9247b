import numpy as np
import pytest

from xnorgrid.sim.streams import new_seed
from xnorgrid.verify import first_difference


@pytest.fixture
def results():
    rng = np.random.default_rng(new_seed())
    layers = [rng.integers(0, 2, (6, 5)), rng.integers(0, 2, (6, 4)), rng.integers(-9, 9, (6, 3))]
    return {name: [layer.copy() for layer in layers] for name in ("PyTorch", "reference", "RTL")}


def test_equal_results_have_no_difference(results):
    assert first_difference(["a", "b", "c"], results) is None


def test_names_the_first_neuron_of_the_first_differing_layer(results):
    results["RTL"][1][4, 2] ^= 1
    results["RTL"][1][3, 2] ^= 1
    results["RTL"][1][0, 3] ^= 1
    results["PyTorch"][2][:] += 1
    difference = first_difference(["a", "b", "c"], results)
    assert (difference.layer, difference.neuron, difference.image) == ("b", 2, 3)
    assert (difference.differing, difference.compared) == (3, 24)
    expected = int(results["reference"][1][3, 2])
    assert difference.values == {
        "PyTorch": expected, "reference": expected, "RTL": 1 - expected
    }  # fmt: skip
    assert str(difference) == (
        f"layer 'b', neuron 2, image 3: PyTorch {expected}, reference {expected}, "
        f"RTL {1 - expected} (3 of 24 values of this layer differ)"
    )


def test_names_channel_and_position_in_a_feature_map():
    rng = np.random.default_rng(new_seed())
    maps = rng.integers(0, 2, (6, 3, 5, 4), dtype=np.uint8)
    damaged = maps.copy()
    for place in ((0, 0, 0, 3), (4, 0, 0, 2), (3, 2, 4, 2), (3, 1, 3, 2), (3, 1, 4, 2)):
        damaged[place] ^= 1
    difference = first_difference(["conv1"], {"reference": [maps], "RTL": [damaged]})
    assert (difference.neuron, difference.position, difference.image) == (2, (1, 3), 3)
    expected = int(maps[3, 1, 3, 2])
    assert difference.values == {"reference": expected, "RTL": 1 - expected}
    assert str(difference) == (
        f"layer 'conv1', channel 2, row 1, column 3, image 3: reference {expected}, "
        f"RTL {1 - expected} (5 of 360 values of this layer differ)"
    )


def test_results_that_cannot_be_compared_are_refused(results):
    with pytest.raises(ValueError, match=r"^comparing takes two computations or more, not \['a'\]"):
        first_difference(["a"], {"a": results["RTL"]})
    results["RTL"][0] = results["RTL"][0][:, :2]
    with pytest.raises(ValueError, match=r"^layer 'a': shapes differ: "):
        first_difference(["a", "b", "c"], results)
