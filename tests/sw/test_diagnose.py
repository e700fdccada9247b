"""A damaged layer is found and named, whatever was done to it; a sound network is left in peace."""

import dataclasses

import numpy as np
import pytest
from networks import random_images, random_network

from xnorgrid import data, modelfile
from xnorgrid import diagnose_layers as measures
from xnorgrid.diagnose import DAMAGED, SOUND, SUFFERS, diagnose
from xnorgrid.diagnose_faults import with_signs
from xnorgrid.diagnose_flips import flip_curves, flipped_activations, flipped_weights
from xnorgrid.diagnose_latent import continuous_sums, products_compared, weights_compared
from xnorgrid.diagnose_trial import Trial, pooled, sums_of
from xnorgrid.image_choice import CommandError
from xnorgrid.sim.streams import new_seed

MODEL = modelfile.load("digits")
HIDDEN = [layer.name for layer in MODEL.layers[:-1]]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def examine(digits):
    """Diagnose a model on the digits held out."""
    return lambda model, latent=None: diagnose(
        Trial(model, digits.test_images, digits.test_labels), latent
    )[0]


def altered(model, name, **fields):
    """``model`` with ``fields`` of layer ``name`` replaced."""
    layers = [
        dataclasses.replace(layer, **fields) if layer.name == name else layer
        for layer in model.layers
    ]
    return dataclasses.replace(model, layers=tuple(layers))


def layer_of(model, name):
    return next(layer for layer in model.layers if layer.name == name)


def row_of(report, name):
    return next(row for row in report["layers"] if row["name"] == name)


def shifted(layer, rng, by):
    thresholds = np.clip(layer.thresholds + by, 0, layer.fan_in + 1)
    return {"thresholds": thresholds}


def inverted(layer, rng):
    return {"weights": layer.weights ^ (rng.random(layer.weights.shape) < 0.25)}


def some(layer, rng):
    return rng.permutation(layer.channels) < 0.4 * layer.channels


def dead_by_thresholds(layer, rng):
    limits = rng.choice([0, layer.fan_in + 1], layer.channels)
    return {"thresholds": np.where(some(layer, rng), limits, layer.thresholds).astype(np.int32)}


def dead_by_weights(layer, rng):
    weights = layer.weights.copy()
    weights[some(layer, rng)] = 1
    return {"weights": weights}


DAMAGES = {
    "thresholds up": lambda layer, rng: shifted(layer, rng, 12),
    "thresholds down": lambda layer, rng: shifted(layer, rng, -12),
    "weights inverted": inverted,
    "dead by thresholds": dead_by_thresholds,
    "dead by weights": dead_by_weights,
    "thresholds and weights": lambda layer, rng: {
        **shifted(layer, rng, 12),
        **inverted(layer, rng),
    },
}
#: Those that can be seen without a record: channels die, or accuracy comes back with moved thresholds.
SEEN_WITHOUT_BATCHNORM = ("thresholds up", "thresholds down", "dead by thresholds")


def latent_of(model, rng):
    """Latent weights that the model's could come from."""
    return {
        layer.name: (
            (2.0 * layer.weights - 1) * rng.uniform(0.01, 1, layer.weights.shape)
        ).astype(np.float32)
        for layer in model.layers
    }  # fmt: skip


@pytest.mark.parametrize("model", [MODEL, dataclasses.replace(MODEL, batchnorm={})])
def test_a_sound_network_is_left_in_peace(examine, model):
    report = examine(model)
    assert report["damaged"] == []
    assert [row["verdict"] for row in report["layers"]] == [SOUND] * 3
    assert [row["hurt"]["points"] for row in report["layers"]] == [0] * 3
    assert report["accuracy"] == MODEL.provenance["test_accuracy"] == report["recorded_accuracy"]
    # Without a fault, the order is that of the loss from flipped bits.
    losses = [min(row_of(report, name)["flips"].values()) for name in report["ranking"]]
    assert losses == sorted(losses)


