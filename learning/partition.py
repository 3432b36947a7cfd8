"""Partitions: which samples each device holds. Every sample is used exactly once and no device is empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.names import choose, real, whole
from radioopt.base.errors import OptionError, ProblemError

Parts = list[NDArray[np.int64]]
Partition = Callable[[NDArray[np.int64], int, np.random.Generator], Sequence[NDArray[np.int64]]]

#: how often a Dirichlet partition is drawn again because a device came out empty
DIRICHLET_TRIES = 1000


def iid(labels: ArrayLike, num_devices: int, rng: np.random.Generator) -> Parts:
    """Deal the shuffled samples out evenly.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices, from 1 to N.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device; sizes differ by one at most.

    Raises
    ------
    ProblemError
        If there are fewer samples than devices.
    """
    labels = _checked(labels, num_devices)
    return list(np.array_split(rng.permutation(labels.size), num_devices))


def shards(labels: ArrayLike, num_devices: int, rng: np.random.Generator, per_device: int = 2) -> Parts:
    """Sort the samples by label, cut them into equal shards and deal these out at random.

    With two shards per device most devices hold two classes only, the FEEL paper's strongly non-IID case.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Source of randomness; it also orders the samples within a class.
    per_device : int, default 2
        Shards per device >= 1.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device.

    Raises
    ------
    ProblemError
        If there are fewer samples than shards.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    Section VI-A.
    """
    labels = _checked(labels, num_devices)
    count = num_devices * whole("shards.per_device", per_device)
    if count > labels.size:
        raise ProblemError(
            f"partition shards: {count} shards ({num_devices} devices x {per_device}) need as many samples, "
            f"got {labels.size}: use fewer devices or shards per device"
        )
    shuffled = rng.permutation(labels.size)
    pieces = np.array_split(shuffled[np.argsort(labels[shuffled], kind="stable")], count)
    dealt = rng.permutation(count).reshape(num_devices, per_device)
    return [np.concatenate([pieces[i] for i in own]) for own in dealt]


def dirichlet(labels: ArrayLike, num_devices: int, rng: np.random.Generator, alpha: float = 0.5) -> Parts:
    """Split every class over the devices in proportions drawn from a symmetric Dirichlet distribution.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices, from 1 to N.
    rng : numpy.random.Generator
        Source of randomness.
    alpha : float, default 0.5
        Concentration > 0: large is nearly IID, small gives each class to few devices.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device.

    Raises
    ------
    ProblemError
        If there are fewer samples than devices, or a device came out empty in each of 1000 draws.

    Notes
    -----
    A partition with an empty device is drawn again, which conditions the distribution on what is usable.

    Examples
    --------
    >>> parts = dirichlet([0, 0, 0, 1, 1, 1], 2, np.random.default_rng(0), alpha=1.0)
    >>> sorted(int(i) for part in parts for i in part)
    [0, 1, 2, 3, 4, 5]
    """
    labels = _checked(labels, num_devices)
    concentration = np.full(num_devices, real("dirichlet.alpha", alpha))
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for _ in range(DIRICHLET_TRIES):
        owner = np.empty(labels.size, np.int64)
        for members in classes:
            ends = (np.cumsum(rng.dirichlet(concentration)) * members.size).round().astype(np.int64)[:-1]
            owner[rng.permutation(members)] = np.searchsorted(ends, np.arange(members.size), side="right")
        if (np.bincount(owner, minlength=num_devices) > 0).all():
            return [np.flatnonzero(owner == device) for device in range(num_devices)]
    raise ProblemError(
        f"partition dirichlet: a device was left without samples in each of {DIRICHLET_TRIES} draws "
        f"({num_devices} devices, {labels.size} samples, alpha {alpha:g}): raise alpha or use fewer devices"
    )


PARTITIONS: dict[str, Partition] = {"iid": iid, "shards": shards, "dirichlet": dirichlet}


def partition(
    how: str | Partition, labels: ArrayLike, num_devices: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], ...]:
    """Spread samples over devices by a named rule or by one's own.

    Parameters
    ----------
    how : str or callable
        "iid", "shards", "dirichlet"; "shards:3" sets the shards per device, "dirichlet:0.3" alpha. Or a
        function ``(labels, num_devices, rng) -> list of index arrays``.
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of ndarray of int64
        Sample indices of each device; every sample once, no device empty.

    Raises
    ------
    OptionError
        If there is no such rule, or its number is not accepted.
    ProblemError
        If the rule cannot serve so many devices, or one's own rule leaves a device empty or does not use
        every sample once.

    Examples
    --------
    >>> [part.size for part in partition("iid", [0, 1, 0, 1, 0], 2, np.random.default_rng(0))]
    [3, 2]
    """
    labels = _checked(labels, num_devices)
    parts = rule(how)(labels, num_devices, rng)
    parts = tuple(np.asarray(part, np.int64) for part in parts)
    if len(parts) != num_devices or not all(part.size for part in parts):
        sizes = [part.size for part in parts]
        raise ProblemError(f"partition: expected {num_devices} parts that are not empty, got sizes {sizes}")
    if not np.array_equal(np.sort(np.concatenate(parts)), np.arange(labels.size)):
        raise ProblemError(f"partition: expected each of {labels.size} samples exactly once")
    return parts


def rule(how: str | Partition) -> Partition:
    """Turn the name of a rule, with its number if it has one, into the rule."""
    if callable(how):
        return how
    name, colon, text = how.partition(":") if isinstance(how, str) else (how, "", "")
    chosen = choose("partition", name, PARTITIONS, "a function (labels, num_devices, rng)")
    if not colon:
        return chosen
    try:
        if chosen is shards:
            per_device = whole("shards.per_device", int(text))
            return lambda labels, count, rng: shards(labels, count, rng, per_device)
        if chosen is dirichlet:
            alpha = real("dirichlet.alpha", float(text))
            return lambda labels, count, rng: dirichlet(labels, count, rng, alpha)
    except ValueError as error:
        if isinstance(error, OptionError):
            raise
    raise OptionError(
        f"partition {how!r}: expected shards:NUMBER, dirichlet:ALPHA or a plain {', '.join(PARTITIONS)}"
    )


def _checked(labels: ArrayLike, num_devices: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ProblemError(f"partition.labels: expected a list of whole numbers, got shape {array.shape}")
    if whole("partition.num_devices", num_devices) > array.size:
        raise ProblemError(
            f"partition: {num_devices} devices need at least as many samples, got {array.size}: "
            "use fewer devices or more data"
        )
    return array.astype(np.int64)
