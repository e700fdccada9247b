"""The comparison of first layers: what each costs, the page, and that runs are kept."""

import dataclasses
import re

import numpy as np
import pytest

pytest.importorskip("torch")

from xnorgrid import first_layers, train
from xnorgrid.data import Dataset
from xnorgrid.first_layers import ARRAY, FIRST_LAYERS, RECIPE, figures, main, page
from xnorgrid.fold import fold
from xnorgrid.modelfile import load

SHORT = dataclasses.replace(
    RECIPE, features=((3, 2),), hidden=(4,), epochs=1, batch=16, validation=8
)


def data(size=32):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8) for n in (40, 12)]
    labels = [rng.integers(0, 3, n, dtype=np.uint8) for n in (40, 12)]
    names = ("cat", "dog", "frog")
    return Dataset("cifar10", images[0], labels[0], images[1], labels[1], 255, 128, names)


def untrained(name, accuracy=0.5):
    recipe = dataclasses.replace(RECIPE, **FIRST_LAYERS[name])
    model = fold(train.build_network(recipe, data()).eval(), "net")
    return dataclasses.replace(model, provenance={"test_accuracy": accuracy})


@pytest.mark.parametrize(
    ("name", "words", "planes", "additions"),
    [
        ("1 bit a pixel", 1, 1, 0),
        ("bit-planes of 8 bits", 1, 8, 0),
        ("thermometer, 8 bits", 7, 1, 0),
        ("Hadamard, 4 draws", 4, 1, 30 * 30 * 4 * 32 * 5),
        ("bit-planes, weights of 2 bits", 2, 9, 0),
        ("bit-planes, weights of 4 bits", 4, 11, 0),
    ],
)
def test_first_layers_take_a_beat_for_each_word_and_plane(name, words, planes, additions):
    found = figures(untrained(name))
    # 16 channels on 8 rows at 30 x 30 positions, and what lies between two instructions.
    beats = 900 * 2 * words * planes
    assert beats <= found.first_cycles * ARRAY.cols <= beats + 20
    assert found.line_bytes == 900 * words * planes * 4
    assert found.additions == additions


def test_page_has_mean_and_spread_of_all_seeds():
    name = "Hadamard, 4 draws"
    models = {name: {3: untrained(name, 0.51), 1: untrained(name, 0.49), 2: untrained(name, 0.44)}}
    row = page(models).splitlines()[-1]
    assert row.startswith("| Hadamard, 4 draws | 48.00 % ± 3.61 | 49.00, 44.00, 51.00 | 902 | ")
    assert row.endswith(" | 14,400 | 576,000 | 2,048 | 90,816 |")
    assert max(map(len, page(models).split("\n| first layer")[0].splitlines())) <= 120


def test_runs_are_kept_and_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "load", lambda *_: data(10))
    monkeypatch.setattr(first_layers, "RECIPE", SHORT)
    arguments = [
        "--folder",
        f"{tmp_path}/runs",
        "--page",
        f"{tmp_path}/page.md",
        "--seeds",
        "1,2",
        "-q",
    ]
    assert main(arguments) == 0
    lines = (tmp_path / "page.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and " ± " in line]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(FIRST_LAYERS)
    kept = sorted((tmp_path / "runs").iterdir())
    assert len(kept) == 2 * len(FIRST_LAYERS)
    assert {load(path).provenance["recipe"]["seed"] for path in kept} == {1, 2}
    said = capsys.readouterr().err
    assert "1 of 12: 1 bit a pixel, seed 1" in said and re.search(r"test accuracy \d+\.\d\d%", said)

    monkeypatch.setattr(first_layers, "train", None)
    assert main(arguments) == 0, "nothing is trained twice"


def test_a_missing_data_set_is_said_plainly(tmp_path, capsys):
    arguments = [
        "--folder",
        f"{tmp_path}/runs",
        "--page",
        f"{tmp_path}/page.md",
        "--data",
        f"{tmp_path}",
    ]
    assert main(arguments) == 1
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
