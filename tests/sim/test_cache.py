import subprocess
import sys

import pytest

from xnorgrid.sim.cache import cached, directory


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XNORGRID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_directory_is_created(cache):
    assert directory() == cache
    assert cache.is_dir()


def test_made_once():
    made = []

    def make(path):
        made.append(path)
        path.write_text("content")

    assert cached("a", make).read_text() == "content"
    assert cached("a", make).read_text() == "content"
    assert len(made) == 1


@pytest.mark.parametrize("damage", ["content", "digest", "no digest", "no content"])
def test_damage_is_repaired(cache, damage):
    def make(path):
        path.write_text("content")

    path = cached("a", make)
    digest = cache / "a.sha256"
    if damage == "content":
        path.write_text("c0ntent")
    elif damage == "digest":
        digest.write_bytes(b"\xff")
    elif damage == "no digest":
        digest.unlink()
    else:
        path.unlink()
    assert cached("a", make).read_text() == "content"


def test_failure_keeps_nothing(cache):
    def fail(path):
        path.write_text("half")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        cached("a", fail)
    assert [path.name for path in cache.iterdir()] == ["a.lock"]


def test_processes_at_once_make_it_once(cache):
    code = (
        "import time; from xnorgrid.sim.cache import cached, directory\n"
        "def make(path):\n"
        "    (directory() / 'made').open('a').write('x'); time.sleep(0.3); path.write_text('content')\n"
        "assert cached('a', make).read_text() == 'content'"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (cache / "made").read_text() == "x"
