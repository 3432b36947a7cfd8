"""Which mixed samples the server combines: the most pairs with swapped labels, never of the same device."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import as_exact, nonnegative, refuse

IntArray = NDArray[np.int64]


def pair_symmetric(
    device: ArrayLike, first_label: ArrayLike, second_label: ArrayLike, capacity: int = 1
) -> IntArray:
    """Pair as many mixed samples of swapped labels and different devices as there can be.

    Parameters
    ----------
    device : array_like of int, shape (S,)
        Device that uploaded each mixed sample.
    first_label, second_label : array_like of int, shape (S,)
        Labels that were mixed, with ratios a and 1 - a.
    capacity : int, default 1
        Pairs that one sample may be in. A pair makes two samples: for N_I of them from N_S, ceil(N_I / N_S).

    Returns
    -------
    ndarray of int64, shape (P, 2)
        Indices of the samples of each pair, all pairs different, that of the smaller first label first: where it is
        (l, m), the other is (m, l). Input for :func:`inverse_mixup`: ``mixed[pairs]``.

    Raises
    ------
    ProblemError
        If the lengths differ, a number is not whole or negative, two labels of a sample are the same, or the capacity
        is below one.

    Notes
    -----
    A maximum flow for each pair of labels: from the samples of one order, over edges of capacity one, to those of the
    other, each sample limited by its capacity. With capacity one the maximum is :func:`most_pairs`. Two samples of one
    device are never paired: the inverse would give its raw samples away if they were mixed of the same two.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section III-C, where how samples are paired is left open.

    Examples
    --------
    >>> pair_symmetric(device=[0, 0, 1, 2], first_label=[3, 7, 7, 3], second_label=[7, 3, 3, 7])
    array([[0, 2],
           [3, 1]])
    """
    owner = "pair_symmetric"
    whole = np.dtype(np.int64)
    given = {"device": device, "first_label": first_label, "second_label": second_label}
    columns = {}
    for name, value in given.items():
        column = as_exact(owner, name, value, whole)
        if (column < 0).any():
            refuse(owner, name, column, column < 0, nonnegative)
        columns[name] = column
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        text = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        raise ProblemError(f"{owner}: expected one value per sample, got {text}")
    of, first, second = columns.values()
    if (first == second).any():
        refuse(owner, "second_label", second, first == second, "another label than first_label")
    limit = int(as_exact(owner, "capacity", capacity, whole))
    if limit < 1:
        raise ProblemError(f"{owner}.capacity: expected at least 1, got {capacity}")
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs = []
    for a, b in np.unique(np.stack([low, high], -1), axis=0):
        forward, backward = ((low == a) & (high == b) & (first == label) for label in (a, b))
        pairs.append(_pair(of, np.flatnonzero(forward), np.flatnonzero(backward), limit))
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def most_pairs(forward: ArrayLike, backward: ArrayLike) -> int:
    r"""Largest number of pairs of one pair of labels, in closed form.

    .. math:: \min\Bigl(U,\; V,\; \min_d\, (U + V - u_d - v_d)\Bigr), \qquad U = \sum_d u_d, \quad V = \sum_d v_d

    Parameters
    ----------
    forward, backward : array_like of int, shape (D,)
        Samples u of each device mixed of labels (l, m), and samples v of (m, l).

    Returns
    -------
    int
        Pairs across devices, each sample in one at most.

    Raises
    ------
    ProblemError
        If a count is not whole or negative, or the lengths differ.

    Examples
    --------
    >>> most_pairs([5, 0, 1], [5, 1, 0])  # device 0 has partners for two of its samples only
    2
    """
    counts = []
    for name, value in (("forward", forward), ("backward", backward)):
        count = as_exact("most_pairs", name, value, np.dtype(np.int64))
        if (count < 0).any():
            refuse("most_pairs", name, count, count < 0, nonnegative)
        counts.append(count)
    u, v = counts
    if u.ndim != 1 or u.shape != v.shape or u.size == 0:
        raise ProblemError(f"most_pairs: expected a count per device, got shapes {u.shape} and {v.shape}")
    return int(min(u.sum(), v.sum(), (u.sum() + v.sum() - u - v).min()))


def _pair(device: IntArray, forward: IntArray, backward: IntArray, capacity: int) -> IntArray:
    """Maximum simple matching with capacities between samples of either order of two labels."""
    left, right = len(forward), len(backward)
    if not left or not right:
        return np.empty((0, 2), np.int64)
    i, j = np.nonzero(device[forward][:, None] != device[backward])
    nodes = left + right + 2
    source, sink = nodes - 2, nodes - 1
    tail = np.concatenate([np.full(left, source), i, left + np.arange(right)])
    head = np.concatenate([np.arange(left), left + j, np.full(right, sink)])
    limit = np.concatenate([np.full(left, capacity), np.ones(len(i)), np.full(right, capacity)])
    network = csr_array((limit.astype(np.int32), (tail, head)), shape=(nodes, nodes))
    used = maximum_flow(network, source, sink).flow[:left, left : left + right].tocoo()
    chosen = used.data > 0
    row, column = used.coords[0][chosen], used.coords[1][chosen]
    order = np.lexsort((column, row))
    return np.stack([forward[row[order]], backward[column[order]]], -1)
