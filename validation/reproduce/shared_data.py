"""Data of many runs: files are read once a process, which takes half a second.

A module of its own, since joblib's workers do not share what a script that is run as a module keeps.
"""

from __future__ import annotations

import functools

import numpy as np

from learning.data import sources
from learning.data.dataset import Dataset


def load(name: str, rng: np.random.Generator) -> Dataset:
    """Load data as :func:`learning.data.sources.load` does.

    Parameters
    ----------
    name : str
        Such as "digits", or "fashion-mnist@32000+1000".
    rng : numpy.random.Generator
        Chooses samples and splits.

    Returns
    -------
    Dataset
        The same as from the files.
    """
    files, _, parts = name.partition("@")
    if not parts or files == "digits":  # digits are split anew every time
        return sources.load(name, rng)
    train, test = map(int, parts.split("+"))
    return _whole(files).subsample(train, test, rng)


@functools.lru_cache(maxsize=1)
def _whole(files: str) -> Dataset:
    return sources.load(files, np.random.default_rng(0))
