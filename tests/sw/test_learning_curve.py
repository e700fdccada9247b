"""A training's log becomes its learning curve; what is no log is refused."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from xnorgrid import learning_curve
from xnorgrid.recipe import RECIPES
from xnorgrid.train import train


def test_a_training_is_drawn(tmp_path):
    recipe = RECIPES["digits"]
    log, figure = tmp_path / "log.jsonl", tmp_path / "curve.png"
    result = train(dataclasses.replace(recipe, epochs=3), log=log, progress=False, threads=1)
    curves = learning_curve.read(log)
    assert list(curves["epoch"]) == [1, 2, 3]
    assert curves["validation_accuracy"].max() == result.validation_accuracy
    assert np.isfinite(curves["loss"]).all()
    assert learning_curve.main([str(log), str(figure)]) == 0
    with Image.open(figure) as image:
        assert image.size == (960, 540)


@pytest.mark.parametrize(
    "lines", [[], [{"recipe": {}}], [{"recipe": {}}, {"epoch": 1}], [{"recipe": {}}, 7]]
)
def test_what_is_no_log_is_refused(tmp_path, capsys, lines):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert learning_curve.main([str(log), str(tmp_path / "curve.png")]) == 4
    assert capsys.readouterr().err == (
        f"error: {log} is no log of a training that has finished an epoch; "
        f"xnorgrid train RECIPE --log FILE writes one\n"
    )


def test_only_png(tmp_path, capsys):
    assert learning_curve.main([str(tmp_path / "log"), str(tmp_path / "curve.pdf")]) == 2
    assert capsys.readouterr().err.endswith("curve.pdf must end in .png, the only kind drawn\n")
    assert learning_curve.main([str(tmp_path / "absent"), str(tmp_path / "curve.png")]) == 4
    assert "No such file" in capsys.readouterr().err
