"""Data sets: scikit-learn's digits, MNIST and Fashion-MNIST (idx files), CIFAR-10 (binary version)."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["DATASETS", "DataError", "Dataset", "load", "read_idx"]

#: Environment variable that names the directory of the data sets.
VARIABLE = "XNORGRID_DATA"

DATASETS = ("digits", "mnist", "fashion-mnist", "cifar10")

_CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

_OBJECTS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_URLS = {
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}


class DataError(ValueError):
    """A data set that is unknown, missing or damaged; the message says which and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 in 0 … ``maximum`` and labels (N,) uint8, in two parts.

    Images are grey (N, height, width), or coloured (N, height, width, 3).
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    maximum: int
    #: Smallest pixel that counts as +1 when images are made 1-bit.
    threshold: int
    labels: tuple[str, ...]


def load(name: str, directory: str | os.PathLike[str] | None = None) -> Dataset:
    """Load one of :data:`DATASETS`.

    All but the digits are looked for in ``directory``, by default what XNORGRID_DATA names: a directory that
    holds the data set's files, or that holds a directory called ``name`` with them. MNIST and
    Fashion-MNIST have four idx files, gzipped or not; CIFAR-10 the six of its binary version. Raises
    :class:`DataError`.
    """
    if name == "digits":
        return _digits()
    if name not in DATASETS:
        raise DataError(f"no data set is called {name!r}; known: {', '.join(DATASETS)}")
    where = os.environ.get(VARIABLE) if directory is None else directory
    if not where:
        raise DataError(
            f"{name} is not part of xnorgrid and no directory was given; download its files "
            f"from {_URLS[name]} and name their directory, or set {VARIABLE}"
        )
    folder = Path(where) / name if (Path(where) / name).is_dir() else Path(where)
    return _cifar10(folder) if name == "cifar10" else _mnist(name, folder)


def _mnist(name: str, folder: Path) -> Dataset:
    parts = []
    for prefix, count in (("train", 60_000), ("t10k", 10_000)):
        images = _find(name, folder, f"{prefix}-images-idx3-ubyte")
        labels = _find(name, folder, f"{prefix}-labels-idx1-ubyte")
        parts += [read_idx(images, (count, 28, 28)), read_idx(labels, (count,))]
        if parts[-1].max() > 9:
            raise DataError(
                f"{labels} holds the label {parts[-1].max()}, but labels end at 9; "
                f"download it again from {_URLS[name]}"
            )
    words = _CLOTHES if name == "fashion-mnist" else tuple("0123456789")
    return Dataset(name, parts[0], parts[1], parts[2], parts[3], 255, 128, words)


def _cifar10(folder: Path) -> Dataset:
    train = [_cifar_file(folder / f"data_batch_{part}.bin") for part in range(1, 6)]
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Dataset(
        "cifar10", images, labels, *_cifar_file(folder / "test_batch.bin"), 255, 128, _OBJECTS
    )


def _cifar_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (10000, 32, 32, 3) and labels (10000,) of one file of CIFAR-10's binary version."""
    url = _URLS["cifar10"]
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; unpack {url} and name the directory that its files "
            f"are in (option or {VARIABLE})"
        ) from None
    if raw.size != 10_000 * 3073:
        raise DataError(
            f"{path} should be {10_000 * 3073} bytes long, but is {raw.size}; download it again from {url}"
        )
    records = raw.reshape(10_000, 3073)
    labels = records[:, 0].copy()
    if labels.max() > 9:
        raise DataError(
            f"{path} holds the label {labels.max()}, but labels end at 9; download it again from {url}"
        )
    # One plane a colour in the file, one pixel after another here.
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), labels


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an idx file of bytes, gzipped if its name ends in .gz, that must hold ``shape``.

    Raises :class:`DataError` that says what is wrong with the file.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; download it again") from None
    magic = bytes((0, 0, 8, len(shape)))
    if raw[:4] != magic:
        raise DataError(
            f"{path} is no idx file of bytes in {len(shape)} dimensions: it begins with "
            f"{raw[:4].hex() or 'nothing'}, not {magic.hex()}; download it again"
        )
    header = 4 + 4 * len(shape)
    found = tuple(np.frombuffer(raw[4:header].ljust(header - 4, b"\0"), ">u4").tolist())
    if found != shape:
        raise DataError(
            f"{path} says it holds {found} values, not {shape}; is it another data set's file?"
        )
    if len(raw) != header + math.prod(shape):
        raise DataError(
            f"{path} should be {header + math.prod(shape)} bytes long after "
            f"decompression, but is {len(raw)}; download it again"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _find(name: str, folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    raise DataError(
        f"{name} is incomplete: neither {stem}.gz nor {stem} is in {folder}; download the four idx "
        f"files from {_URLS[name]} into it, or name another directory (option or {VARIABLE})"
    )


def _digits() -> Dataset:
    # scikit-learn takes a second to import, and only the digits need it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    # A fifth of each class is held out, so both parts have the same class balance.
    generator = np.random.default_rng(0)
    held_out = np.zeros(len(labels), bool)
    for digit in range(10):
        members = generator.permutation(np.flatnonzero(labels == digit))
        held_out[members[: round(len(members) / 5)]] = True
    return Dataset(
        "digits",
        images[~held_out],
        labels[~held_out],
        images[held_out],
        labels[held_out],
        maximum=16,
        # Of 4 … 8 the best on validation data.
        threshold=6,
        labels=tuple("0123456789"),
    )
