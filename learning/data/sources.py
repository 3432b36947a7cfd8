"""Where data come from: a name, with a folder and a number of samples; a data set of torch; a function; arrays."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    default_collate,
)

from learning.catalog import DATASETS
from learning.data.arrays import array_of, count_classes, features_of
from learning.data.cifar import from_cifar
from learning.data.dataset import Dataset, digits, stratified
from learning.data.idx import from_idx
from learning.data.images import image_folder
from learning.data.tables import named_labels, of_frame, read_table
from learning.options import choose, real
from radioopt.base.errors import OptionError, ProblemError

#: what ``train`` takes as data
Source = str | Dataset | Sequence[Any] | Callable[[np.random.Generator], Dataset] | Any

OTHERS = "a Dataset, one of torch, arrays (x, y), or a function"
#: share of a torch data set without a test part that becomes one
TEST_FRACTION = 0.2

_SPEC = re.compile(
    r"(?P<name>[^:@]+)(:(?P<folder>.+?))?(@(?P<train>\d{1,18})\+(?P<test>\d{1,18}))?(?P<standard>@standard)?"
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


def read_images(folder: str | None, rng: np.random.Generator) -> Dataset:
    """Read a folder of images, a folder per class in it, and split it unless it has parts."""
    if folder is None:
        raise ProblemError(
            "data images: expected a folder, as images:photos, with a folder of images per class"
        )
    train, test, names = image_folder(folder)
    made = from_torch(train, test, rng=rng)
    return replace(made, name="images", class_names=names)


def read_csv(file: str | None, rng: np.random.Generator) -> Dataset:
    """Read a CSV file with a row per sample and a column of labels, and split it."""
    if file is None:
        raise ProblemError("data csv: expected a file, as csv:samples.csv, or csv:samples.csv:COLUMN")
    path, _, column = file.rpartition(":") if not file.lower().endswith(".csv") else (file, "", "")
    if not path:
        path, column = file, ""
    x, y = of_frame(f"data csv: {path}", read_table(path), column or None)
    return replace(from_torch((x, y), rng=rng), name="csv")


def load(source: Source, rng: np.random.Generator) -> Dataset:
    """Load data by name, or from what a user brings.

    Parameters
    ----------
    source : str, Dataset, torch.utils.data.Dataset, DataLoader, (x, y), pair of them, path-like, or callable
        A name out of ``DATASETS``, written ``NAME[:FOLDER][@TRAIN+TEST][@standard]``: with a folder where the data
        do not come with a package, the number of samples to keep of each part (with the shares of all classes),
        and ``@standard`` for features of mean 0 and variance 1 instead of those in [0, 1]. Or a data set; or one
        of torch, its loader, or arrays (x, y), which are split, or two of them, to train and to test; or the path of a
        folder of images or a CSV file; or a function ``(rng) -> Dataset``.
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
    if isinstance(source, os.PathLike):
        path = os.fspath(source)
        return read_csv(path, rng) if path.lower().endswith(".csv") else read_images(path, rng)
    if isinstance(source, tuple) and len(source) != 2:
        raise ProblemError(
            f"data: expected (x, y), or ((x, y), (x_test, y_test)), or two data sets, got a tuple of {len(source)}"
        )
    if isinstance(source, (tuple, list)) and len(source) == 2 and not _are_arrays(source):
        return from_torch(source[0], source[1], rng=rng)
    if isinstance(source, DataLoader):
        return from_torch(source, rng=rng)
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
    """Read all samples of a map-style data set of torch, of its loader, or of two arrays.

    Parameters
    ----------
    train : torch.utils.data.Dataset, DataLoader, or (x, y)
        With ``len()`` and pairs (features, label) by index: tensors, arrays or numbers, every sample of one shape. Of a
        loader its data set is read; batches and order are training's own business. Or features and labels: arrays,
        tensors or lists of N samples.
    test : same as `train`, optional
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
        If it is no such data set, or fewer than half of its classes occur; the message names the sample.

    Warns
    -----
    InputWarning
        If some labels below the largest do not occur.

    Examples
    --------
    >>> import torch
    >>> pairs = torch.utils.data.TensorDataset(torch.rand(20, 3), torch.arange(20) % 2)
    >>> sorted(from_torch(pairs, rng=np.random.default_rng(0)).test_y.tolist())
    [0, 0, 1, 1]
    """
    x, y, names = _read(train, "train")
    if test is not None:
        test_x, test_y, _ = _read(test, "test", names)
        classes = count_classes(y, test_y)
    else:
        classes = count_classes(y)
        real("test_fraction", test_fraction, high=1.0)
        if rng is None:
            raise ProblemError("data: give a second data set to test with, or rng to split this one")
        held = stratified(y, round(test_fraction * y.size), rng, "data: test samples")
        kept = np.setdiff1d(np.arange(y.size), held)
        test_x, test_y, x, y = x[held], y[held], x[kept], y[kept]
    source = train.dataset if isinstance(train, DataLoader) else train
    arrays = _are_arrays(train) or hasattr(train, "columns")
    name = "arrays" if arrays else type(source).__name__
    names = None if names is None or len(names) != classes else names
    return Dataset(x, y, test_x, test_y, num_classes=classes, name=name, class_names=names)


