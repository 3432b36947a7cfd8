"""Partitions by numbers: how many samples of every label a device holds, as the papers' experiments say it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.options import whole
from radioopt.base.errors import OptionError, ProblemError

Parts = list[NDArray[np.int64]]


def balanced(
    labels: ArrayLike, num_devices: int, rng: np.random.Generator, samples: int | None = None
) -> Parts:
    """Give every device the same number of samples of every class: the IID case of the Mix2FLD paper.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Source of randomness.
    samples : int, optional
        Samples of a device (500 in the paper), a multiple of the number of classes. By default as many as the
        smallest class allows.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device; what is left over is on none.

    Raises
    ------
    ProblemError
        If a class has too few samples.
    OptionError
        If the number is no such multiple.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section V.

    Examples
    --------
    >>> [part.size for part in balanced([0, 0, 0, 0, 1, 1, 1], 2, np.random.default_rng(0), samples=2)]
    [2, 2]
    """
    labels = checked(labels, num_devices)
    held = np.unique(labels, return_counts=True)[1]
    if samples is None:
        samples = held.size * max(int(held.min()) // num_devices, 1)
    if whole("balanced.samples", samples) % held.size:
        raise OptionError(
            f"balanced.samples: expected a multiple of {held.size}, one per class, got {samples}"
        )
    return deal(labels, np.full((num_devices, held.size), samples // held.size), rng)


def rare_labels(
    labels: ArrayLike,
    num_devices: int,
    rng: np.random.Generator,
    rare: int = 2,
    few: int = 2,
    many: int = 62,
) -> Parts:
    """Give every device a few samples of some labels of its own and many of the others: Mix2FLD's non-IID case.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Chooses the rare labels of each device, and the samples.
    rare : int, default 2
        Labels that are rare on a device, from 0 to the number of classes.
    few, many : int, default 2 and 62
        Samples of each rare and of each other label, >= 0. With ten classes that is the paper's 500 per device.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device; what is left over is on none.

    Raises
    ------
    ProblemError
        If a class has too few samples, or a device would have none.
    OptionError
        If a number is out of its range.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section V.
    """
    labels = checked(labels, num_devices)
    classes = np.unique(labels).size
    if whole("rare-labels.rare", rare, low=0) > classes:
        raise OptionError(f"rare-labels.rare: expected 0 to {classes}, the number of classes, got {rare}")
    few, many = whole("rare-labels.few", few, low=0), whole("rare-labels.many", many, low=0)
    counts = np.where(_some_labels(num_devices, classes, rare, rng), few, many)
    return deal(labels, counts, rng)


def few_labels(
    labels: ArrayLike,
    num_devices: int,
    rng: np.random.Generator,
    per_device: int = 3,
    samples: int | None = None,
) -> Parts:
    """Give every device samples of a few labels only, chosen at random: the label skew of the D2D and DT-KD papers.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Chooses the labels of each device, and the samples.
    per_device : int, default 3
        Labels on a device, from 1 to the number of classes. DT-KD takes 25 of 100; the numbers of D2D are lost in the
        text at hand.
    samples : int, optional
        Samples of a device, a multiple of `per_device`, of each of its labels the same. By default the samples of a
        class are shared evenly by the devices that hold it; those of a class that nobody holds are on none.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device.

    Raises
    ------
    ProblemError
        If a class has too few samples.
    OptionError
        If a number is out of its range.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Appendix C; X. Wang et al., "Digital twin-assisted knowledge distillation framework for heterogeneous federated
    learning", the non-IID data of its experiments.

    Examples
    --------
    >>> y = np.arange(100) % 10
    >>> [np.unique(y[part]).size for part in few_labels(y, 4, np.random.default_rng(0), per_device=2)]
    [2, 2, 2, 2]
    """
    labels = checked(labels, num_devices)
    held = np.unique(labels, return_counts=True)[1]
    if whole("few-labels.per_device", per_device) > held.size:
        raise OptionError(f"few-labels.per_device: expected 1 to {held.size} labels, got {per_device}")
    chosen = _some_labels(num_devices, held.size, per_device, rng)
    if samples is not None:
        if whole("few-labels.samples", samples) % per_device:
            raise OptionError(
                f"few-labels.samples: expected a multiple of {per_device}, one per label, got {samples}"
            )
        return deal(labels, chosen * (samples // per_device), rng)
    rank = np.cumsum(chosen, 0) - 1  # the first holders of a class take what does not divide
    holders = np.maximum(chosen.sum(0), 1)
    return deal(labels, chosen * (held // holders + (rank < held % holders)), rng)


def disjoint_labels(labels: ArrayLike, num_devices: int, rng: np.random.Generator) -> Parts:
    """Divide the labels: every device has all samples of labels that nobody else has.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    num_devices : int
        Number of devices >= 1.
    rng : numpy.random.Generator
        Shuffles the labels, and the samples where devices share some.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device, ascending. The shuffled labels are cut into as many groups as there are devices,
        of equal sizes or one label more; all samples are used. With more devices than labels, devices in turn get a
        label, and those of the same share its samples evenly.

    Raises
    ------
    ProblemError
        If a label has fewer samples than devices that share it.

    References
    ----------
    X. Wang et al., "Digital twin-assisted knowledge distillation framework for heterogeneous federated learning",
    Section IV: four users with 25 of the 100 labels each.

    Examples
    --------
    >>> y = np.arange(100) % 10
    >>> parts = disjoint_labels(y, 4, np.random.default_rng(0))
    >>> [np.unique(y[part]).size for part in parts], sum(part.size for part in parts)
    ([3, 3, 2, 2], 100)
    """
    labels = checked(labels, num_devices)
    shuffled = rng.permutation(np.unique(labels))
    groups = np.array_split(shuffled, min(num_devices, shuffled.size))
    parts: Parts = [np.empty(0, np.int64)] * num_devices
    for group, own in enumerate(groups):
        devices = range(group, num_devices, len(groups))
        held = np.flatnonzero(np.isin(labels, own))
        if held.size < len(devices):
            raise ProblemError(
                f"partition disjoint-labels: {len(devices)} devices share the {held.size} samples of label {own[0]}: "
                "use fewer devices or more data"
            )
        for device, part in zip(devices, np.array_split(rng.permutation(held), len(devices)), strict=True):
            parts[device] = np.sort(part)
    return parts


def deal(labels: ArrayLike, counts: ArrayLike, rng: np.random.Generator) -> Parts:
    """Deal out so many samples of every class to every device.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Label of each sample.
    counts : array_like of int, shape (K, C)
        Samples >= 0 of each class, those that occur in ascending order, for each device.
    rng : numpy.random.Generator
        Chooses the samples.

    Returns
    -------
    list of ndarray of int64
        Sample indices of each device, ascending.

    Raises
    ------
    ProblemError
        If a class has fewer samples than the devices are to hold, or a device would hold none.
    """
    labels, counts = np.asarray(labels), np.asarray(counts)
    owner = np.full(labels.size, -1)
    for label, wanted in zip(np.unique(labels), counts.T, strict=True):
        members = np.flatnonzero(labels == label)
        if wanted.sum() > members.size:
            raise ProblemError(
                f"partition: the devices are to hold {wanted.sum()} samples of label {label}, the data have "
                f"{members.size}: use fewer devices, fewer samples per device, or more data"
            )
        owner[rng.permutation(members)[: wanted.sum()]] = np.repeat(np.arange(len(counts)), wanted)
    empty = np.flatnonzero(counts.sum(1) == 0)
    if empty.size:
        raise ProblemError(f"partition: device {empty[0]} would hold no sample: raise the numbers")
    return [np.flatnonzero(owner == device) for device in range(len(counts))]


def _some_labels(devices: int, classes: int, chosen: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose so many labels at random on every device, shape (K, C)."""
    return np.argsort(rng.random((devices, classes)), 1).argsort(1) < chosen


def checked(labels: ArrayLike, num_devices: int) -> NDArray[np.int64]:
    """Check labels and a number of devices that does not exceed them."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ProblemError(f"partition.labels: expected a list of whole numbers, got shape {array.shape}")
    if whole("partition.num_devices", num_devices) > array.size:
        raise ProblemError(
            f"partition: {num_devices} devices need at least as many samples, got {array.size}: "
            "use fewer devices or more data"
        )
    return array.astype(np.int64)
