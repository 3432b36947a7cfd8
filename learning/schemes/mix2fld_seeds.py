"""Seed samples: what devices give the server to train with, raw or mixed, and unmixed by the server."""

from __future__ import annotations

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
    labels : ndarray of int64, shape (N, 2)
        The labels that each was mixed of, with ratios lambda and 1 - lambda; twice the same for a raw sample.
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
        np.stack([labels, labels], -1),
    )


def mixed(task: Task, labels: IntArray, ratio: float, rng: np.random.Generator) -> Seeds:
    r"""Mix two samples of different labels on a device, (6): :math:`\lambda s_i + (1 - \lambda) s_j`.

    Parameters
    ----------
    task : Task
        Who holds what.
    labels : ndarray of int64, shape (K, N_S, 2)
        Labels of the two samples of each seed.
    ratio : float
        Lambda, of the first sample, in (0, 1/2).
    rng : numpy.random.Generator
        Source of the samples, each drawn anew among those of its label.

    Returns
    -------
    Seeds
        Those of the first device first, with soft labels.
    """
    devices, count, _ = labels.shape
    rows = np.empty(labels.shape, np.int64)
    for device, part in enumerate(task.parts):
        own = task.data.train_y[part]
        for label in np.unique(labels[device]):
            wanted = labels[device] == label
            rows[device][wanted] = rng.choice(part[own == label], int(wanted.sum()))
    flat = rows.reshape(-1, 2)
    x, y = task.samples
    shares = torch.tensor([ratio, 1.0 - ratio])
    return Seeds(
        torch.einsum("n,bn...->b...", shares, x[flat]),
        torch.einsum("n,bnl->bl", shares, _one_hot(y[flat], task)),
        np.repeat(np.arange(devices), count),
        labels.reshape(-1, 2),
    )


def random_labels(task: Task, count: int, rng: np.random.Generator) -> IntArray:
    """Let every device choose two samples of different labels at random, as the paper says.

    Parameters
    ----------
    task : Task
        Who holds what.
    count : int
        Seeds per device.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    ndarray of int64, shape (K, count, 2)
        Labels: of any two samples that differ in it, all such pairs equally likely.

    Raises
    ------
    ProblemError
        If a device holds a single label.
    """
    return np.stack([_random_pairs(device, held, count, rng) for device, held in enumerate(_histogram(task))])


def assigned_labels(task: Task, count: int, capacity: int, rng: np.random.Generator) -> IntArray:
    """Let the server assign labels, so that what a device mixes of (l, m), another one mixes of (m, l).

    Parameters
    ----------
    task : Task
        Who holds what; the server must know which labels each device holds.
    count : int
        Seeds per device.
    capacity : int
        Other seeds that each is to be unmixed with.
    rng : numpy.random.Generator
        Source of ties.

    Returns
    -------
    ndarray of int64, shape (K, count, 2)
        Labels. What finds no partner (devices without two labels in common, an odd number of seeds) is random.

    Raises
    ------
    ProblemError
        If a device holds a single label.

    Notes
    -----
    The two devices with the most seeds to go that hold two labels in common take `capacity` seeds each, of the two
    labels used least so far. The paper leaves open how labels come to be symmetric: with random ones only 49 % of the
    seeds of ten devices with ten seeds each can be paired.
    """
    held = _histogram(task)
    left, used = np.full(len(held), count), np.zeros((held.shape[1],) * 2)
    found = np.empty((len(held), count, 2), np.int64)
    has_two = [set(combinations(np.flatnonzero(row).tolist(), 2)) for row in held]
    while (chosen := _most_left(left, has_two, rng)) is not None:
        one, other = chosen
        common = sorted(has_two[one] & has_two[other])
        usage = np.array([used[pair] for pair in common]) + 0.5 * rng.random(len(common))
        pair = common[int(usage.argmin())]
        block = int(min(capacity, left[one], left[other]))
        first = rng.permutation(pair)
        for device, labels in ((one, first), (other, first[::-1])):
            found[device, count - left[device] : count - left[device] + block] = labels
            left[device] -= block
        used[pair] += block
    for alone in np.flatnonzero(left).tolist():
        rest = int(left[alone])
        found[alone, count - rest :] = _random_pairs(alone, held[alone], rest, rng)
    return found


def unmixed(seeds: Seeds, ratio: float, capacity: int) -> Seeds:
    """Combine mixed samples of different devices into samples of one label each, (7).

    Parameters
    ----------
    seeds : Seeds
        Mixed samples that arrived.
    ratio : float
        Lambda that all were mixed with.
    capacity : int
        Others that each may be combined with.

    Returns
    -------
    Seeds
        Two for each pair, one of each label, of the most pairs that there are; with one-hot labels, and as device
        that of the first of the pair.
    """
    pairs = pair_symmetric(seeds.device, seeds.labels[:, 0], seeds.labels[:, 1], capacity)
    if not len(pairs):
        return seeds[np.empty(0, np.int64)]
    shape = seeds.x.shape[1:]
    grouped = seeds.x.double().flatten(1).numpy()[pairs]
    x = inverse_mixup(grouped, [ratio, 1.0 - ratio]).reshape(-1, *shape)
    labels = seeds.labels[pairs[:, 0]].reshape(-1)
    return Seeds(
        torch.from_numpy(x).to(seeds.x.dtype),
        functional.one_hot(torch.from_numpy(labels), seeds.y.shape[1]).to(seeds.y.dtype),
        np.repeat(seeds.device[pairs[:, 0]], 2),
        np.stack([labels, labels], -1),
    )


def _most_left(
    left: IntArray, has_two: list[set[tuple[int, int]]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Two devices with two labels in common, with the most seeds to go; ties at random."""
    order = np.lexsort((rng.random(len(left)), -left))
    waiting = [int(device) for device in order if left[device] > 0]
    for one, other in combinations(waiting, 2):
        if has_two[one] & has_two[other]:
            return one, other
    return None


def _random_pairs(device: int, held: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Labels of two samples of a device that differ in them, each such pair of samples equally likely."""
    weight = np.outer(held, held).astype(np.float64)
    np.fill_diagonal(weight, 0.0)
    if not weight.any():
        raise ProblemError(
            f"mixed samples need two labels on every device, and device {device} holds one: use another partition"
        )
    drawn = rng.choice(weight.size, count, p=weight.ravel() / weight.sum())
    return np.stack(np.unravel_index(drawn, weight.shape), -1)


def _histogram(task: Task) -> IntArray:
    """Count the samples of each label on each device, (K, L)."""
    return np.stack(
        [np.bincount(task.data.train_y[part], minlength=task.data.num_classes) for part in task.parts]
    )


def _one_hot(labels: Tensor, task: Task) -> Tensor:
    return functional.one_hot(labels, task.data.num_classes).to(task.samples[0].dtype)