@pytest.mark.parametrize("count", [1, 3, 8, 40, 120])
@pytest.mark.parametrize("model", [MODEL, dataclasses.replace(MODEL, batchnorm={})])
def test_nor_is_it_accused_on_few_images(digits, model, count):
    trial = Trial(model, digits.test_images[:count], digits.test_labels[:count])
    assert diagnose(trial)[0]["damaged"] == []


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_layer_is_named(examine, name, damage):
    seed = new_seed()
    fields = DAMAGES[damage](layer_of(MODEL, name), np.random.default_rng(seed))
    report = examine(altered(MODEL, name, **fields))
    assert (report["damaged"], report["ranking"][0]) == ([name], name), f"seed {seed}"
    place = HIDDEN.index(name)
    verdicts = [row["verdict"] for row in report["layers"]]
    assert verdicts == [SOUND] * place + [DAMAGED] + [SUFFERS] * (2 - place)
    assert {row["after"][0] for row in report["layers"][place + 1 :]} == {name}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("damage", SEEN_WITHOUT_BATCHNORM)
def test_it_is_first_without_batchnorm_too(examine, name, damage):
    seed = new_seed()
    fields = DAMAGES[damage](layer_of(MODEL, name), np.random.default_rng(seed))
    bare = dataclasses.replace(MODEL, batchnorm={})
    assert examine(altered(bare, name, **fields))["ranking"][0] == name, f"seed {seed}"


