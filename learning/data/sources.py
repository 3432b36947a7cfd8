"""Where data come from: a name, with a folder and a number of samples; a data set of torch; a function; arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.catalog import DATASETS
from learning.data.cifar import from_cifar
from learning.data.dataset import Dataset, digits, stratified
from learning.data.idx import from_idx
from learning.options import choose, real
from radioopt.base.errors import OptionError, ProblemError

#: what ``train`` takes as data
Source = str | Dataset | Sequence[Any] | Callable[[np.random.Generator], Dataset] | Any

OTHERS = "a Dataset, one of torch, or a function"
#: share of a torch data set without a test part that becomes one
TEST_FRACTION = 0.2

_SPEC = re.compile(
    r"(?P<name>[^:@]+)(:(?P<folder>.+?))?(@(?P<train>\d+)\+(?P<test>\d+))?(?P<standard>@standard)?"
)


def read_digits(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Split scikit-learn's handwritten digits."""
    if folder is not None:
        raise OptionError(f"data 'digits:{folder}': digits come with scikit-learn and take no folder")
    return digits(rng)


def read_fashion_mnist(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read Fashion-MNIST from a folder, or where Debian's package puts it."""
    return from_idx(folder, "fashion-mnist")


def read_mnist(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read MNIST from a folder."""
    return from_idx(folder, "mnist")


def read_idx(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read any files in MNIST's format from a folder."""
    return from_idx(folder)


def read_cifar10(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read CIFAR-10 from a folder."""
    return from_cifar(folder, "cifar10")


def read_cifar100(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read CIFAR-100 from a folder."""
    return from_cifar(folder, "cifar100")


def load(source: Source, rng: np.random.Generator) -> Dataset:
    """Load data by name, or from what a user brings.

    Parameters
    ----------
    source : str, Dataset, torch.utils.data.Dataset, pair of them, or callable
        A name out of ``DATASETS``, written ``NAME[:FOLDER][@TRAIN+TEST][@standard]``: with a folder where the data
        do not come with a package, the number of samples to keep of each part (with the shares of all classes),
        and ``@standard`` for features of mean 0 and variance 1 instead of those in [0, 1]. Or a data set; or one
        of torch, which is split, or two, to train and to test; or a function ``(rng) -> Dataset``.
    rng : numpy.random.Generator
        Chooses samples and splits.

    Returns
    -------
    Dataset
        The samples.

    Raises
    ------
    OptionError
        If there are no data of that name, or too few.
    ProblemError
        If the files are missing or damaged, or what is given cannot be used.

    Examples
    --------
    >>> load("digits@300+100@standard", np.random.default_rng(0)).train_x.shape
    (300, 1, 8, 8)
    """
    if isinstance(source, Dataset):
        return source
    if isinstance(source, str):
        return _named(source, rng)
    if isinstance(source, (tuple, list)) and len(source) == 2:
        return from_torch(source[0], source[1], rng=rng)
    if callable(source) and not hasattr(source, "__getitem__"):
        made = source(rng)
        if not isinstance(made, Dataset):
            raise ProblemError(
                f"data: expected a function that returns a learning.Dataset, got {type(made).__name__}"
            )
        return made
    if hasattr(source, "__getitem__"):
        return from_torch(source, rng=rng)
    return choose("data", source, DATASETS, OTHERS)(None, rng)  # which raises: it is no name


def from_torch(
    train: Any,
    test: Any = None,
    *,
    rng: np.random.Generator | None = None,
    test_fraction: float = TEST_FRACTION,
) -> Dataset:
    """Read all samples of a map-style data set of torch into arrays.

    Parameters
    ----------
    train : torch.utils.data.Dataset
        With ``len()`` and pairs (features, label) by index: tensors, arrays or numbers, every sample of one shape.
    test : torch.utils.data.Dataset, optional
        To judge the model; without one, `train` is split with the shares of all classes.
    rng : numpy.random.Generator, optional
        Splits; needed without `test`.
    test_fraction : float, default 0.2
        Share of the samples in (0, 1) that judges the model, without `test`.

    Returns
    -------
    Dataset
        Named after the class of `train`; classes are 0 to the largest label. Features of bytes are scaled to
        [0, 1], others are kept.

    Raises
    ------
    ProblemError
        If it is no such data set; the message names the sample.

    Examples
    --------
    >>> import torch
    >>> pairs = torch.utils.data.TensorDataset(torch.rand(20, 3), torch.arange(20) % 2)
    >>> sorted(from_torch(pairs, rng=np.random.default_rng(0)).test_y.tolist())
    [0, 0, 1, 1]
    """
    x, y = _read(train, "train")
    if test is not None:
        test_x, test_y = _read(test, "test")
    else:
        real("test_fraction", test_fraction, high=1.0)
        if rng is None:
            raise ProblemError("data: give a second data set to test with, or rng to split this one")
        held = stratified(y, round(test_fraction * y.size), rng, "data: test samples")
        kept = np.setdiff1d(np.arange(y.size), held)
        test_x, test_y, x, y = x[held], y[held], x[kept], y[kept]
    classes = max(int(max(y.max(), test_y.max())) + 1, 2)
    return Dataset(x, y, test_x, test_y, num_classes=classes, name=type(train).__name__)


def _named(source: str, rng: np.random.Generator) -> Dataset:
    found = _SPEC.fullmatch(source)
    if found is None:
        raise OptionError(
            f"data {source!r}: expected NAME[:FOLDER][@TRAIN+TEST][@standard], such as fashion-mnist@6000+1000"
        )
    loaded = choose("data", found["name"], DATASETS, OTHERS)(found["folder"], rng)
    if found["train"]:
        loaded = loaded.subsample(int(found["train"]), int(found["test"]), rng)
    return loaded.standardised() if found["standard"] else loaded


def _read(pairs: Any, part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read features and labels of a torch data set, one array each."""
    try:
        count = len(pairs)
    except TypeError:
        raise ProblemError(f"data: the {part} data have no length: a map-style data set is needed") from None
    if count == 0:
        raise ProblemError(f"data: the {part} data are empty")
    features, labels = None, np.empty(count, np.int64)
    for i in range(count):
        try:
            sample, label = pairs[i]
            sample = np.asarray(sample)
            sample = sample / np.float32(255.0) if sample.dtype == np.uint8 else sample.astype(np.float32)
            number = int(label)
        except (TypeError, ValueError, LookupError) as error:
            raise ProblemError(
                f"data: {part} sample {i}: expected a pair of numbers (features) and a whole number (label): {error}"
            ) from error
        if features is None:
            features = np.empty((count, *sample.shape), np.float32)
        if sample.shape != features.shape[1:] or number != label or number < 0:
            raise ProblemError(
                f"data: {part} sample {i}: expected features of shape {features.shape[1:]} and a label >= 0, got "
                f"{sample.shape} and {label}"
            )
        features[i], labels[i] = sample, number
    assert features is not None
    return features, labels
