"""Who may import whom: the rules that keep the reference independent and a board's user free of torch."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Longest first: xnorgrid.hw is not below xnorgrid on disk.
FOLDERS = {
    "xnorgrid.hw": ROOT / "hw",
    "xnorgrid.sim": ROOT / "sim",
    "xnorgrid.boards": ROOT / "boards",
    "xnorgrid": ROOT / "sw",
}
CONTRACT = {"xnorgrid.hw.config", "xnorgrid.hw.protocol"}
COCOTB = {"cocotb", "cocotb_tools"}

#: The torch side: it trains, folds and checks.
TORCH = {
    f"xnorgrid.{name}"
    for name in (
        "checkpoint",
        "fold",
        "fold_checks",
        "geometry.control",
        "geometry.proportionality",
        "geometry.trained",
        "geometry.unbinarised",
        "network",
        "nn",
        "train",
        "train_command",
        "twin",
        "verify",
    )
}
#: Draws: only with the extra that brings these.
DRAWING = {"matplotlib", "PIL"}
DRAWS = {
    f"xnorgrid.{name}"
    for name in (
        "diagnose_plots",
        "geometry.figures",
        "geometry.plots",
        "geometry.trained_plots",
        "learning_curve",
    )
}
#: Opens boards and carries out commands: what ties the parts together.
TIES = {
    f"xnorgrid.{name}"
    for name in (
        "board_commands",
        "board_options",
        "cli",
        "commands",
        "diagnose_faults",
        "diagnose_trial",
        "discovery",
        "doctor",
        "first_layers",
        "flash",
        "host_commands",
        "inspection",
        "netlist_command",
        "options",
        "plan_commands",
        "planning",
        "search",
        "tuning",
    )
}
#: Run inside the simulator, or start it.
BENCHES = {"xnorgrid.sim.bfm", "xnorgrid.sim.cosim"}
#: The host's modules that simulations may use: anything but training and the ties.
HOST_FOR_SIM = {
    f"xnorgrid.{name}"
    for name in (
        "compile",
        "driver",
        "link",
        "model",
        "modelfile",
        "packing",
        "session",
        "transport",
    )
}


def module_name(path):
    for package, folder in FOLDERS.items():
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            return ".".join([package, *(part for part in parts if part != "__init__")])
    raise AssertionError(path)


MODULES = {
    module_name(path): path for folder in FOLDERS.values() for path in sorted(folder.rglob("*.py"))
}


def folder_of(module):
    return next(
        package for package in FOLDERS if module == package or module.startswith(package + ".")
    )


def imports(source, module, is_package=False):
    """Absolute names that ``source`` imports at any depth, also inside functions and TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            # `from xnorgrid import model` imports a module, `from xnorgrid.model import Model` does not.
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                is_module = deeper in MODULES or base in ("amaranth.lib", "amaranth")
                found.add(deeper if is_module else base)
    return found


def allowed(module, target):
    """Whether ``module`` may import ``target``."""
    top = target.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if module == "xnorgrid.hw.config":
        return False
    if module == "xnorgrid.hw.protocol":
        return target in ("amaranth.lib.data", "amaranth.lib.enum")
    if module == "xnorgrid.sim.reference":
        return target in ("numpy", "xnorgrid.model")
    if top == "torch":
        return module in TORCH
    if top == "threadpoolctl":
        return module == "xnorgrid.geometry.suite"
    if top in DRAWING:
        return module in DRAWS
    if top in COCOTB:
        return module in BENCHES or module.startswith("xnorgrid.sim.tb_")
    folder = folder_of(module)
    target_folder = folder_of(target) if top == "xnorgrid" else None
    if folder == "xnorgrid.hw":
        return top == "amaranth" or target_folder == folder
    if folder == "xnorgrid.boards":
        return (
            top in ("amaranth", "amaranth_boards")
            or target_folder in (folder, "xnorgrid.hw")
            # What is costly to make is kept in one place.
            or target == "xnorgrid.sim.cache"
        )
    if folder == "xnorgrid.sim":
        return (
            top in ("amaranth", "numpy", "platformdirs")
            or target_folder in (folder, "xnorgrid.hw")
            or target in HOST_FOR_SIM
        )
    return (
        top in ("numpy", "safetensors", "serial", "sklearn", "tqdm")
        or target in CONTRACT
        or target_folder == folder
        or (module in TIES and target_folder in ("xnorgrid.sim", "xnorgrid.hw", "xnorgrid.boards"))
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_to_the_rules(module):
    path = MODULES[module]
    targets = imports(path.read_text(), module, path.name == "__init__.py")
    assert [target for target in sorted(targets) if not allowed(module, target)] == []


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in ("hw", "sw", "sim", "boards", "tests", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_folders_are_not_imported_by_their_bare_names(path):
    """`import hw` works from the repository's root and gives a second copy of every class."""
    targets = {target.split(".")[0] for target in imports(path.read_text(), "tests.any")}
    assert not targets & {"hw", "sw", "sim", "boards"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("xnorgrid.hw.config", "import numpy"),
        ("xnorgrid.hw.protocol", "from amaranth.lib import wiring"),
        ("xnorgrid.hw.pe", "import numpy as np"),
        ("xnorgrid.hw.pe", "from xnorgrid.packing import pack"),
        ("xnorgrid.hw.pe", "from xnorgrid import packing"),
        ("xnorgrid.hw.pe", "def f():\n    from xnorgrid.sim import reference"),
        ("xnorgrid.driver", "import torch"),
        ("xnorgrid.geometry.angles", "import matplotlib.pyplot"),
        ("xnorgrid.driver", "from .hw import config, pe"),
        ("xnorgrid.driver", "from xnorgrid.hw.pe import ProcessingElement"),
        ("xnorgrid.driver", "def f():\n    import xnorgrid.sim.boards"),
        ("xnorgrid.sim.boards", "if True:\n    import torch.nn"),
        ("xnorgrid.sim.boards", "from cocotb.triggers import Timer"),
        ("xnorgrid.sim.boards", "from xnorgrid.cli import main"),
        ("xnorgrid.sim.boards", "from xnorgrid import nn"),
        ("xnorgrid.sim.reference", "from .streams import new_seed"),
        ("xnorgrid.sim.reference", "from xnorgrid.hw.config import ArrayConfig"),
        ("xnorgrid.boards.cost", "from xnorgrid.sim import boards"),
    ],
)
def test_rules_catch(module, source):
    assert not all(allowed(module, target) for target in imports(source, module))