def _named(source: str, rng: np.random.Generator) -> Dataset:
    found = _SPEC.fullmatch(source)
    if (found is None or found["name"] not in DATASETS) and os.path.exists(source):
        kind = "images, mnist, idx, cifar10 or cifar100" if os.path.isdir(source) else "csv"
        raise OptionError(
            f"data {source!r}: a path needs the kind of its data before it, {kind}: {kind.split(',')[0]}:{source}"
        )
    if found is None:
        raise OptionError(
            f"data {source!r}: expected NAME[:FOLDER][@TRAIN+TEST][@standard], such as fashion-mnist@6000+1000"
        )
    loaded = choose("data", found["name"], DATASETS, OTHERS)(found["folder"], rng)
    if found["train"]:
        loaded = loaded.subsample(int(found["train"]), int(found["test"]), rng)
    return loaded.standardised() if found["standard"] else loaded


def _read(
    given: Any, part: str, known: tuple[str, ...] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...] | None]:
    """Read features and labels of one part, an array each, and the names of the classes if labels are words."""
    if hasattr(given, "columns") and hasattr(given, "dtypes"):
        given = of_frame(f"data: the {part} table", given)
    if _are_arrays(given):
        x = features_of(f"data: {part} x", _unscaled(given[0]))
        y, names = named_labels(f"data: {part} y", given[1], known)
        if len(x) != len(y):
            raise ProblemError(f"data: {part} y: expected {len(x)} labels, one per sample, got {len(y)}")
        return x, y, names
    if isinstance(given, (np.ndarray, torch.Tensor, Mapping)):
        raise ProblemError(
            f"data: the {part} data are a {type(given).__name__} without labels: give features and labels, (x, y)"
        )
    rows = None
    if isinstance(given, DataLoader):
        rows, given = _loaded(given), given.dataset
    try:
        count = len(given)
    except TypeError:
        raise ProblemError(f"data: the {part} data have no length: a map-style data set is needed") from None
    rows = range(count) if rows is None else rows
    if not len(rows):
        raise ProblemError(f"data: the {part} data are empty")
    features, labels = None, []
    for i, row in enumerate(rows):
        try:
            sample, label = given[row]
            label = label.item() if isinstance(label, torch.Tensor) else label
        except (TypeError, ValueError, LookupError, RuntimeError) as error:
            raise ProblemError(
                f"data: {part} sample {row}: expected a pair of numbers (features) and a whole number (label): {error}"
            ) from error
        sample = _unscaled(array_of(f"data: {part} sample {row}", sample))
        if features is None:
            features = np.empty((len(rows), *sample.shape), np.float32)
        if sample.shape != features.shape[1:]:
            raise ProblemError(
                f"data: {part} sample {row}: expected features of shape {features.shape[1:]}, as the first, got "
                f"{sample.shape}: bring all to one size"
            )
        with np.errstate(over="ignore"):
            features[i] = sample
        labels.append(label)
    y, names = named_labels(f"data: {part} y", labels, known)
    names = names or (tuple(map(str, given.classes)) if _has_names(given) else None)
    return features_of(f"data: {part} x", features), y, names


def _has_names(given: Any) -> bool:
    """Whether a data set lists the names of its classes, as those of torchvision do."""
    return isinstance(getattr(given, "classes", None), (list, tuple))


def _are_arrays(given: Any) -> bool:
    """Whether something is features and labels, two arrays or lists, and not two samples or two data sets."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return False
    kinds = (np.ndarray, torch.Tensor, list, tuple)
    if not all(isinstance(part, kinds) or hasattr(part, "__array__") for part in given) or not len(given[1]):
        return False
    y = given[1]
    if isinstance(y, (list, tuple)):
        return not isinstance(y[0], (list, tuple)) and np.ndim(y[0]) == 0
    return isinstance(given[0], kinds) or hasattr(given[0], "__array__")


def _unscaled(given: Any) -> Any:
    """Scale bytes to [0, 1], and leave other numbers as they are."""
    made = array_of("data", given)
    return made / np.float32(255.0) if made.dtype == np.uint8 else made


def _loaded(loader: DataLoader[Any]) -> Sequence[int]:
    """Return the samples of a loader's data set that it goes through."""
    sampler, count = loader.sampler, len(loader.dataset)  # type: ignore[arg-type]
    if loader.collate_fn is default_collate or loader.batch_size is None:
        if isinstance(sampler, SequentialSampler):
            return range(count)
        if isinstance(sampler, RandomSampler) and not sampler.replacement and len(sampler) == count:
            return range(count)
        if isinstance(sampler, SubsetRandomSampler):
            return sorted(sampler.indices)
    raise ProblemError(
        "data: a DataLoader with a sampler or collate_fn of its own: give its data set, as loader.dataset, or a "
        "torch.utils.data.Subset of it"
    )
