"""Seed samples: what devices give the server to train with, raw or mixed, and unmixed by the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from learning.task import Task
from radioopt.base.errors import ProblemError
from radioopt.mix2fld import inverse_mixup, pair_symmetric

IntArray = NDArray[np.int64]
Ratios = Sequence[float]


@dataclass(frozen=True, eq=False)
class Seeds:
    """Samples with soft labels, and where they are from.

    Parameters
    ----------
    x : Tensor, shape (N, ...)
        Features.
    y : Tensor, shape (N, L)
        Distributions over the labels.
    device : ndarray of int64, shape (N,)
        Who uploaded each.
    labels : ndarray of int64, shape (N, M)
        The labels that each was mixed of, in the order of the ratios; a single one for a sample that is not mixed.
    """

    x: Tensor
    y: Tensor
    device: IntArray
    labels: IntArray

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.device)

    def of(self, devices: NDArray[np.bool_]) -> Seeds:
        """Return those that came from some devices."""
        return self[np.flatnonzero(devices[self.device])]

    def __getitem__(self, rows: IntArray) -> Seeds:
        """Return some of them."""
        chosen = torch.from_numpy(rows)
        return Seeds(self.x[chosen], self.y[chosen], self.device[rows], self.labels[rows])


def raw(task: Task, count: int, rng: np.random.Generator) -> Seeds:
    """Choose samples of every device at random, as FLD uploads them.

    Parameters
    ----------
    task : Task
        Who holds what.
    count : int
        Samples per device.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    Seeds
        Those of the first device first.

    Raises
    ------
    ProblemError
        If a device holds fewer samples.
    """
    if (task.sizes < count).any():
        device = int(np.argmax(task.sizes < count))
        raise ProblemError(
            f"seed_samples: expected at most {task.sizes[device]}, as many as device {device} holds, got {count}"
        )
    rows = np.concatenate([rng.choice(part, count, replace=False) for part in task.parts])
    x, y = task.samples
    labels = task.data.train_y[rows]
    return Seeds(
        x[rows],
        _one_hot(y[rows], task),
        np.repeat(np.arange(len(task.parts)), count),
        labels[:, None],
    )


def mixed(task: Task, labels: IntArray, ratios: Ratios, rng: np.random.Generator) -> Seeds:
    r"""Mix samples of different labels on a device, of two by (6): :math:`\lambda s_i + (1 - \lambda) s_j`.

    Parameters
    ----------
    task : Task
        Who holds what.
    labels : ndarray of int64, shape (K, N_S, M)
        Labels of the M samples of each seed.
    ratios : sequence of M floats
        Mixing ratios; of two, lambda and 1 - lambda.
    rng : numpy.random.Generator
        Source of the samples, each drawn anew among those of its label.

    Returns
    -------
    Seeds
        Those of the first device first, with soft labels.
    """
    devices, count, size = labels.shape
    rows = np.empty(labels.shape, np.int64)
    for device, part in enumerate(task.parts):
        own = task.data.train_y[part]
        for label in np.unique(labels[device]):
            wanted = labels[device] == label
            rows[device][wanted] = rng.choice(part[own == label], int(wanted.sum()))
    flat = rows.reshape(-1, size)
    x, y = task.samples
    shares = torch.tensor(ratios, dtype=x.dtype)
    return Seeds(
        torch.einsum("n,bn...->b...", shares, x[flat]),
        torch.einsum("n,bnl->bl", shares, _one_hot(y[flat], task)),
        np.repeat(np.arange(devices), count),
        labels.reshape(-1, size),
    )


def random_labels(task: Task, count: int, size: int, rng: np.random.Generator) -> IntArray:
    """Let every device choose samples of different labels at random, as the paper says.

    Parameters
    ----------
    task : Task
        Who holds what.
    count : int
        Seeds per device.
    size : int
        Samples M that are mixed to one.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    ndarray of int64, shape (K, count, size)
        Labels: each of a sample drawn among those whose label is not there yet.

    Raises
    ------
    ProblemError
        If a device holds fewer labels.
    """
    return np.stack([_random(device, held, count, size, rng) for device, held in enumerate(_histogram(task))])


def assigned_labels(task: Task, count: int, size: int, capacity: int, rng: np.random.Generator) -> IntArray:
    """Let the server assign labels, so that the seeds of a group of devices can be unmixed.

    What a device mixes of (l, m), another one mixes of (m, l); of more labels, each device of the group has them
    shifted by one more.

    Parameters
    ----------
    task : Task
        Who holds what; the server must know which labels each device holds.
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
    histogram = _histogram(task)
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


def unmixed(seeds: Seeds, ratios: Ratios, capacity: int) -> Seeds:
    """Combine mixed samples of different devices into samples of one label each, (7) and (8).

    Parameters
    ----------
    seeds : Seeds
        Mixed samples that arrived.
    ratios : sequence of M floats
        Ratios that all were mixed with.
    capacity : int
        Groups that each may be in; of more than two samples, one.

    Returns
    -------
    Seeds
        One of each label for each group; with one-hot labels, and as device that of the first of the group. Of two
        there are the most groups possible, of more those that :func:`grouped` finds.
    """
    if seeds.labels.shape[1] == 2:
        groups = pair_symmetric(seeds.device, seeds.labels[:, 0], seeds.labels[:, 1], capacity)
    else:
        groups = grouped(seeds.device, seeds.labels)
    if not len(groups):
        return seeds[np.empty(0, np.int64)]
    values = seeds.x.double().flatten(1).numpy()[groups]
    x = inverse_mixup(values, ratios).reshape(-1, *seeds.x.shape[1:])
    labels = seeds.labels[groups[:, 0]].reshape(-1)
    return Seeds(
        torch.from_numpy(x).to(seeds.x.dtype),
        functional.one_hot(torch.from_numpy(labels), seeds.y.shape[1]).to(seeds.y.dtype),
        np.repeat(seeds.device[groups[:, 0]], groups.shape[1]),
        labels[:, None],
    )


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


def _histogram(task: Task) -> IntArray:
    """Count the samples of each label on each device, (K, L)."""
    return np.stack(
        [np.bincount(task.data.train_y[part], minlength=task.data.num_classes) for part in task.parts]
    )


def _one_hot(labels: Tensor, task: Task) -> Tensor:
    return functional.one_hot(labels, task.data.num_classes).to(task.samples[0].dtype)
