"""The report of `xnorgrid geometry`: its files, its figures, and the one in docs/."""

import dataclasses
import json

import numpy as np
import pytest

from xnorgrid import data
from xnorgrid.geometry import control, suite, theory
from xnorgrid.geometry.patches import principal_components, radial_power, sample_patches
from xnorgrid.geometry.rows import Section, Settings, near, within
from xnorgrid.geometry.suite import run
from xnorgrid.recipe import Recipe
from xnorgrid.train import train

pytest.importorskip("matplotlib")

from PIL import Image

from xnorgrid.geometry.figures import FIGURES, draw, save
from xnorgrid.geometry.report import markdown, report, text, write

#: Enough to be drawn, too few for the tolerances.
FEW = Settings(samples=400, count=30)


@pytest.fixture(scope="module", autouse=True)
def _no_directory():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(data.VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The same with a network that is hardly trained."""
    path = tmp_path_factory.mktemp("training") / "digits.ckpt"
    recipe = Recipe(dataset="digits", features=((6, 1), (6, 2)), hidden=(8,), fill=1, epochs=1)
    train(dataclasses.replace(recipe, validation=144), checkpoint=path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "_EPOCHS", 1)
        yield dataclasses.replace(FEW, checkpoint=path)


@pytest.fixture(scope="module")
def sections(few):
    """All of them; patches without CIFAR-10, but with curves of random images."""
    found = run(few)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    shares, components = principal_components(sample_patches(images, 500, rng))
    power = radial_power(images.mean(3))
    curves = {"shares": shares, "components": components, "power": power}
    return [
        dataclasses.replace(section, curves=curves) if section.skipped else section
        for section in found
    ]


@pytest.fixture(scope="module")
def written(sections, few, tmp_path_factory):
    """The report, and the folder that it and its figures are in."""
    found, folder = report(sections, few), tmp_path_factory.mktemp("report") / "new" / "one"
    paths = write(found, sections, folder)
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}
    return found, folder


DRAWINGS = [(key, drawing) for key, drawings in FIGURES.items() for drawing in drawings]


def test_every_section_has_figures(sections):
    assert list(FIGURES) == [section.key for section in sections]
    names = [drawing.name for _, drawing in DRAWINGS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("key", "drawing"), DRAWINGS, ids=lambda value: getattr(value, "name", ""))
def test_figures_can_be_read(sections, written, key, drawing, tmp_path):
    (section,) = (section for section in sections if section.key == key)
    figure = draw(drawing, section.curves)
    assert figure.axes
    for axes in figure.axes:
        assert axes.has_data()
        if not axes.axison:  # a tile of an image, named by its title
            assert axes.get_title()
            continue
        assert axes.get_xlabel() or figure.get_supxlabel()
        shares_label = axes.get_shared_y_axes().get_siblings(axes)
        assert any(other.get_ylabel() for other in shares_label) or figure.get_supylabel()
        labels = axes.get_xlabel(), axes.get_ylabel()
        assert all("(degrees)" in label for label in labels if "angle" in label)
        texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += axes.get_xticklabels() + axes.get_yticklabels()
        texts += [] if axes.get_legend() is None else axes.get_legend().get_texts()
        texts += [item for legend in figure.legends for item in legend.get_texts()]
        assert min(item.get_fontsize() for item in texts) >= 15
    path = written[1] / f"{drawing.name}.png"
    if section.skipped:
        assert not path.exists()
        path = save(drawing, section.curves, tmp_path)
    with Image.open(path) as image:
        assert image.size == (960, 540)
        assert len(image.getcolors()) > 10
    assert path.stat().st_size < 50_000


def test_same_seed_same_bytes(written, few, tmp_path):
    found, folder = written
    again = run(few)
    write(report(again, few), again[:1], tmp_path)
    for name in ("report.json", "report.md", "angle.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    other = dataclasses.replace(FEW, seed=1)
    another = report(run(other), other)
    assert another["sections"] != found["sections"]
    assert another["command"] == "xnorgrid geometry --seed 1"


def test_markdown_has_every_row_and_figure(written):
    found, folder = written
    lines = (folder / "report.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|") and not line.startswith(("| |", "| -"))]
    rows = [row for section in found["sections"] for row in section["rows"]]
    assert len(table) == len(rows) > 70
    for line, row in zip(table, rows, strict=True):
        assert line.replace("\\|", "").count("|") == 6
        assert line.replace("\\|", "|").startswith(f"| {row['what']} | ")
        verdict = {True: "pass |", False: "FAIL |", None: "- |"}[row["passed"]]
        assert line.endswith("explained |" if row["key"] in found["explained"] else verdict)
    shown = {line[line.index("](") + 2 : -1] for line in lines if line.startswith("![")}
    assert shown == {path.name for path in folder.iterdir()} - {"report.md", "report.json"}
    assert "patches.png" not in shown
    skipped = next(line for line in lines if line.startswith("Skipped: "))
    assert "cifar10 is not part of xnorgrid" in skipped
    assert not any(line.startswith("- ") for line in lines)
    assert any(" ± " in line and "change of accuracy" in line for line in table)
    assert json.loads((folder / "report.json").read_text()) == found


def test_report_counts_verdicts():
    rows = (
        near("a.good", "good", 1, 1, 0.1, "theory"),
        near("a.bad", "bad |x|", 2, 1, 0.1, "theory", unit="°"),
    )
    found = report([Section("angle", "A title", "here", rows=rows)], Settings(seed=5))
    assert (found["passed"], found["failed"], found["reported"]) == (1, ["a.bad"], 0)
    shown = text(found)
    assert "    FAIL bad |x|: 2°, accepted 1° ± 0.1°, theory" in shown
    assert shown.endswith("seed 5: 1 rows pass, 1 fails, 0 are only reported.")
    assert "| bad \\|x\\| | - | 2° | 1° ± 0.1°, theory | FAIL |" in markdown(found)


def test_a_row_is_explained_by_one_that_passes():
    def rows(measured):
        return (
            within("a.far", "far", 30, 35, 43, unit="°", because="a.why", error=0.25),
            near("a.why", "why", measured, 30, 0.5, "theory"),
        )

    for measured, failed, explained in ((30, [], ["a.far"]), (31, ["a.far", "a.why"], [])):
        found = report([Section("angle", "A title", "here", rows=rows(measured))], Settings())
        assert (found["failed"], found["explained"]) == (failed, explained)
    found = report([Section("angle", "A title", "here", rows=rows(30))], Settings())
    assert "    explained far: 30 ± 0.25°, accepted 35 … 43°" in text(found)
    assert "1 rows pass, none fail, 1 not accepted but explained, 0 are only" in text(found)
    assert "| far | - | 30 ± 0.25° | 35 … 43° | explained |" in markdown(found)


@pytest.fixture
def short(monkeypatch):
    """Experiments that are done at once."""
    monkeypatch.setattr(suite, "EXPERIMENTS", (suite.ternary, suite.dynamics, suite.patches))


def test_command_writes_the_report(call, short, tmp_path):
    status, out, err = call("geometry", "--out", tmp_path / "r", "--seed", 3, "-q")
    assert (status, err) == (0, "")
    assert "seed 3: 13 rows pass, none fail, 1 are only reported, 2 sections skipped." in out
    assert str(tmp_path / "r") in out
    found = json.loads((tmp_path / "r" / "report.json").read_text())
    assert (found["seed"], found["command"]) == (3, "xnorgrid geometry --seed 3")
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "report.md",
        "report.json",
        "ternary.png",
        "dynamics.png",
    }


def test_command_prints_json(call, short, tmp_path):
    status, out, _ = call("geometry", "--out", tmp_path, "--json", "-q")
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "report.json").read_text())


def test_command_fails_if_a_row_does(call, tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "EXPERIMENTS", (suite.variance,))
    monkeypatch.setattr(theory, "variance_of_cosine", lambda n: 0.68 / n)
    status, out, _ = call("geometry", "--out", tmp_path, "-q")
    assert status == 5
    assert "FAIL n·Var(η), n = 500: 0.04" in out
    assert "5 fail," in out
    assert "| FAIL |" in (tmp_path / "report.md").read_text()


def test_command_refuses_an_output_that_is_a_file(refused, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert refused(4, "geometry", "--out", path) == (
        f"the report cannot be written to {path}: it is a file; name a directory"
    )


def test_command_wants_cifar10_in_a_directory_that_is_named(refused, short, tmp_path):
    message = refused(4, "geometry", "--data", tmp_path, "--out", tmp_path / "r", "-q")
    assert "data_batch_1.bin cannot be read" in message
    assert not (tmp_path / "r").exists()


def test_command_refuses_a_negative_seed(call, capsys):
    with pytest.raises(SystemExit) as stopped:
        call("geometry", "--seed", -1)
    assert stopped.value.code == 2
    assert "argument --seed" in capsys.readouterr().err
