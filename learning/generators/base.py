"""What a generator of samples is: fitted on public samples only, then asked for samples of given classes."""

from __future__ import annotations

import copy
import hashlib
import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from learning.data.dataset import Dataset
from learning.generators.files import write
from learning.options import described, real
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@runtime_checkable
class Generator(Protocol):
    """A generator of one's own is any object with these two methods."""

    def fit(self, samples: Dataset, rng: np.random.Generator, progress: bool = True) -> Generator:
        """Learn from samples.

        Parameters
        ----------
        samples : Dataset
            Public ones, as :attr:`learning.Task.public`: its training samples are learnt from.
        rng : numpy.random.Generator
            All that is drawn.
        progress : bool, default True
            Whether a bar is shown on a terminal.

        Returns
        -------
        Generator
            Fitted: itself or another object.
        """
        ...

    def sample(self, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        """Make a sample of each label.

        Parameters
        ----------
        labels : ndarray of int, shape (n,)
            Wanted classes.
        rng : numpy.random.Generator
            All that is drawn.

        Returns
        -------
        ndarray, shape (n, ...)
            In the range of the samples learnt from.
        """
        ...


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a generator knows after fitting.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Weights and scales by name.
    sample_shape : tuple of int
        Shape of a sample.
    num_classes : int
        Number of classes.
    data : str
        Name of the samples.
    digest : str
        SHA-256 of the samples and labels that it was fitted on.
    seen : ndarray of uint64, shape (N,)
        A hash of each of these samples.
    counts : ndarray of int64, shape (C,)
        How many of them are of each class.
    """

    arrays: dict[str, NDArray[Any]]
    sample_shape: tuple[int, ...]
    num_classes: int
    data: str
    digest: str
    seen: NDArray[np.uint64]
    counts: NDArray[np.int64]

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the network, whose names begin with "network."."""
        start = "network."
        return {
            name.removeprefix(start): torch.from_numpy(value)
            for name, value in self.arrays.items()
            if name.startswith(start)
        }


@dataclass(frozen=True, eq=False)
class Learner(ABC):
    """A generator with checks, and a file: derive from it, or write the two methods of :class:`Generator`.

    A generator is a frozen dataclass of its options; `fit` returns a fitted copy. Nothing is drawn from torch's or
    NumPy's global generators, and the same seed gives the same samples, also after saving and loading.
    """

    name: ClassVar[str] = "generator"
    learnt: Learnt | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def _fit(
        self, x: Floats, y: Labels, num_classes: int, rng: np.random.Generator, progress: bool
    ) -> dict[str, NDArray[Any]]:
        """Return what is learnt from samples x with labels y, as arrays by name."""

    @abstractmethod
    def _sample(self, learnt: Learnt, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        """Make a sample of each label, at least one."""

    def fit(self, samples: Dataset, rng: np.random.Generator, progress: bool = True) -> Self:
        """Learn from public samples.

        Parameters
        ----------
        samples : Dataset
            Its training samples are learnt from, its test samples are not looked at.
        rng : numpy.random.Generator
            All that is drawn.
        progress : bool, default True
            Whether a bar is shown on a terminal.

        Returns
        -------
        Learner
            A fitted copy.

        Raises
        ------
        ProblemError
            If the samples are the devices' (``task.data``), or have no classes.
        OptionError
            If `rng` is no generator of NumPy's.
        """
        check_public(type(self).__name__, samples)
        check_rng(rng)
        x, y = self._material(samples)
        classes = int(samples.num_classes or 0)
        arrays = self._fit(x, y, classes, rng, progress)
        made = copy.copy(self)
        known = Learnt(
            arrays,
            samples.sample_shape,
            classes,
            samples.name,
            digest_of(x, y),
            hashes(x),
            np.bincount(y, minlength=classes),
        )
        object.__setattr__(made, "learnt", known)
        return made

    def _material(self, samples: Dataset) -> tuple[Floats, Labels]:
        """Return what is learnt from: the public samples."""
        return samples.train_x, samples.train_y

    def sample(self, labels: ArrayLike, rng: np.random.Generator) -> Floats:
        """Make a sample of each label.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            Wanted classes, 0 to ``num_classes - 1``.
        rng : numpy.random.Generator
            All that is drawn.

        Returns
        -------
        ndarray of float32, shape (n, ...)
            In the range of the samples learnt from.

        Raises
        ------
        ProblemError
            If it is not fitted, or a label is none of the classes.
        OptionError
            If `rng` is no generator of NumPy's.
        """
        learnt = self.known()
        wanted = check_labels(labels, learnt.counts)
        check_rng(rng)
        if not wanted.size:
            return np.empty((0, *learnt.sample_shape), np.float32)
        return np.ascontiguousarray(self._sample(learnt, wanted, rng), np.float32)

    def known(self) -> Learnt:
        """Return what was learnt; refuse where nothing was."""
        if self.learnt is None:
            kind = type(self).__name__
            raise ProblemError(f"{kind}: it has learnt nothing yet: sample from {kind}(...).fit(public, rng)")
        return self.learnt

    def knows(self, samples: Dataset) -> bool:
        """Tell whether it was fitted on exactly these samples."""
        return self.known().digest == digest_of(samples.train_x, samples.train_y)

    def settings(self) -> dict[str, Any]:
        """Return the options, for files and manifests."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.init}

    def save(self, path: str | Path) -> Path:
        """Write the fitted generator into one file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Ends in .npz; read back by :func:`load`.

        Returns
        -------
        pathlib.Path
            Where it is.

        Raises
        ------
        OptionError
            If the name has another ending.
        ProblemError
            If it is not fitted.
        """
        learnt = self.known()
        header = {
            "generator": self.name,
            "options": _plain(self.settings()),
            **{name: getattr(learnt, name) for name in ("sample_shape", "num_classes", "data", "digest")},
        }
        return write(path, header, {**learnt.arrays, "seen": learnt.seen, "counts": learnt.counts})


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON knows them, without arrays and data sets."""
    named = {n: os.fspath(v) if isinstance(v, os.PathLike) else v for n, v in options.items()}
    kinds = (bool, str, numbers.Real, type(None))
    return {name: described(value) for name, value in named.items() if isinstance(value, kinds)}


def check_public(who: str, samples: Any) -> None:
    """Refuse samples that a generator may not learn from, or cannot."""
    if not isinstance(samples, Dataset):
        raise ProblemError(
            f"{who}.fit: expected a learning.Dataset of public samples, got {shorten(samples)}"
        )
    if samples.private:
        raise ProblemError(
            f"{who}.fit: the samples of {samples.name!r} are the devices': a generator learns from public ones, as "
            "task.public: set some aside, as train(public=600)"
        )
    if samples.regression:
        raise ProblemError(
            f"{who}.fit: the samples of {samples.name!r} have no classes: a regression has none"
        )


def check_rng(rng: Any) -> np.random.Generator:
    """Refuse what is no generator of random numbers."""
    if not isinstance(rng, np.random.Generator):
        raise OptionError(f"rng: expected a generator, as numpy.random.default_rng(0), got {shorten(rng)}")
    return rng


def check_labels(labels: ArrayLike, counts: NDArray[np.int64]) -> Labels:
    """Return wanted labels as whole numbers, or name the first that is no class or has no sample to learn from."""
    given = np.asarray(labels)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ProblemError(f"labels: expected whole numbers, shape (n,), got {given.dtype} {given.shape}")
    if (wrong := (given < 0) | (given >= counts.size)).any():
        first = int(np.argmax(wrong))
        raise ProblemError(f"labels: expected 0 to {counts.size - 1}, got {given[first]} at index {first}")
    wanted = given.astype(np.int64)
    if not counts[wanted].all():
        missing = int(wanted[np.argmin(counts[wanted])])
        raise ProblemError(f"labels: the generator was fitted on no sample of class {missing}: give it some")
    return wanted


def digest_of(x: Floats, y: Labels) -> str:
    """Return the SHA-256 of samples and labels."""
    digest = hashlib.sha256(str(x.shape).encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(np.ascontiguousarray(y).data)
    return digest.hexdigest()


def hashes(x: Floats) -> NDArray[np.uint64]:
    """Return a hash of each sample: equal for equal samples, and only for these but for one pair in 2^64."""
    rows = np.ascontiguousarray(x, np.float32) + np.float32(0)  # -0 is 0
    rows = rows.reshape(len(rows), -1)
    found = [hashlib.blake2b(row.data, digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(found), np.uint64)


def refuse_held(
    generator: Any, held: Floats, public: Floats | None = None, whose: str = "the devices'"
) -> None:
    """Refuse a fitted generator that has learnt from samples that it should not have seen.

    Parameters
    ----------
    generator : Generator
        One that keeps no list of what it has seen is taken at its word.
    held : ndarray, shape (N, ...)
        Samples of the devices, or of the test.
    public : ndarray, shape (M, ...), optional
        Public samples, which it may have seen, and of which some may equal one of the former.
    whose : str, default "the devices'"
        What `held` is, for the message.

    Raises
    ------
    ProblemError
        If one of the samples that it has seen is among `held`, and not among `public`.

    Examples
    --------
    >>> from learning.data.dataset import digits
    >>> data = digits(np.random.default_rng(0))
    >>> from learning.generators import ReadyMade, refuse_held
    >>> generator = ReadyMade().fit(data, np.random.default_rng(0))
    >>> refuse_held(generator, data.test_x, whose="the test's")
    >>> refuse_held(generator, data.train_x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    radioopt.base.errors.ProblemError: generator: 1437 of the 1437 samples that it was fitted on are the devices': ...
    """
    learnt = getattr(generator, "learnt", None)
    if not isinstance(learnt, Learnt):
        return
    seen = learnt.seen if public is None else np.setdiff1d(learnt.seen, hashes(public))
    count = int(np.isin(seen, hashes(held)).sum())
    if count:
        raise ProblemError(
            f"generator: {count} of the {len(learnt.seen)} samples that it was fitted on are {whose}: fit it on the "
            "public samples of this run, task.public"
        )


def is_fitted(generator: Any) -> bool:
    """Tell whether a generator of this package has learnt already, as one read from a file has."""
    return isinstance(getattr(generator, "learnt", None), Learnt)


def share(option: str, given: Any) -> float:
    """Check a number in [0, 1)."""
    return 0.0 if given == 0 and not isinstance(given, bool) else real(option, given, high=1.0)