@pytest.mark.parametrize("name", [*HIDDEN, "scores"])
def test_with_latent_weights_few_inverted_ones_are_found(examine, name):
    rng = np.random.default_rng(new_seed())
    latent = latent_of(MODEL, rng)
    weights = layer_of(MODEL, name).weights.copy()
    weights[: len(weights) // 8] ^= 1
    report = examine(altered(MODEL, name, weights=weights), latent)
    assert report["damaged"] == [name]
    (finding,) = row_of(report, name)["findings"]
    share = np.mean(weights != layer_of(MODEL, name).weights)
    assert finding == f"{share:.1%} of its weights are not the signs of the checkpoint's"


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_put_right_by_its_record_is_all_regained(examine, name, damage):
    rng = np.random.default_rng(new_seed())
    fields = DAMAGES[damage](layer_of(MODEL, name), rng)
    report = examine(altered(MODEL, name, **fields), latent_of(MODEL, rng))
    hurt = row_of(report, name)["hurt"]
    assert hurt["repair"] == "as recorded"
    lost = 100 * (MODEL.provenance["test_accuracy"] - report["accuracy"])
    assert hurt["points"] == pytest.approx(lost, abs=1e-9)
    assert report["damaged"] == [name]
    # After a fault, what the other weights give would say more of the fault.
    place = [*HIDDEN, "scores"].index(name)
    assert ["not_binarised" in row for row in report["layers"]] == [k < place for k in range(3)]


def test_two_damaged_layers_are_both_named(examine):
    rng = np.random.default_rng(new_seed())
    first, second = HIDDEN
    model = altered(MODEL, first, **dead_by_thresholds(layer_of(MODEL, first), rng))
    model = altered(model, second, **inverted(layer_of(MODEL, second), rng))
    report = examine(model)
    assert sorted(report["damaged"]) == HIDDEN
    assert "thresholds" in row_of(report, first)["findings"][0]
    assert "as if its weights were altered since" in row_of(report, second)["findings"][0]


def test_layers_after_lost_weights_are_not_held_to_their_statistics(examine):
    """The second layer's sums drift because of the first, whose weights cannot be restored."""
    weights = inverted(layer_of(MODEL, HIDDEN[0]), np.random.default_rng(new_seed()))
    report = examine(altered(MODEL, HIDDEN[0], **weights))
    assert row_of(report, HIDDEN[1])["drift"] > 0.05
    assert row_of(report, HIDDEN[1])["findings"] == []
    assert "or the images were not as in training" in row_of(report, HIDDEN[0])["findings"][0]


@pytest.fixture
def random_trial():
    """A random network with all its varieties, images and labels; the seed is printed."""
    seed = new_seed()
    rng = np.random.default_rng(seed)
    model = random_network(rng)
    images = random_images(rng, model, 7)
    return Trial(model, images, rng.integers(0, model.classes, 7)), f"seed {seed}"


@pytest.mark.parametrize("_", range(12))
def test_unaltered_layers_change_nothing(random_trial, _):
    trial, seed = random_trial
    for index, layer in enumerate(trial.model.layers):
        same = trial.right_with_layer(index, layer)
        assert np.array_equal(same, trial.right), seed
        ahead = trial.from_layer(index, trial.inputs(index))
        assert np.array_equal(ahead[-1].values, trial.results[-1].values), seed
        if layer.thresholds is None:
            continue
        bits = trial.results[index].values
        assert np.array_equal(trial.right_with_bits(index, bits), trial.right), seed
        amplitude = trial.model.amplitude(index)
        sums = pooled(sums_of(layer, trial.results[index], amplitude), layer)
        again = trial.sums_with_layer(index, layer, trial.inputs(index))
        assert np.array_equal(again, sums), seed
        above = sums >= measures.switching_sums(layer, amplitude)
        assert np.array_equal(above ^ layer.inverted, bits), seed


@pytest.mark.parametrize("_", range(12))
def test_latent_weights_of_one_give_the_binary_sums(random_trial, _):
    trial, seed = random_trial
    for index, layer in enumerate(trial.model.layers):
        amplitude = trial.model.amplitude(index)
        latent = (2.0 * layer.weights - 1).astype(np.float32)
        binary = sums_of(layer, trial.results[index], amplitude)
        continuous = continuous_sums(trial.values(index), layer, latent, amplitude)
        assert np.array_equal(continuous, binary), seed
        assert with_signs(layer, latent) == layer
        found = weights_compared(layer, 0.25 * latent)
        assert found["angle_mean"] == pytest.approx(0, abs=1e-4)
        assert (found["differing"], found["at_limit"]) == (0, 0)
        found = products_compared(binary, 0.25 * continuous, layer, 0.25 * latent)
        assert found["sign_agreement"] == 1
        if np.ptp(binary):
            assert (found["r"], found["slope"]) == pytest.approx((1, 0.25))


def test_every_random_network_can_be_diagnosed(random_trial):
    trial, seed = random_trial
    report, curves = diagnose(trial, latent_of(trial.model, np.random.default_rng(1)))
    assert sorted(report["ranking"]) == sorted(curves), seed


def test_activity_by_hand():
    bits = np.zeros((200, 4), np.uint8)
    bits[:, 0] = 1
    bits[:1, 1] = 1
    bits[:100, 2] = 1
    found = measures.activity(bits)
    assert (found["dead"], found["saturated"]) == (2, 1)
    assert (found["rate_min"], found["rate_median"], found["rate_max"]) == (0, 0.2525, 1)
    rare = -(0.005 * np.log2(0.005) + 0.995 * np.log2(0.995))
    assert found["entropy"] == pytest.approx((1 + rare) / 4)


def test_correlations_of_equal_and_of_independent_channels():
    rng = np.random.default_rng(1)
    one = rng.integers(0, 2, (5000, 1), np.uint8)
    alike = np.concatenate([one, one, 1 - one, np.ones_like(one)], 1)
    found = measures.correlations(alike)
    assert found == {
        "correlation": pytest.approx(1), "effective_channels": pytest.approx(1),
    }  # fmt: skip
    apart = measures.correlations(rng.integers(0, 2, (5000, 4), np.uint8))
    assert apart["correlation"] < 0.05
    assert apart["effective_channels"] == pytest.approx(4, abs=0.05)
    assert measures.correlations(np.ones((9, 3), np.uint8)) == {
        "correlation": None, "effective_channels": 0,
    }  # fmt: skip


def test_drift_is_the_divergence_of_normal_laws():
    sums = np.array([[-1.0], [1.0]]) * 2 + 5
    rows = np.array([[1], [0], [3], [8]], np.float32)
    expected = (0.5 + 0.5 - 1 - np.log(0.5)) / 2
    assert measures.drift(sums, rows, 0.0) == pytest.approx(expected)
    # The variance that dropout made is no drift.
    assert measures.drift(sums - 2, rows, 0.0, dropped=4.0) == pytest.approx(0)
    # A dead channel counts, but not without end.
    assert measures.drift(np.zeros((2, 1)), rows, 0.0) == 3


def test_dropout_of_the_recipe_is_allowed_for(digits):
    """Dropout widens the sums of training: statistics recorded with it are no sign of damage."""
    recipe = {**MODEL.provenance["recipe"], "dropout": 0.8}
    wider = {name: rows.copy() for name, rows in MODEL.batchnorm.items()}
    # 0.8 / (1 - 0.8) for each of the inputs, instead of the 0.1 / (1 - 0.1) that it was trained with.
    wider["dense2"][3] += MODEL.layers[1].fan_in * (4 - 1 / 9)
    # The threshold stays where the mean and variance put it.
    scale = np.sqrt(wider["dense2"][3] / MODEL.batchnorm["dense2"][3])
    wider["dense2"][0] *= scale
    for provenance, named in (({"recipe": recipe}, []), ({}, ["dense2"])):
        model = dataclasses.replace(MODEL, batchnorm=wider, provenance=provenance)
        report = diagnose(Trial(model, digits.test_images, digits.test_labels))[0]
        assert report["damaged"] == named


def test_flips(digits):
    trial = Trial(MODEL, digits.test_images[:100], digits.test_labels[:100])
    last = len(MODEL.layers) - 1
    for index in range(last):
        assert flipped_activations(trial, index, 0.0, 1).points == 0
        assert flipped_weights(trial, index, 0.0, 1).points == 0
    # All weights of the last layer flipped negate the scores; all bits before it as well.
    negated = trial.right_scores(-trial.results[-1].values).mean() - trial.accuracy
    assert flipped_weights(trial, last, 1.0, 1).points == pytest.approx(100 * negated)
    assert flipped_activations(trial, last - 1, 1.0, 1).points == pytest.approx(100 * negated)


def test_flip_curves_fall_and_repeat(digits):
    trial = Trial(MODEL, digits.test_images, digits.test_labels)
    told = []
    curves = flip_curves(trial, 3, lambda: told.append(1), rates=(0.02, 0.2, 0.5))
    assert curves == flip_curves(trial, 3, rates=(0.02, 0.2, 0.5))
    assert curves != flip_curves(trial, 4, rates=(0.02, 0.2, 0.5))
    assert len(told) == 3 * 5
    assert curves[-1]["activations"] is None
    for row in curves:
        for kind in ("weights", "activations"):
            if row[kind] is not None:
                few, more, half = row[kind]
                assert few > more > half
                # At half there is nothing left but chance.
                assert few > 0.9 and half < 0.3


def test_too_many_images_are_refused_before_they_are_run():
    model = modelfile.load("cnv")
    images = np.broadcast_to(np.uint8(0), (5000, *model.input.shape))
    with pytest.raises(CommandError, match=r"would take .* GiB of memory; take [\d,]+ or fewer"):
        Trial(model, images, np.zeros(5000, int))


def test_a_small_drift_counts_if_it_costs(digits):
    """BatchNorm's mean is a third of σ off, always so that the first class is favoured; or any way."""
    first, second, scores = MODEL.layers
    rows = MODEL.batchnorm["dense2"]
    sigma = np.sqrt(rows[3])
    favour = np.where(scores.weights[0] == 1, -1, 1) * np.where(second.inverted, -1, 1)
    for direction, named in ((favour, ["dense2"]), (1, [])):
        steps = np.round(direction * 0.35 * sigma / 2).astype(np.int32)
        recorded = rows.copy()
        recorded[2] += 2 * steps
        moved = dataclasses.replace(second, thresholds=second.thresholds + steps)
        model = dataclasses.replace(
            MODEL, layers=(first, moved, scores), batchnorm={**MODEL.batchnorm, "dense2": recorded}
        )
        report = diagnose(Trial(model, digits.test_images, digits.test_labels))[0]
        assert 0.06 < row_of(report, "dense2")["drift"] < 0.08
        assert row_of(report, "dense2")["differing"] == 0
        assert report["damaged"] == named
