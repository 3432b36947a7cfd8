"""Data sets: arrays of one's own, real handwritten digits without a download, and parts of larger sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.arrays import MAX_CLASSES, array_of, count_classes, features_of, labels_of
from learning.data.tables import named_labels
from learning.options import real, whole
from radioopt.base.errors import OptionError, ProblemError, require
from radioopt.base.quantity import shorten

#: samples that are standardised at a time
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples in two parts: one that is spread over the devices, one that judges the model.

    Parameters
    ----------
    train_x, test_x : array_like, shapes (N, ...) and (N_test, ...)
        Features of the samples, any shape per sample; kept as float32. Arrays, lists, or tensors of any real type,
        also with gradients.
    train_y, test_y : array_like of int, shapes (N,) and (N_test,)
        Labels from 0 to ``num_classes - 1``; kept as int64. For regression numbers, shapes (N,) or (N, T) for T
        targets; kept as float32.
    num_classes : int or None
        Number of classes, from 2 to 100,000; None for regression.
    name : str, default "arrays"
        A name for tables and manifests.
    class_names : tuple of str, optional
        Names of the classes by their number, for people.
    private : bool, default False
        Whether devices hold training samples, as in a :class:`~learning.Task`: generators refuse to learn from them.

    Raises
    ------
    ProblemError
        If a part is empty, lengths or shapes of samples differ, a feature is not finite, complex or masked, or a label
        is no whole number of the range.

    Examples
    --------
    >>> data = Dataset([[0.0], [1.0]], [0, 1], [[0.5]], [1], num_classes=2)
    >>> data.train_x.dtype.name, data.sample_shape
    ('float32', (1,))
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    num_classes: int | None
    name: str = "arrays"
    private: bool = False
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.num_classes is not None and (
            not isinstance(self.num_classes, (int, np.integer)) or not 2 <= self.num_classes <= MAX_CLASSES
        ):
            raise ProblemError(
                f"Dataset.num_classes: expected a whole number from 2 to {MAX_CLASSES}, got {shorten(self.num_classes)}"
            )
        if self.class_names is not None:
            object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
            if len(self.class_names) != self.num_classes:
                raise ProblemError(
                    f"Dataset.class_names: expected {self.num_classes}, one per class, got {len(self.class_names)}"
                )
        for part in ("train", "test"):
            x = features_of(f"Dataset.{part}_x", getattr(self, f"{part}_x"))
            y = self._targets(f"{part}_y") if self.num_classes is None else self._labels(f"{part}_y")
            if len(x) != len(y):
                raise ProblemError(
                    f"Dataset.{part}_y: expected {len(x)} labels, one per sample of {part}_x, got {len(y)}"
                )
            object.__setattr__(self, f"{part}_x", x)
            object.__setattr__(self, f"{part}_y", y)
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise ProblemError(
                f"Dataset.test_x: expected samples of shape {self.train_x.shape[1:]}, as in train_x, "
                f"got {self.test_x.shape[1:]}"
            )

    @classmethod
    def split(
        cls,
        x: Any,
        y: Any,
        *,
        test_fraction: float = 0.2,
        seed: int = 0,
        regression: bool = False,
        name: str = "arrays",
    ) -> Dataset:
        """Split samples into a part to train and a part to test with.

        Parameters
        ----------
        x : array_like, shape (N, ...)
            Features; bytes are scaled to [0, 1].
        y : array_like, shape (N,)
            Labels, whole numbers or words; or for a regression numbers, shape (N,) or (N, T).
        test_fraction : float, default 0.2
            Share of the samples in (0, 1) to test with, of every class its share.
        seed : int, default 0
            Of the split.
        regression : bool, default False
            Whether `y` are numbers to predict.
        name : str, default "arrays"
            A name for tables and manifests.

        Returns
        -------
        Dataset
            With the names of the classes, if labels are words.

        Raises
        ------
        ProblemError
            As :class:`Dataset`.

        Examples
        --------
        >>> data = Dataset.split(np.arange(20.0)[:, None], ["cat", "dog"] * 10)
        >>> data.test_y.tolist(), data.class_names
        ([1, 0, 0, 1], ('cat', 'dog'))
        """
        real("test_fraction", test_fraction, high=1.0)
        x, rng = array_of("Dataset.split: x", x), np.random.default_rng(whole("seed", seed, low=0))
        x = x / np.float32(255.0) if x.dtype == np.uint8 else x
        names: tuple[str, ...] | None = None
        if regression:
            y = array_of("Dataset.split: y", y)
            held = np.sort(rng.permutation(len(y))[: max(1, round(test_fraction * len(y)))])
            classes = None
        else:
            y, names = named_labels("Dataset.split: y", y)
            held = stratified(y, round(test_fraction * y.size), rng, "Dataset.split: test samples")
            classes = count_classes(y)
        if len(x) != len(y):
            raise ProblemError(f"Dataset.split: y: expected {len(x)}, one per sample, got {len(y)}")
        kept = np.setdiff1d(np.arange(len(y)), held)
        return cls(x[kept], y[kept], x[held], y[held], num_classes=classes, name=name, class_names=names)

    def _labels(self, field: str) -> NDArray[np.int64]:
        y, count = labels_of(f"Dataset.{field}", getattr(self, field)), int(self.num_classes or 0)
        if (wrong := y >= count).any():
            first = int(np.argmax(wrong))
            raise ProblemError(
                f"Dataset.{field}: expected labels from 0 to {count - 1}, got {y[first]} at index {first}"
            )
        return y

    def _targets(self, field: str) -> Any:
        given = array_of(f"Dataset.{field}", getattr(self, field))
        if given.ndim not in (1, 2) or given.size == 0:
            raise ProblemError(f"Dataset.{field}: expected targets (N,) or (N, T), got shape {given.shape}")
        return features_of(f"Dataset.{field}", given.reshape(len(given), -1))

    @property
    def regression(self) -> bool:
        """Whether targets are numbers, not classes."""
        return self.num_classes is None

    @property
    def num_outputs(self) -> int:
        """Numbers that a model puts out: one per class, or per target of a regression."""
        return int(self.train_y.shape[1]) if self.num_classes is None else int(self.num_classes)

    def classes(self, part: str = "train") -> NDArray[np.int64]:
        """Return the class of each sample, by which partitions and samplings go.

        Parameters
        ----------
        part : {"train", "test"}, default "train"
            Which samples.

        Returns
        -------
        ndarray of int64, shape (N,)
            Labels; of a regression the tenth that the first target is in, by the quantiles of the training samples.
        """
        y: NDArray[Any] = self.train_y if part == "train" else self.test_y
        if not self.regression:
            return y
        edges = np.quantile(self.train_y[:, 0], np.linspace(0.1, 0.9, 9))
        return np.searchsorted(edges, y[:, 0], side="right").astype(np.int64)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the features of one sample."""
        return self.train_x.shape[1:]

    def digest(self) -> str:
        """Fingerprint of all samples and labels.

        Returns
        -------
        str
            SHA-256 in hexadecimal.
        """
        digest = hashlib.sha256(f"{self.num_classes} {self.train_x.shape} {self.test_x.shape}".encode())
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            digest.update(array.data)
        return digest.hexdigest()

    def public_part(self, rows: NDArray[np.int64]) -> Dataset:
        """Return some training samples as public ones, both parts being these: whoever gets them sees no others.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Which, at least one.

        Returns
        -------
        Dataset
            Not private; the name says how many.
        """
        x, y = self.train_x[rows], self.train_y[rows]
        name = f"{self.name}, {len(rows)} public"
        return replace(self, train_x=x, train_y=y, test_x=x, test_y=y, name=name, private=False)

    def set_aside(self, public: float, rng: np.random.Generator) -> Dataset:
        """Choose public training samples, as ``train(public=...)`` does with the stream "public" of its seed.

        Parameters
        ----------
        public : int or float
            Number of samples, or their share in (0, 1); every class has its share.
        rng : numpy.random.Generator
            Chooses them.

        Returns
        -------
        Dataset
            These samples as both parts.

        Raises
        ------
        OptionError
            If there are fewer samples, or fewer are asked for than there are classes.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> digits(rng).set_aside(600, rng).train_x.shape
        (600, 1, 8, 8)
        """
        return self.public_part(public_rows(self.classes(), public, rng))

    def subsample(self, train: int, test: int, rng: np.random.Generator) -> Dataset:
        """Keep some samples, with the shares of all classes, for quick runs.

        Parameters
        ----------
        train, test : int
            Samples to keep of each part, at least one per class.
        rng : numpy.random.Generator
            Chooses them.

        Returns
        -------
        Dataset
            The samples kept, in their order; the name says how many.

        Raises
        ------
        OptionError
            If there are fewer samples, or fewer are asked for than there are classes.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> small = digits(rng).subsample(200, 50, rng)
        >>> small.name, np.bincount(small.test_y).tolist()
        ('digits@200+50', [5, 5, 5, 5, 5, 5, 5, 5, 5, 5])
        """
        keep = [
            stratified(self.classes(part), count, rng, f"{self.name}: {part} samples")
            for part, count in (("train", train), ("test", test))
        ]
        return replace(
            self,
            train_x=self.train_x[keep[0]],
            train_y=self.train_y[keep[0]],
            test_x=self.test_x[keep[1]],
            test_y=self.test_y[keep[1]],
            name=f"{self.name}@{train}+{test}",
        )

    def standardised(self) -> Dataset:
        """Shift and scale the features to mean 0 and variance 1 over the training samples.

        Returns
        -------
        Dataset
            Of images (channels, height, width) each channel is scaled as a whole, of other samples each
            feature by itself; a feature that never changes is only shifted. The test samples are scaled with
            the numbers of the training samples.

        Examples
        --------
        >>> data = digits(np.random.default_rng(0)).standardised()
        >>> bool(abs(data.train_x.mean()) < 1e-6), round(float(data.train_x.std()), 5)
        (True, 1.0)
        """
        axes = (0, 2, 3) if self.train_x.ndim == 4 else (0,)
        mean = self.train_x.mean(axes, np.float64, keepdims=True)
        square = np.zeros_like(mean)
        for part in _parts(self.train_x):  # a copy of everything in double precision would be large
            square += ((part - mean) ** 2).sum(axes, keepdims=True)
        deviation = np.sqrt(square * (mean.size / self.train_x.size))
        deviation[deviation == 0.0] = 1.0
        train_x, test_x = np.empty_like(self.train_x), np.empty_like(self.test_x)
        for given, made in ((self.train_x, train_x), (self.test_x, test_x)):
            for part, scaled in zip(_parts(given), _parts(made), strict=True):
                scaled[...] = (part - mean) / deviation
        return replace(self, train_x=train_x, test_x=test_x, name=f"{self.name}@standard")


