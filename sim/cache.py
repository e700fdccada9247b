"""Files that are costly to make, kept between runs and safe between processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

__all__ = ["cached", "directory"]


def directory() -> Path:
    """Return the cache directory: XNORGRID_CACHE if that is set, else the user's cache; creates it."""
    path = Path(os.environ.get("XNORGRID_CACHE") or platformdirs.user_cache_dir("xnorgrid"))
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _intact(path: Path, digest: Path) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest.read_text()
    except (OSError, UnicodeDecodeError):
        return False


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cached file ``name``; ``make(path)`` writes it if it is missing or damaged.

    Of several processes one makes it while the others wait, and none sees half a file. What ``make``
    raises is passed on, and nothing is kept then.
    """
    path = directory() / name
    digest = path.with_name(name + ".sha256")
    if _intact(path, digest):
        return path
    with _lock(path.with_name(name + ".lock")):
        if _intact(path, digest):
            return path
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=name + ".") as scratch:
            fresh = Path(scratch) / name
            make(fresh)
            fresh_digest = Path(scratch) / digest.name
            fresh_digest.write_text(hashlib.sha256(fresh.read_bytes()).hexdigest())
            # The old digest fits no new file, so a crash between the two leaves a cache that is remade.
            fresh.replace(path)
            fresh_digest.replace(digest)
    return path
