"""Seed samples: what devices give the server to train with, raw or mixed, and unmixed by the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from learning.task import Cohort, Task
from radioopt.base.errors import ProblemError
from radioopt.mix2fld import grouped, inverse_mixup, pair_symmetric

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

    def __getitem__(self, rows: IntArray) -> Seeds:
        """Return some of them."""
        chosen = torch.from_numpy(rows).to(self.x.device)
        return Seeds(self.x[chosen], self.y[chosen], self.device[rows], self.labels[rows])

    @classmethod
    def joined(cls, groups: Sequence[Seeds]) -> Seeds:
        """Put the seeds of several groups of devices together, in the order of the devices."""
        joined = cls(
            torch.cat([group.x for group in groups]),
            torch.cat([group.y for group in groups]),
            np.concatenate([group.device for group in groups]),
            np.concatenate([group.labels for group in groups]),
        )
        return joined[np.argsort(joined.device, kind="stable")]


def raw(cohort: Cohort, count: int, rngs: Sequence[np.random.Generator]) -> Seeds:
    """Choose samples of every device at random, as FLD uploads them.

    Parameters
    ----------
    cohort : Cohort
        Some devices and what they hold.
    count : int
        Samples per device.
    rngs : sequence of k numpy.random.Generator
        Source of each device's choice.

    Returns
    -------
    Seeds
        Those of the first device first.

    Raises
    ------
    ProblemError
        If a device holds fewer samples.
    """
    if (cohort.sizes < count).any():
        place = int(np.argmax(cohort.sizes < count))
        raise ProblemError(
            f"seed_samples: expected at most {cohort.sizes[place]}, as many as device {cohort.devices[place]} holds, "
            f"got {count}"
        )
    task = cohort.task
    chosen = [rng.choice(part, count, replace=False) for rng, part in zip(rngs, cohort.parts, strict=True)]
    rows = np.concatenate(chosen)
    x, y = task.samples
    index = torch.from_numpy(rows).to(x.device)
    labels = task.data.train_y[rows]
    return Seeds(x[index], _one_hot(y[index], task), np.repeat(cohort.devices, count), labels[:, None])


def mixed(cohort: Cohort, labels: IntArray, ratios: Ratios, rngs: Sequence[np.random.Generator]) -> Seeds:
    r"""Mix samples of different labels on a device, of two by (6): :math:`\lambda s_i + (1 - \lambda) s_j`.

    Parameters
    ----------
    cohort : Cohort
        Some devices and what they hold.
    labels : ndarray of int64, shape (k, N_S, M)
        Labels of the M samples of each seed.
    ratios : sequence of M floats
        Mixing ratios; of two, lambda and 1 - lambda.
    rngs : sequence of k numpy.random.Generator
        Source of each device's samples, drawn anew among those of the label.

    Returns
    -------
    Seeds
        Those of the first device first, with soft labels.
    """
    task, (_, count, size) = cohort.task, labels.shape
    rows = np.empty(labels.shape, np.int64)
    for place, (part, rng) in enumerate(zip(cohort.parts, rngs, strict=True)):
        own = task.data.train_y[part]
        for label in np.unique(labels[place]):
            wanted = labels[place] == label
            rows[place][wanted] = rng.choice(part[own == label], int(wanted.sum()))
    x, y = task.samples
    flat = torch.from_numpy(rows.reshape(-1, size)).to(x.device)
    shares = torch.tensor(ratios, dtype=x.dtype, device=x.device)
    return Seeds(
        torch.einsum("n,bn...->b...", shares, x[flat]),
        torch.einsum("n,bnl->bl", shares, _one_hot(y[flat], task)),
        np.repeat(cohort.devices, count),
        labels.reshape(-1, size),
    )


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
        there are the most groups possible, of more those that :func:`radioopt.mix2fld.grouped` finds.
    """
    if seeds.labels.shape[1] == 2:
        groups = pair_symmetric(seeds.device, seeds.labels[:, 0], seeds.labels[:, 1], capacity)
    else:
        groups = grouped(seeds.device, seeds.labels)
    if not len(groups):
        return seeds[np.empty(0, np.int64)]
    values = seeds.x.double().flatten(1).cpu().numpy()[groups]
    x = inverse_mixup(values, ratios).reshape(-1, *seeds.x.shape[1:])
    labels = seeds.labels[groups[:, 0]].reshape(-1)
    return Seeds(
        torch.from_numpy(x).to(seeds.x),
        functional.one_hot(torch.from_numpy(labels), seeds.y.shape[1]).to(seeds.y),
        np.repeat(seeds.device[groups[:, 0]], groups.shape[1]),
        labels[:, None],
    )


def histogram(task: Task, devices: IntArray) -> IntArray:
    """Count the samples of each label on some devices, shape (k, L)."""
    labels = task.data.train_y
    return np.stack(
        [np.bincount(labels[task.parts[k]], minlength=task.data.num_outputs) for k in devices.tolist()]
    )


def _one_hot(labels: Tensor, task: Task) -> Tensor:
    return functional.one_hot(labels, task.data.num_outputs).to(task.samples[0].dtype)
