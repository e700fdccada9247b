"""Data sets: what they hold, and clear errors for what is missing or damaged."""

import gzip
import os
import struct

import numpy as np
import pytest

from xnorgrid import data
from xnorgrid.data import DataError

DIRECTORY = os.environ.get(data.VARIABLE)

FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


def header(shape):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def write_blank(folder, *, skip=(), gzipped=False):
    """All four files, every value 0; as large as the real ones but sparse on the disk."""
    folder.mkdir(exist_ok=True)
    for name, shape in FILES.items():
        if name in skip:
            continue
        if gzipped:
            content = header(shape) + bytes(int(np.prod(shape)))
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
            continue
        with (folder / name).open("wb") as file:
            file.write(header(shape))
            file.truncate(4 + 4 * len(shape) + int(np.prod(shape)))


@pytest.fixture(autouse=True)
def _no_directory(monkeypatch):
    monkeypatch.delenv(data.VARIABLE, raising=False)


def test_digits_split_is_fixed_balanced_and_complete():
    digits = data.load("digits")
    assert digits.train_images.shape == (1438, 8, 8)
    assert digits.test_images.shape == (359, 8, 8)
    assert digits.train_images.dtype == np.uint8
    assert (digits.train_images.max(), digits.maximum) == (16, 16)
    counts = np.bincount(digits.test_labels)
    assert counts.sum() == 359
    assert counts.min() >= 35
    assert counts.max() <= 37
    again = data.load("digits")
    assert np.array_equal(digits.test_images, again.test_images)
    # Another split would change every accuracy that is quoted for it.
    assert digits.test_labels[:12].tolist() == [5, 9, 2, 4, 6, 7, 9, 3, 4, 6, 8, 5]
    assert digits.test_images.sum() == 111_890
    assert digits.train_images.sum() == 561_718 - 111_890


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_files(name, monkeypatch):
    if not DIRECTORY:
        pytest.skip(f"{data.VARIABLE} names no directory with {name}")
    monkeypatch.setenv(data.VARIABLE, DIRECTORY)
    found = data.load(name)
    assert found.train_images.shape == (60_000, 28, 28)
    assert found.test_images.shape == (10_000, 28, 28)
    assert len(found.labels) == 10
    assert np.bincount(found.test_labels).sum() == 10_000
    assert found.train_labels[:3].tolist() == {"mnist": [5, 0, 4], "fashion-mnist": [9, 0, 0]}[name]


@pytest.mark.parametrize("gzipped", [False, True])
def test_files_lie_in_the_directory_or_in_one_of_their_name(tmp_path, gzipped):
    write_blank(tmp_path / "mnist", gzipped=gzipped)
    for where in (tmp_path, tmp_path / "mnist"):
        found = data.load("mnist", where)
        assert found.train_images.shape == (60_000, 28, 28)
        assert found.test_labels.shape == (10_000,)


def test_directory_of_the_environment(tmp_path, monkeypatch):
    write_blank(tmp_path)
    monkeypatch.setenv(data.VARIABLE, str(tmp_path))
    assert data.load("fashion-mnist").labels[9] == "ankle boot"


def test_unknown_name():
    with pytest.raises(DataError, match=r"no data set is called 'cifar'; known: digits, mnist, fa"):
        data.load("cifar")


def test_no_directory():
    with pytest.raises(
        DataError, match=r"no directory was given; download .* or set XNORGRID_DATA"
    ):
        data.load("mnist")


@pytest.mark.parametrize("missing", FILES)
def test_missing_file_is_named(tmp_path, missing):
    write_blank(tmp_path, skip=[missing])
    with pytest.raises(DataError, match=f"neither {missing}.gz nor {missing} is in {tmp_path}"):
        data.load("mnist", tmp_path)


def test_missing_directory(tmp_path):
    with pytest.raises(DataError, match=f"is in {tmp_path / 'nowhere'}; download"):
        data.load("mnist", tmp_path / "nowhere")


