"""Samples that were made elsewhere, or the public samples themselves, drawn as a generator would make them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from learning.data.arrays import array_of, features_of, labels_of
from learning.data.dataset import Dataset
from learning.data.images import image_folder
from learning.generators.base import (
    Floats,
    Labels,
    Learner,
    Learnt,
    check_public,
)
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten


@dataclass(frozen=True, eq=False)
class ReadyMade(Learner):
    """Draw samples out of a collection that is there already.

    Parameters
    ----------
    source : str, path-like, (x, y) or Dataset, optional
        A folder of images with a folder per class; features (N, ...) and labels (N,); or a data set, whose training
        samples are drawn. By default the public samples themselves: the baseline that every generator is compared with.
        Bytes are scaled to [0, 1].

    Raises
    ------
    OptionError
        If it is something else.

    Notes
    -----
    Each class is drawn without repetition until all its samples are used, then from the start again.

    Examples
    --------
    >>> from learning.data.dataset import digits
    >>> generator = ReadyMade().fit(digits(np.random.default_rng(0)), np.random.default_rng(0))
    >>> generator.sample([0, 1, 1], np.random.default_rng(1)).shape
    (3, 1, 8, 8)
    """

    name: ClassVar[str] = "ready-made"
    source: Any = None

    def __post_init__(self) -> None:
        pair = isinstance(self.source, (tuple, list)) and len(self.source) == 2
        if not (self.source is None or pair or isinstance(self.source, (str, os.PathLike, Dataset))):
            raise OptionError(
                f"ReadyMade.source: expected a folder, (x, y) or a learning.Dataset, got {shorten(self.source)}"
            )

    def _material(self, samples: Dataset) -> tuple[Floats, Labels]:
        """Read the collection, and check that its samples are like the public ones."""
        source = samples if self.source is None else self.source
        if isinstance(source, Dataset):
            check_public("ReadyMade", source)
            source = source.train_x, source.train_y
        elif isinstance(source, (str, os.PathLike)):
            source = image_folder(os.fspath(source))[0]
        x = array_of("ReadyMade.source", source[0])
        x = features_of("ReadyMade.source", x / np.float32(255.0) if x.dtype == np.uint8 else x)
        y = labels_of("ReadyMade.source", source[1])
        if len(x) != len(y):
            raise ProblemError(f"ReadyMade.source: expected {len(x)} labels, one per sample, got {len(y)}")
        if x.shape[1:] != samples.sample_shape:
            raise ProblemError(
                f"ReadyMade.source: expected samples of shape {samples.sample_shape}, as {samples.name!r} has, got "
                f"{x.shape[1:]}"
            )
        classes = int(samples.num_classes or 0)
        if (wrong := y >= classes).any():
            first = int(np.argmax(wrong))
            raise ProblemError(
                f"ReadyMade.source: expected labels from 0 to {classes - 1}, got {y[first]} at index {first}"
            )
        return x, y

    def knows(self, samples: Dataset) -> bool:
        """Tell whether its samples are of the kind of these."""
        learnt = self.known()
        return learnt.sample_shape == samples.sample_shape and learnt.num_classes == samples.num_classes

    def _fit(
        self, x: Floats, y: Labels, num_classes: int, rng: np.random.Generator, progress: bool
    ) -> dict[str, NDArray[Any]]:
        return {"x": x, "y": y}

    def _sample(self, learnt: Learnt, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        x, y = learnt.arrays["x"], learnt.arrays["y"]
        rows = np.empty(labels.size, np.int64)
        for label in np.unique(labels):
            wanted, there = np.flatnonzero(labels == label), np.flatnonzero(y == label)
            turns = -(-wanted.size // there.size)
            rows[wanted] = np.concatenate([rng.permutation(there) for _ in range(turns)])[: wanted.size]
        return x[rows]