def digits(rng: np.random.Generator, test_fraction: float = 0.2) -> Dataset:
    """Load 1797 real handwritten digits of 8 x 8 pixels, split at random with equal shares of every class.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the split.
    test_fraction : float, default 0.2
        Share of the samples that judges the model, in (0, 1) and large enough for one sample per class.

    Returns
    -------
    Dataset
        Images of shape (1, 8, 8) in [0, 1], ten classes. By default 1437 to train with and 360 to test.

    Raises
    ------
    OptionError
        If the fraction leaves one of the parts without a sample of each class.
    MissingExtraError
        If scikit-learn is not installed.

    References
    ----------
    The test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI repository), as
    it comes with scikit-learn.

    Examples
    --------
    >>> data = digits(np.random.default_rng(0))
    >>> data.train_x.shape, data.test_x.shape
    ((1437, 1, 8, 8), (360, 1, 8, 8))
    """
    total, classes = 1797, 10
    real("digits.test_fraction", test_fraction, low=classes / total, high=1 - classes / total)
    loaded: Any = require("sklearn.datasets", "learning").load_digits()
    split = require("sklearn.model_selection", "learning").train_test_split
    images, labels = loaded.images[:, None] / 16.0, loaded.target
    train_x, test_x, train_y, test_y = split(
        images, labels, test_size=test_fraction, stratify=labels, random_state=int(rng.integers(2**31))
    )
    return Dataset(train_x, train_y, test_x, test_y, num_classes=classes, name="digits")


