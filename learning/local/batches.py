"""Batches of local training: which samples each device uses in each of its steps, drawn before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from learning.options import whole
from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten

Parts = Sequence[NDArray[np.int64]]
Rngs = Sequence[np.random.Generator]


@dataclass(frozen=True, eq=False)
class Batches:
    """Which samples each device uses in each of its steps.

    Parameters
    ----------
    index : Tensor of int64, shape (S, K, B)
        Rows of the samples: the batch of device k in step s is ``index[s, k, :size[s, k]]``. What follows is
        padding with a sample that the device holds.
    size : Tensor of int64, shape (S, K)
        Samples of the batch, 0 to B; a device with none rests in that step.
    """

    index: Tensor
    size: Tensor

    @property
    def samples(self) -> Tensor:
        """Samples that each device goes through in all its steps, repetitions counted; int64, shape (K,)."""
        return self.size.sum(0)


def picked(values: Tensor, rows: Tensor) -> Tensor:
    """Return some rows of many, in the shape of their numbers; each is copied in one piece, which indexing does not."""
    return values.index_select(0, rows.flatten()).unflatten(0, rows.shape)


def epochs(parts: Parts, batchsize: ArrayLike, count: int, rngs: Rngs) -> Batches:
    """Go through all samples of a device so many times, in an order that is shuffled each time.

    Parameters
    ----------
    parts : sequence of K ndarrays of int64
        Rows of the samples that each device holds.
    batchsize : int or array_like of int, shape (K,)
        Samples per batch >= 1, what a device holds at most; the last batch of an epoch has what is left. A
        device with 0 rests.
    count : int
        Epochs >= 1.
    rngs : sequence of K numpy.random.Generator
        Source of each device's orders.

    Returns
    -------
    Batches
        As many steps as the device with most of them takes; the others rest at the end.

    Raises
    ------
    ProblemError
        If a batch size is negative or no whole number.
    OptionError
        If `count` is not positive.

    Examples
    --------
    >>> drawn = epochs([np.arange(5), np.arange(5, 7)], [2, 4], 1, [np.random.default_rng(k) for k in range(2)])
    >>> drawn.size.tolist()
    [[2, 2], [2, 0], [1, 0]]
    """
    sizes = _sizes(batchsize, parts)
    rounds = whole("epochs", count)
    taken = np.array([min(size, part.size) for size, part in zip(sizes, parts, strict=True)])
    per_epoch = [-(-part.size // size) if size else 0 for size, part in zip(taken, parts, strict=True)]
    steps, width = rounds * max(per_epoch), int(taken.max())
    first = np.array([part[0] for part in parts])
    index = np.tile(first[:, None], (steps, 1, width))
    size = np.zeros((steps, len(parts)), np.int64)
    for device, (part, own, count, rng) in enumerate(zip(parts, taken, per_epoch, rngs, strict=True)):
        if own:
            orders = rng.permuted(np.tile(part, (rounds, 1)), axis=1)
            padded = np.full((rounds, count * own), part[0])
            padded[:, : part.size] = orders
            index[: rounds * count, device, :own] = padded.reshape(-1, own)
            ends = np.minimum(own * np.arange(1, count + 1), part.size)
            size[: rounds * count, device] = np.tile(np.diff(ends, prepend=0), rounds)
    return Batches(torch.from_numpy(index), torch.from_numpy(size))


def cycling(parts: Parts, batchsize: int, count: ArrayLike, rngs: Rngs) -> Batches:
    """Go through all samples of a device so many times in batches of one size: the last one is filled up.

    Parameters
    ----------
    parts : sequence of K ndarrays of int64
        Rows of the samples that each device holds.
    batchsize : int
        Samples per batch >= 1, what a device holds at most.
    count : int or array_like of int, shape (K,)
        Epochs >= 1 of each device, of as many steps as it takes to have had every sample.
    rngs : sequence of K numpy.random.Generator
        Source of each device's orders.

    Returns
    -------
    Batches
        All batches of a device have the same size, as batch normalisation of many devices at once needs it. They follow
        each other in an endless sequence of shuffles, so that a batch may hold a sample twice where two of them meet.

    Raises
    ------
    OptionError
        If a number is not positive.

    Examples
    --------
    >>> drawn = cycling([np.arange(5), np.arange(5, 7)], 2, 1, [np.random.default_rng(k) for k in range(2)])
    >>> drawn.size.tolist()
    [[2, 2], [2, 0], [2, 0]]
    """
    whole("batchsize", batchsize)
    times = [whole("epochs", times) for times in np.broadcast_to(count, len(parts)).tolist()]
    own = [min(batchsize, part.size) for part in parts]
    taken = [n * -(-part.size // size) for n, part, size in zip(times, parts, own, strict=True)]
    first = np.array([part[0] for part in parts])
    index = np.tile(first[:, None], (max(taken), 1, max(own)))
    size = np.zeros((max(taken), len(parts)), np.int64)
    for device, (part, width, steps, rng) in enumerate(zip(parts, own, taken, rngs, strict=True)):
        needed = steps * width
        orders = rng.permuted(np.tile(part, (-(-needed // part.size), 1)), axis=1)
        index[:steps, device, :width] = orders.reshape(-1)[:needed].reshape(steps, width)
        size[:steps, device] = width
    return Batches(torch.from_numpy(index), torch.from_numpy(size))


def iterations(parts: Parts, batchsize: ArrayLike, count: int, rngs: Rngs) -> Batches:
    """Draw a fresh batch for each of so many steps, the same number on every device.

    Parameters
    ----------
    parts : sequence of K ndarrays of int64
        Rows of the samples that each device holds.
    batchsize : int or array_like of int, shape (K,)
        Samples per batch >= 1, drawn without replacement, so what a device holds at most; those of different
        steps are independent. A device with 0 rests.
    count : int
        Steps >= 1.
    rngs : sequence of K numpy.random.Generator
        Source of each device's samples.

    Returns
    -------
    Batches
        `count` steps.

    Raises
    ------
    ProblemError
        If a batch size is negative or no whole number.
    OptionError
        If `count` is not positive.

    Notes
    -----
    Floyd's algorithm: the i-th of b draws from n samples is uniform on the first n - b + i, and is replaced
    by the last of these if it was drawn already. Every set of b samples is equally likely, at the price of b
    random numbers, however many samples there are.

    Examples
    --------
    >>> drawn = iterations([np.arange(5), np.arange(5, 7)], 1, 3, [np.random.default_rng(k) for k in range(2)])
    >>> drawn.index.shape, bool((drawn.index[:, 1] >= 5).all())
    (torch.Size([3, 2, 1]), True)
    """
    sizes = _sizes(batchsize, parts)
    steps = whole("iterations", count)
    held = np.array([part.size for part in parts])
    taken = np.minimum(sizes, held)
    width = int(taken.max())
    chosen = np.full((steps, len(parts), width), -1)
    luck = np.zeros((len(parts), width, steps))
    for device, rng in enumerate(rngs):
        luck[device, : taken[device]] = rng.random((taken[device], steps))
    for i in range(width):
        last = held - taken + i
        drawn = (luck[:, i].T * (last + 1)).astype(np.int64)
        again = (chosen[:, :, :i] == drawn[:, :, None]).any(2)
        chosen[:, :, i] = np.where(i < taken, np.where(again, last, drawn), -1)
    starts = np.cumsum(held) - held
    rows = np.concatenate(parts)[np.maximum(chosen, 0) + starts[:, None]]
    size = np.broadcast_to(taken, (steps, len(parts))).copy()
    return Batches(torch.from_numpy(rows), torch.from_numpy(size))


def _sizes(batchsize: ArrayLike, parts: Parts) -> NDArray[np.int64]:
    given = np.asarray(batchsize)
    if given.dtype.kind not in "iu" or (given < 0).any() or given.shape not in ((), (len(parts),)):
        raise ProblemError(
            f"batch sizes: expected {len(parts)} whole numbers >= 0 or a single one, got {shorten(batchsize)}"
        )
    return np.broadcast_to(given, len(parts)).astype(np.int64)
