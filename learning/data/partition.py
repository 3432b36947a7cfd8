"""Partitions: which samples each device holds. No sample is on two devices and no device is empty."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.catalog import PARTITIONS
from learning.data.partition_counts import Parts, checked, deal
from learning.options import choose, real, whole
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten

Partition = Callable[[NDArray[np.int64], int, np.random.Generator], Sequence[NDArray[np.int64]]]

RULES = "a function (labels, num_devices, rng), or index arrays"
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
    labels = checked(labels, num_devices)
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
    labels = checked(labels, num_devices)
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


def dirichlet(
    labels: ArrayLike,
    num_devices: int,
    rng: np.random.Generator,
    alpha: float = 0.5,
    samples: int | None = None,
) -> Parts:
    """Draw shares of the classes from a symmetric Dirichlet distribution.

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
    samples : int, optional
        Samples of every device >= 1. With it, what is drawn is the mixture of classes on each device, as in the FIMI
        paper (1250 samples, alpha 0.4 or 0.6), and samples may be left over. Without it, every class is split over
        the devices, whose sizes then differ, and all samples are used.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device.

    Raises
    ------
    ProblemError
        If there are fewer samples than devices or than asked for; or if, in each of 1000 draws, a device came out
        empty or a class too small.

    Notes
    -----
    A partition with an empty device, or with more samples of a class than there are, is drawn again, which conditions
    the distribution on what is usable.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning over Heterogeneous
    Mobile Edge Devices", Section VI-A.

    Examples
    --------
    >>> parts = dirichlet([0, 0, 0, 1, 1, 1], 2, np.random.default_rng(0), alpha=1.0)
    >>> sorted(int(i) for part in parts for i in part)
    [0, 1, 2, 3, 4, 5]
    """
    labels = checked(labels, num_devices)
    alpha = real("dirichlet.alpha", alpha)
    if samples is not None:
        return _dirichlet_mixtures(labels, num_devices, rng, alpha, whole("dirichlet.samples", samples))
    concentration = np.full(num_devices, alpha)
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


def _dirichlet_mixtures(
    labels: NDArray[np.int64], num_devices: int, rng: np.random.Generator, alpha: float, samples: int
) -> Parts:
    held = np.unique(labels, return_counts=True)[1]
    if samples * num_devices > labels.size:
        raise ProblemError(
            f"partition dirichlet: {num_devices} devices of {samples} samples need {samples * num_devices}, got "
            f"{labels.size}: use fewer devices or samples"
        )
    for _ in range(DIRICHLET_TRIES):
        shares = rng.dirichlet(np.full(held.size, alpha), num_devices)
        counts = rng.multinomial(samples, shares)
        if (counts.sum(0) <= held).all():
            return deal(labels, counts, rng)
    raise ProblemError(
        f"partition dirichlet: a class was too small for its devices in each of {DIRICHLET_TRIES} draws ({num_devices} "
        f"devices of {samples} samples, alpha {alpha:g}): raise alpha, or use fewer devices or samples"
    )


def partition(
    how: str | Partition | Mapping[int, Any] | Sequence[Any],
    labels: ArrayLike,
    num_devices: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], ...]:
    """Spread samples over devices by a named rule or by one's own.

    Parameters
    ----------
    how : str, callable, mapping or sequence
        A key of ``PARTITIONS``, with its numbers after a colon if wanted, in the order of its arguments:
        "shards:3", "dirichlet:0.3", "balanced:500", "rare-labels:2,2,62", "few-labels:3". Or a function
        ``(labels, num_devices, rng) -> list of index arrays``; or these arrays themselves, in a list or by device.
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of ndarray of int64
        Sample indices of each device; no sample on two, no device empty.

    Raises
    ------
    OptionError
        If there is no such rule, or its number is not accepted.
    ProblemError
        If the rule cannot serve so many devices, or one's own rule leaves a device empty, gives a sample to two, or
        names samples by other than whole numbers.

    Examples
    --------
    >>> [part.size for part in partition("iid", [0, 1, 0, 1, 0], 2, np.random.default_rng(0))]
    [3, 2]
    >>> [part.tolist() for part in partition({0: [0, 4], 1: [2]}, [0, 1, 0, 1, 0], 2, np.random.default_rng(0))]
    [[0, 4], [2]]
    """
    labels = checked(labels, num_devices)
    given: Any = how
    if isinstance(how, str) or callable(how):
        given = rule(how)(labels, num_devices, rng)
    elif not isinstance(how, (Mapping, Sequence, np.ndarray)):
        choose("partition", how, PARTITIONS, RULES)
    if isinstance(given, Mapping):
        if set(given) != set(range(num_devices)):
            raise ProblemError(
                f"partition: expected an entry for each device from 0 to {num_devices - 1}, got {shorten(list(given))}"
            )
        given = [given[device] for device in range(num_devices)]
    if not isinstance(given, (Sequence, np.ndarray)):
        raise ProblemError(
            f"partition: expected a list of index arrays, one per device, got {shorten(given)}"
        )
    parts = tuple(_indices(part, device) for device, part in enumerate(given))
    if len(parts) != num_devices or not all(part.size for part in parts):
        sizes = [part.size for part in parts]
        raise ProblemError(f"partition: expected {num_devices} parts that are not empty, got sizes {sizes}")
    used = np.sort(np.concatenate(parts))
    if used[0] < 0 or used[-1] >= labels.size or (np.diff(used) == 0).any():
        raise ProblemError(f"partition: expected each of {labels.size} samples at most once, by index from 0")
    return parts


def _indices(part: Any, device: int) -> NDArray[np.int64]:
    """Read the samples of a device, which are whole numbers."""
    array = np.asarray(part)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ProblemError(
            f"partition: expected the samples of device {device} by whole numbers, got {shorten(part)}"
        )
    return array.astype(np.int64)


def rule(how: str | Partition) -> Partition:
    """Turn the name of a rule, with its numbers if it has some, into the rule."""
    if callable(how):
        return how
    name, colon, text = how.partition(":") if isinstance(how, str) else (how, "", "")
    chosen = choose("partition", name, PARTITIONS, RULES)
    if not colon:
        return chosen
    takes = list(inspect.signature(chosen).parameters.values())[3:]
    given = text.split(",")
    try:
        pairs = zip(takes, given, strict=False)
        numbers = {p.name: float(t) if p.annotation == "float" else int(t) for p, t in pairs}
    except ValueError:
        numbers = {}
    if len(numbers) != len(given):
        first, *more = [p.name.upper() for p in takes] or [""]
        optional = "".join(f"[,{taken}" for taken in more) + "]" * len(more)
        expected = f"{name}:{first}{optional}" if takes else f"{name}, without numbers"
        raise OptionError(f"partition {how!r}: expected {expected}")
    return lambda labels, count, rng: chosen(labels, count, rng, **numbers)  # type: ignore[call-arg]