def _parts(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Cut samples into pieces that share their memory."""
    return [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]


def public_rows(labels: NDArray[np.int64], public: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose public samples, a number or a share of all, with the shares of all classes; ascending rows."""
    if isinstance(public, float) and 0 < public < 1:
        public = max(round(public * labels.size), len(np.unique(labels)))
    return stratified(labels, whole("public", public), rng, "public samples")


def stratified(
    labels: NDArray[np.int64], count: int, rng: np.random.Generator, what: str = "samples"
) -> NDArray[np.int64]:
    """Choose samples at random, of every class its share.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Label of each sample.
    count : int
        How many to choose, from the number of classes to N.
    rng : numpy.random.Generator
        Chooses them.
    what : str, default "samples"
        What they are, for messages.

    Returns
    -------
    ndarray of int64, shape (count,)
        Indices, ascending; each class has its share, rounded down or up.

    Raises
    ------
    OptionError
        If the number is out of that range.
    """
    found, kinds, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    present = found.size
    if not present <= whole(what, count) <= labels.size:
        raise OptionError(f"{what}: expected {present} (one per class) to {labels.size}, got {count}")
    shares = sizes * (count / labels.size)
    takes = np.floor(shares + 1e-9).astype(np.int64)
    takes[np.argsort(takes - shares, kind="stable")[: count - takes.sum()]] += 1
    chosen = [rng.permutation(np.flatnonzero(kinds == c))[:take] for c, take in enumerate(takes)]
    return np.sort(np.concatenate(chosen))
