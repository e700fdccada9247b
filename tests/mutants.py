"""Break one rule at a time, on purpose, and see which test notices.

``python tests/mutants.py [--jobs N] [--seed N] [--markdown FILE] [NAME ...]`` copies what git tracks to a
temporary folder, and for each mutation of mutants.toml changes one place there, runs the tests that must
notice against that copy, and changes it back. First of all these tests must pass on the unchanged copy.
Exit status 0 if every mutation was noticed, else 1. The file is also the pytest plugin that reports from
inside each run.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Tells the plugin which modules to look for and where to write what it saw.
VARIABLE = "XNORGRID_MUTANT"
#: Time of the tests of one mutation, and of all tests together on the unchanged copy.
SECONDS = 300
CONTROL_SECONDS = 1800


@dataclass(frozen=True)
class Mutant:
    """``old``, which occurs once in ``path``, becomes ``new``; one of ``tests`` must fail."""

    name: str
    path: str
    rule: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """Name under which the changed file is imported."""
        folder, *rest = Path(self.path).with_suffix("").parts
        return ".".join(["xnorgrid", *([] if folder == "sw" else [folder]), *rest])


def read_table(path: Path) -> list[Mutant]:
    """Return the mutations of a table; raises :class:`ValueError` for a name that occurs twice."""
    mutants = []
    for file in tomllib.loads(path.read_text())["file"]:
        for entry in file["mutant"]:
            mutants.append(
                Mutant(
                    name=entry["name"],
                    path=file["path"],
                    rule=entry["rule"],
                    old=entry["old"],
                    new=entry["new"],
                    tests=tuple(entry.get("tests", file["tests"])),
                )
            )
    names = [mutant.name for mutant in mutants]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: names occur twice: {sorted(names)}")
    return mutants


class Tree:
    """A copy of the repository that is imported in place of the installed package."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = str(seed)
        self.folder = folder / "tree"
        self.library = folder / "library"
        self.report = folder / "report.json"
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        # The folders under their import names, as in the Makefile's check of types.
        package = self.library / "xnorgrid"
        package.mkdir(parents=True)
        for source in [*(self.folder / "sw").iterdir(), *map(self.folder.joinpath, _FOLDERS)]:
            (package / source.name).symlink_to(source)
        shutil.copy2(__file__, self.library / "mutants.py")

    def run(self, tests: tuple[str, ...], modules: tuple[str, ...], seconds: int = SECONDS) -> str:
        """Run ``tests`` until one fails and return its id, or ``""`` if all pass.

        Raises :class:`RuntimeError` if no test ran, or ``modules`` were not imported from this copy.
        """
        self.report.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.library),
            # Bytecode is only checked by second and size of its source.
            "PYTHONDONTWRITEBYTECODE": "1",
            "XNORGRID_SEED": self.seed,
            VARIABLE: json.dumps([str(self.report), *modules]),
        }
        command = [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "mutants",
                "-p",
                "no:cacheprovider",
            ),
            *("--hypothesis-seed", self.seed, *tests),
        ]
        try:
            ran = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True,
                timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"time-out after {seconds} s"
        if ran.returncode not in (0, 1) or not self.report.exists():
            raise RuntimeError(f"pytest gave {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        report = json.loads(self.report.read_text())
        for module, file in report["files"].items():
            if file is None or not Path(file).is_relative_to(self.folder.resolve()):
                raise RuntimeError(f"{module} was imported from {file}, not from {self.folder}")
        return report["failed"]

    def run_mutant(self, mutant: Mutant) -> str:
        """:meth:`run` with the mutation in place."""
        path = self.folder / mutant.path
        source = path.read_text()
        if source.count(mutant.old) != 1 or mutant.old == mutant.new:
            raise RuntimeError(
                f"{mutant.path} holds what {mutant.name} changes {source.count(mutant.old)} times, not once"
            )
        try:
            path.write_text(source.replace(mutant.old, mutant.new))
            return self.run(mutant.tests, (mutant.module,))
        finally:
            path.write_text(source)


_FOLDERS = ("hw", "sim", "boards")


def pytest_runtest_logreport(report) -> None:
    """Keep the id of the first failing test."""
    if report.failed and VARIABLE in os.environ:
        _seen.setdefault("failed", report.nodeid)


def pytest_sessionfinish(session) -> None:
    """Write what failed and where the modules came from."""
    if VARIABLE in os.environ and session.testscollected:
        path, *modules = json.loads(os.environ[VARIABLE])
        files = {}
        for name in modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            files[name] = file and str(Path(file).resolve())
        Path(path).write_text(json.dumps({"failed": _seen.get("failed", ""), "files": files}))


_seen: dict[str, str] = {}


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutation, or a file of them")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="at once (default: 1)")
    # The same random cases in every run, so that the same test is the first to notice.
    parser.add_argument("--seed", type=int, default=1, help="of random tests (default: 1)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--no-control", action="store_true", help="not on the unchanged copy")
    arguments = parser.parse_args()
    mutants = read_table(ROOT / "tests/mutants.toml")
    if unknown := set(arguments.names) - {x for m in mutants for x in (m.name, m.path)}:
        parser.error(f"no mutation or file is called {', '.join(sorted(unknown))}")
    if arguments.names:
        mutants = [m for m in mutants if {m.name, m.path} & set(arguments.names)]

    with tempfile.TemporaryDirectory(prefix="xnorgrid-mutants-") as folder:
        trees: queue.Queue[Tree] = queue.Queue()
        for job in range(arguments.jobs):
            trees.put(Tree(Path(folder) / str(job), arguments.seed))
        if not arguments.no_control:
            tree = trees.get()
            failed = _control(tree, mutants)
            trees.put(tree)
            if failed:
                print(f"{failed} fails on the unchanged copy: nothing to be learnt from mutations")
                return 1

        def attempt(mutant: Mutant) -> str:
            tree = trees.get()
            try:
                return tree.run_mutant(mutant) or "SURVIVED"
            except RuntimeError as error:
                return f"INVALID: {error}"
            finally:
                trees.put(tree)

        results = []
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for mutant, result in zip(mutants, pool.map(attempt, mutants), strict=True):
                print(f"{mutant.name:<34} {result}", flush=True)
                results.append(result)
    killed = sum(map(_noticed, results))
    print(f"{killed} of {len(mutants)} mutations were noticed")
    if arguments.markdown:
        arguments.markdown.write_text(_markdown(mutants, results, arguments.seed))
    return 0 if killed == len(mutants) else 1


def _noticed(result: str) -> bool:
    return not result.startswith(("SURVIVED", "INVALID"))


def _control(tree: Tree, mutants: list[Mutant]) -> str:
    """Run all tests that mutations name on the unchanged copy; returns the one that fails, if any."""
    tests = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    whole = tuple(
        test for test in tests if test.split("::")[0] == test or test.split("::")[0] not in tests
    )
    modules = tuple(sorted({mutant.module for mutant in mutants}))
    return tree.run(whole, modules, CONTROL_SECONDS)


def _markdown(mutants: list[Mutant], results: list[str], seed: int) -> str:
    killed = sum(map(_noticed, results))
    lines = [
        "# Rules broken on purpose",
        "",
        "Each row is one change to one place of the sources, and the first test that failed because of it:",
        f"{killed} of {len(mutants)} were noticed. The changes are in `tests/mutants.toml`; without them",
        "all these tests pass. The table is made by",
        "",
        f"    python tests/mutants.py --seed {seed} --markdown docs/mutants.md",
        "",
        "| mutation | file | rule that it breaks | noticed by |",
        "| --- | --- | --- | --- |",
    ]
    for mutant, result in zip(mutants, results, strict=True):
        test = result.splitlines()[0].removeprefix("tests/").replace("|", "\\|")
        lines.append(f"| {mutant.name} | `{mutant.path}` | {mutant.rule} | `{test}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