def test_labels_beyond_nine(tmp_path):
    write_blank(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte holds the label 10"):
        data.load("mnist", tmp_path)


def write_coloured(folder, *, skip=(), last=9):
    """CIFAR-10's six files; record k of file f has the label k mod 10 and tells colours and places apart."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(COLOURED):
        records = np.zeros((10_000, 3073), np.uint8)
        records[:, 0] = np.arange(10_000) % 10
        records[0, 1:] = (np.arange(3072) % 251 + number) % 256
        records[-1, 0] = last
        if name not in skip:
            (folder / name).write_bytes(records)


COLOURED = [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]


def test_coloured_images_are_rows_columns_colours(tmp_path):
    write_coloured(tmp_path / "cifar10")
    found = data.load("cifar10", tmp_path)
    assert found.train_images.shape == (50_000, 32, 32, 3)
    assert found.test_images.shape == (10_000, 32, 32, 3)
    assert (found.maximum, found.labels[1], found.labels[9]) == (255, "automobile", "truck")
    assert found.train_labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    for number, image in enumerate([*found.train_images[::10_000], found.test_images[0]]):
        for row, column, colour in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (31, 30, 1), (5, 6, 2)):
            place = 1024 * colour + 32 * row + column
            assert image[row, column, colour] == (place % 251 + number) % 256


def test_damaged_coloured_files(tmp_path):
    write_coloured(tmp_path, skip=COLOURED[1:])
    message = rf"{tmp_path / 'data_batch_2.bin'} cannot be read: No such file .*unpack http"
    with pytest.raises(DataError, match=message):
        data.load("cifar10", tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(bytes(3073))
    with pytest.raises(DataError, match=r"should be 30730000 bytes long, but is 3073; download it"):
        data.load("cifar10", tmp_path)
    write_coloured(tmp_path, skip=COLOURED[1:], last=10)
    with pytest.raises(
        DataError, match=r"data_batch_1\.bin holds the label 10, but labels end at 9"
    ):
        data.load("cifar10", tmp_path)


def test_real_coloured_files(monkeypatch):
    if not DIRECTORY:
        pytest.skip(f"{data.VARIABLE} names no directory with cifar10")
    found = data.load("cifar10", DIRECTORY)
    assert np.bincount(found.train_labels).tolist() == [5000] * 10
    assert np.bincount(found.test_labels).tolist() == [1000] * 10
    assert found.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert found.test_labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert found.train_images[0, 0, 0].tolist() == [59, 62, 63]


def good(shape=(3, 2, 2)):
    return header(shape) + bytes(range(int(np.prod(shape))))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(good()) if suffix else good())
    found = data.read_idx(path, (3, 2, 2))
    assert np.array_equal(found, np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins with nothing, not 00000803"),
        (b"\x1f\x8b\x08\x00", "it begins with 1f8b0800, not 00000803"),
        (header((3,)) + bytes(3), "begins with 00000801, not 00000803"),
        (good((3, 2, 3)), r"holds \(3, 2, 3\) values, not \(3, 2, 2\)"),
        (good()[:10], r"holds \(3, 0, 0\) values, not"),
        (good()[:-1], "should be 28 bytes long after decompression, but is 27"),
        (good() + b"\0", "should be 28 bytes long after decompression, but is 29"),
    ],
)
def test_damaged_idx(tmp_path, content, message):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} .*{message}"):
        data.read_idx(path, (3, 2, 2))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(good())[:-9], id="cut"),
        pytest.param(b"not gzip", id="text"),
        pytest.param(gzip.compress(good())[:-8] + bytes(8), id="checksum"),
        pytest.param(gzip.compress(good())[:12] + b"\xff" * 30, id="garbage"),
    ],
)
def test_damaged_gzip(tmp_path, content):
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} cannot be read: .*; download it again"):
        data.read_idx(path, (3, 2, 2))
