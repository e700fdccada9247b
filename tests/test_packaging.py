import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: What git does not track does not belong to the sources.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "hw", "sw", "sim", "boards")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names in a wheel built from a copy of the sources, without network."""
    directory = tmp_path_factory.mktemp("wheel")
    tree = directory / "tree"
    tree.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in SOURCES), str(tree)], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
            *("--no-index", "--quiet", "--disable-pip-version-check"),
            *("-w", str(directory), str(tree)),
        ],
        check=True,
        timeout=120,
    )
    (built,) = directory.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("sw", "xnorgrid"),
        ("sw/models", "xnorgrid/models"),
        ("sw/geometry", "xnorgrid/geometry"),
        ("hw", "xnorgrid/hw"),
        ("sim", "xnorgrid/sim"),
        ("sim/cells", "xnorgrid/sim/cells"),
        ("boards", "xnorgrid/boards"),
    ],
)
def test_wheel_holds_every_module(wheel, folder, package):
    expected = {f"{package}/{path.name}" for path in (ROOT / folder).glob("*.py")}
    assert expected
    assert expected <= wheel
    assert f"{package}/py.typed" in wheel


def test_every_folder_with_modules_is_a_package_of_the_wheel(wheel):
    """A sub-folder that pyproject.toml does not list would be left out silently."""
    prefixes = {
        "sw": "xnorgrid",
        "hw": "xnorgrid/hw",
        "sim": "xnorgrid/sim",
        "boards": "xnorgrid/boards",
    }
    for folder, prefix in prefixes.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{prefix}/{path.relative_to(ROOT / folder).as_posix()}" in wheel


def test_wheel_holds_models_and_harness(wheel):
    models = {f"xnorgrid/models/{path.name}" for path in (ROOT / "sw/models").glob("*.safetensors")}
    assert models
    assert models <= wheel
    assert "xnorgrid/sim/harness.cpp" in wheel
    assert "xnorgrid/boards/estimates.json" in wheel
    cells = {f"xnorgrid/sim/cells/{path.name}" for path in (ROOT / "sim/cells").glob("*.v")}
    assert cells
    assert cells <= wheel


def test_wheel_holds_nothing_else(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"xnorgrid"}
    assert not [name for name in wheel if name.split("/")[1] in ("tests", "examples", "docs")]


def test_importing_the_package_costs_neither_torch_nor_gateware():
    """Driving a board must not wait for what only training and simulation need."""
    code = (
        "import sys, xnorgrid; "
        "sys.exit(', '.join(n for n in ('torch', 'sklearn', 'amaranth.sim') if n in sys.modules) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
