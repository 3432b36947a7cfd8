"""CIFAR-10 and CIFAR-100 from their python batches, whose pickles are read without running what they say."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.dataset import Dataset
from learning.data.idx import scaled
from radioopt.base.errors import ProblemError

#: files to train with, files to test with, key of the labels, classes, archive
_SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...], bytes, int, str]] = {
    "cifar10": (
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        b"labels",
        10,
        "cifar-10-python.tar.gz",
    ),
    "cifar100": (("train",), ("test",), b"fine_labels", 100, "cifar-100-python.tar.gz"),
}
_SHAPE = (3, 32, 32)


def from_cifar(folder: str | os.PathLike[str] | None, name: str = "cifar10") -> Dataset:
    """Load CIFAR-10 or CIFAR-100 from the files of its python version.

    Parameters
    ----------
    folder : path-like
        With ``data_batch_1`` to ``data_batch_5`` and ``test_batch``, or of CIFAR-100 ``train`` and ``test``.
    name : {"cifar10", "cifar100"}, default "cifar10"
        Which; of CIFAR-100 the labels are the 100 fine ones.

    Returns
    -------
    Dataset
        Images of shape (3, 32, 32) in [0, 1].

    Raises
    ------
    ProblemError
        If a file is missing, damaged, holds something else, or contains anything but numbers, text and arrays; the
        message names the file and how to get it.

    References
    ----------
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images".
    """
    training, testing, key, classes, archive = _SETS[name]
    advice = f"unpack {archive} from https://www.cs.toronto.edu/~kriz/cifar.html and name the folder, as in {name}:PATH"
    if folder is None:
        raise ProblemError(f"{name}: expected a folder: {advice}")
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise ProblemError(f"{name}: no folder {place}: {advice}")
    for file in (*training, *testing):
        if not (place / file).is_file():
            raise ProblemError(f"{name}: {place / file} is missing: {advice}")
    parts: list[Any] = []
    for files in (training, testing):
        batches = [_batch(place / file, key, classes) for file in files]
        pixels, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        parts += [scaled(pixels.reshape(-1, *_SHAPE)), labels]
    train_x, train_y, test_x, test_y = parts
    return Dataset(train_x, train_y, test_x, test_y, num_classes=classes, name=name)


def _batch(path: Path, key: bytes, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read pixels and labels of a batch."""
    with open(path, "rb") as file:
        try:
            content = _Plain(file, encoding="bytes").load()
        except pickle.UnpicklingError as error:
            raise ProblemError(f"{path}: {error}: get it again") from error
        except Exception as error:  # a damaged pickle can raise whatever its opcodes stumble over
            raise ProblemError(
                f"{path}: no python batch of CIFAR, or damaged ({error}): get it again"
            ) from error
    if not isinstance(content, dict) or not {b"data", key} <= content.keys():
        raise ProblemError(f"{path}: expected a python batch of CIFAR with data and {key.decode()}")
    pixels, given = (_numbers(content[name]) for name in (b"data", key))
    size = int(np.prod(_SHAPE))
    if (
        pixels is None
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != size
        or not pixels.size
    ):
        got = "something else" if pixels is None else f"{pixels.dtype} of shape {pixels.shape}"
        raise ProblemError(f"{path}: expected data of {size} bytes per image, got {got}")
    if given is None or given.shape != (len(pixels),) or given.dtype.kind not in "iu":
        raise ProblemError(f"{path}: expected {len(pixels)} whole numbers as {key.decode()}, one per image")
    if given.min() < 0 or given.max() >= classes:
        raise ProblemError(
            f"{path}: expected {key.decode()} from 0 to {classes - 1}, got {given.min()} to {given.max()}"
        )
    return pixels, given.astype(np.int64)


def _numbers(value: Any) -> NDArray[Any] | None:
    """Return an array as it was pickled, or one of a list of whole numbers."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, list) and all(type(number) is int and abs(number) < 2**31 for number in value):
        return np.array(value, np.int64)
    return None


class _Kind:
    """Stands for a numpy.dtype in a pickle: the name of a type of numbers."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(name.decode() if isinstance(name, bytes) else name)
        if self.dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"expected arrays of numbers, got {self.dtype}")

    def __setstate__(self, state: Any) -> None:
        """Take the order of bytes; whatever else a pickle says of a dtype does not matter for numbers."""
        order: Any = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for a numpy.ndarray in a pickle, made of its bytes without what NumPy itself would believe."""

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take shape, type, order and bytes."""
        _, shape, kind, by_column, data = state
        if not isinstance(kind, _Kind) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("expected arrays of numbers")
        self.array = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if by_column else "C")


class _Function:
    """A function that a pickle may call and not change."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("refused: the file changes a function")


def _bytes_of(text: Any, encoding: Any) -> bytes:
    """Give back bytes that a protocol without them has written as text."""
    if not isinstance(text, str):
        raise pickle.UnpicklingError("expected text")
    return text.encode("latin-1")


#: all that a batch may name; in its place stand functions that can do nothing else
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _bytes_of,
}


class _Plain(pickle._Unpickler):
    """Reads numbers, text, containers and arrays of numbers; refuses everything else by name.

    It is Python's own reader in Python: the one in C is faster, but a hostile file can break it.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, if it is one that arrays need."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"refused: the file asks for {module}.{name}, which no batch of CIFAR contains"
            )
        return _Function(_ALLOWED[module, name])

    def persistent_load(self, identifier: Any) -> Any:
        """Refuse references to elsewhere."""
        raise pickle.UnpicklingError(f"refused: the file refers to {identifier!r} outside it")
