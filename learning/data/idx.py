"""IDX files, the format of MNIST and Fashion-MNIST, read strictly: what is wrong is said of the file it is in."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from learning.data.dataset import Dataset
from radioopt.base.errors import ProblemError

#: where Debian's package dataset-fashion-mnist puts it
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
#: how to get them, by name
SOURCES = {
    "fashion-mnist": "on Debian and Ubuntu, apt-get install dataset-fashion-mnist; elsewhere download its four files "
    "from https://github.com/zalandoresearch/fashion-mnist and name their folder, as in fashion-mnist:/path/to/it",
    "mnist": "download its four files, e.g. from https://ossci-datasets.s3.amazonaws.com/mnist/, and name their "
    "folder, as in mnist:/path/to/it",
    "idx": "it needs four files named as those of MNIST",
}

UNSIGNED_BYTE = 0x08
#: bytes read at a time
PIECE = 1 << 22
Bytes = NDArray[np.uint8]


def from_idx(folder: str | os.PathLike[str] | None = None, name: str = "idx") -> Dataset:
    """Load images and labels from the four IDX files of a folder, plain or compressed (.gz).

    Parameters
    ----------
    folder : path-like, optional
        With ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each as it is or with ``.gz``. Of "fashion-mnist" by default the one of Debian's
        package.
    name : {"idx", "mnist", "fashion-mnist"}, default "idx"
        What the files hold. MNIST and Fashion-MNIST are checked to be 28 x 28 pixels in ten classes; of other
        files the labels 0 to the largest one are the classes.

    Returns
    -------
    Dataset
        Images of shape (1, height, width) in [0, 1].

    Raises
    ------
    ProblemError
        If a file is missing, is no IDX file of this kind, ends too early or too late, or does not fit the others;
        the message names the file, what is wrong, and how to get the data.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST Database of Handwritten Digits"; H. Xiao, K. Rasul, R. Vollgraf,
    "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
    """
    if folder is None and name == "fashion-mnist":
        folder = FASHION_MNIST
    if folder is None:
        raise ProblemError(f"{name}: expected a folder, as in {name}:/path/to/folder; {SOURCES[name]}")
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise ProblemError(f"{name}: no folder {place}: {SOURCES[name]}")
    parts: dict[str, tuple[Bytes, Bytes]] = {}
    for part in ("train", "t10k"):
        images, labels = (
            _found(place, f"{part}-{what}-ubyte", name) for what in ("images-idx3", "labels-idx1")
        )
        x, y = read_idx(images, 3), read_idx(labels, 1)
        if len(x) != len(y):
            raise ProblemError(f"{labels}: holds {len(y)} labels, but {images.name} {len(x)} images")
        if name != "idx" and x.shape[1:] != (28, 28):
            raise ProblemError(
                f"{images}: expected images of 28 x 28 pixels, got {x.shape[1]} x {x.shape[2]}"
            )
        if name != "idx" and y.max() > 9:
            raise ProblemError(f"{labels}: expected labels from 0 to 9, got {y.max()}")
        parts[part] = (x, y)
    (train_x, train_y), (test_x, test_y) = parts["train"], parts["t10k"]
    classes = 10 if name != "idx" else int(max(train_y.max(), test_y.max(), 1)) + 1
    return Dataset(
        scaled(train_x[:, None]),
        train_y.astype(np.int64),
        scaled(test_x[:, None]),
        test_y.astype(np.int64),
        num_classes=classes,
        name=name,
    )


def read_idx(path: str | os.PathLike[str], axes: int) -> Bytes:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : path-like
        The file; whether it is compressed is seen from its content.
    axes : int
        Number of axes it has to have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8
        As large as the header of the file says.

    Raises
    ------
    ProblemError
        If it is no such file, or is not of the length that its header says.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    with open(path, "rb") as plain:
        compressed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        try:
            if not compressed:
                return _content(plain, path, axes)
            with gzip.GzipFile(fileobj=plain) as packed:
                return _content(packed, path, axes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ProblemError(
                f"{path}: the compressed file is damaged or cut off ({error}): get it again"
            ) from error


def scaled(pixels: Bytes) -> NDArray[np.float32]:
    """Turn bytes into numbers from 0 to 1 in single precision, without a larger copy on the way."""
    return np.divide(pixels, np.float32(255.0), dtype=np.float32)


def _content(file: BinaryIO | gzip.GzipFile, path: Path, axes: int) -> Bytes:
    head = file.read(4 + 4 * axes)
    if head[:2] != b"\0\0" or len(head) < 4 + 4 * axes:
        raise ProblemError(f"{path}: no IDX file: expected it to start with two zero bytes, a type and sizes")
    if head[2] != UNSIGNED_BYTE or head[3] != axes:
        kind = {3: "images", 1: "labels"}.get(axes, "numbers")
        raise ProblemError(
            f"{path}: expected {kind}, unsigned bytes (type 0x08) along {axes} axes, got type 0x{head[2]:02x} along "
            f"{head[3]}"
        )
    shape = struct.unpack(f">{axes}I", head[4:])
    size = int(np.prod(shape, dtype=object))
    if size == 0:
        raise ProblemError(f"{path}: its header says {' x '.join(map(str, shape))}: there is nothing in it")
    data = bytearray()  # in pieces: a damaged header may promise more than there is memory
    while len(data) <= size and (piece := file.read(min(size + 1 - len(data), PIECE))):
        data += piece
    if len(data) != size:
        found = f"only {len(data)} follow: it is cut off" if len(data) < size else "more follow"
        raise ProblemError(
            f"{path}: its header says {' x '.join(map(str, shape))}, {size} bytes, but {found}: get it again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _found(folder: Path, file: str, name: str) -> Path:
    for candidate in (folder / file, folder / f"{file}.gz"):
        if candidate.is_file():
            return candidate
    raise ProblemError(f"{name}: {folder / file} is missing, also with .gz: {SOURCES[name]}")
