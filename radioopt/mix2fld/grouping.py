"""Which labels devices mix, and which mixed samples of more than two labels the server combines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import ProblemError

IntArray = NDArray[np.int64]


def random_labels(
    histogram: IntArray, count: int, size: int, rngs: Sequence[np.random.Generator]
) -> IntArray:
    """Let every device choose samples of different labels at random, as the paper says.

    Parameters
    ----------
    histogram : ndarray of int64, shape (K, L)
        Samples of each label on each device.
    count : int
        Seeds per device.
    size : int
        Samples M that are mixed to one.
    rngs : sequence of K numpy.random.Generator
        Source of each device's choice.

    Returns
    -------
    ndarray of int64, shape (K, count, size)
        Labels: each of a sample drawn among those whose label is not there yet.

    Raises
    ------
    ProblemError
        If a device holds fewer labels.
    """
    rows = zip(range(len(histogram)), histogram, rngs, strict=True)
    return np.stack([_random(device, held, count, size, rng) for device, held, rng in rows])


def assigned_labels(
    histogram: IntArray, count: int, size: int, capacity: int, rng: np.random.Generator
) -> IntArray:
    """Let the server assign labels, so that the seeds of a group of devices can be unmixed.

    What a device mixes of (l, m), another one mixes of (m, l); of more labels, each device of the group has them
    shifted by one more.

    Parameters
    ----------
    histogram : ndarray of int64, shape (K, L)
        Samples of each label on each device, which the server must know.
    count : int
        Seeds per device.
    size : int
        Samples M that are mixed to one, and devices of a group.
    capacity : int
        Groups that each seed is to be in.
    rng : numpy.random.Generator
        Source of ties.

    Returns
    -------
    ndarray of int64, shape (K, count, size)
        Labels. What finds no group (devices without so many labels in common, numbers that do not divide) is random.

    Raises
    ------
    ProblemError
        If a device holds fewer labels.

    Notes
    -----
    The devices with the most seeds to go that hold enough labels in common take `capacity` seeds each, of the labels
    used least so far. The paper leaves open how labels come to be symmetric: with random ones only 49 % of the seeds
    of ten devices with ten seeds each can be paired.
    """
    held = [frozenset(np.flatnonzero(row).tolist()) for row in histogram]
    left = np.full(len(held), count)
    used: dict[tuple[int, ...], int] = {}
    found = np.empty((len(held), count, size), np.int64)
    while chosen := _most_left(left, held, size, rng):
        every = list(combinations(sorted(frozenset.intersection(*(held[d] for d in chosen))), size))
        usage = np.array([used.get(labels, 0) for labels in every]) + 0.5 * rng.random(len(every))
        labels = every[int(usage.argmin())]
        block = int(min(capacity, *(left[device] for device in chosen)))
        group = rng.permutation(labels)
        for position, device in enumerate(chosen):
            start = count - left[device]
            found[device, start : start + block] = np.roll(group, position)
            left[device] -= block
        used[labels] = used.get(labels, 0) + block
    for alone in np.flatnonzero(left).tolist():
        rest = int(left[alone])
        found[alone, count - rest :] = _random(alone, histogram[alone], rest, size, rng)
    return found


def grouped(device: IntArray, labels: IntArray) -> IntArray:
    """Put samples mixed of the same labels, shifted by one more each, into groups of different devices.

    Parameters
    ----------
    device : ndarray of int64, shape (S,)
        Who uploaded each.
    labels : ndarray of int64, shape (S, M)
        What each was mixed of.

    Returns
    -------
    ndarray of int64, shape (G, M)
        Indices of the samples of each group, by position; each sample in one group at most.

    Notes
    -----
    Greedy: of each position in turn the sample whose device has the most left. The most groups are a matching in M
    dimensions, which is hard for more than two; nothing is lost where the server assigned the labels and all arrived.
    """
    size = labels.shape[1]
    position = labels.argmin(1)  # in a group, the least label comes first at position 0
    start = np.take_along_axis(labels, (np.arange(size) + position[:, None]) % size, 1)
    groups = []
    for tuple_ in np.unique(start, axis=0):
        members = np.flatnonzero((start == tuple_).all(1))
        waiting = [members[position[members] == i].tolist() for i in range(size)]
        while all(waiting):
            counts = np.bincount(device[np.concatenate(waiting)])
            group: list[int] = []
            for candidates in waiting:
                free = [s for s in candidates if device[s] not in device[group]]
                if not free:
                    break
                group.append(max(free, key=lambda s: counts[device[s]]))
            if len(group) < size:
                break
            groups.append(group)
            for candidates, taken in zip(waiting, group, strict=True):
                candidates.remove(taken)
    return np.array(groups, np.int64).reshape(-1, size)


def _most_left(left: IntArray, held: list[frozenset[int]], size: int, rng: np.random.Generator) -> list[int]:
    """Devices of a group, those with the most seeds to go first, ties at random; none if there is no group."""
    order = np.lexsort((rng.random(len(left)), -left))
    waiting = [int(device) for device in order if left[device] > 0]
    for first, one in enumerate(waiting):
        group, common = [one], held[one]
        for other in waiting[first + 1 :]:
            if len(group) < size and len(common & held[other]) >= size:
                group.append(other)
                common = common & held[other]
        if len(group) == size:
            return group
    return []


def _random(device: int, held: IntArray, count: int, size: int, rng: np.random.Generator) -> IntArray:
    """Draw the labels of samples that differ in them."""
    if (held > 0).sum() < size:
        raise ProblemError(
            f"mixed samples need {size} labels on every device, and device {device} holds {(held > 0).sum()}: "
            "use another partition"
        )
    share = held / held.sum()
    return np.stack([rng.choice(len(held), size, replace=False, p=share) for _ in range(count)])
