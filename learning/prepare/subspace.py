"""What devices find in their data before they share any: a common subspace, clusters, groups of targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.options import choose, whole
from radioopt.base.errors import ProblemError, require
from radioopt.base.quantity import shorten

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Subspace:
    """Common directions of the data of all devices; :func:`distributed_pca` finds them.

    Parameters
    ----------
    mean : ndarray, shape (d,)
        Mean of all samples.
    directions : ndarray, shape (r, d)
        Orthonormal rows, by falling variance.
    uplink_numbers, downlink_numbers : int
        Numbers that a device sends to find them, and gets.
    """

    mean: Floats
    directions: Floats
    uplink_numbers: int
    downlink_numbers: int

    def project(self, x: ArrayLike) -> Floats:
        """Return samples (n, ...) in the subspace, (n, r)."""
        return np.asarray((_rows("project: x", x, self.mean.size) - self.mean) @ self.directions.T)


def _rows(what: str, x: ArrayLike, size: int | None = None) -> Floats:
    """Return samples as rows of features, finite, and as many as there have to be."""
    given = np.asarray(x, np.float64)
    if not given.ndim:
        raise ProblemError(f"{what}: expected samples of one or more features, got {shorten(x)}")
    flat = given.reshape(len(given), math.prod(given.shape[1:]))
    if len(flat) and size is not None and flat.shape[1] != size:
        raise ProblemError(f"{what}: expected samples of {size} features, got {flat.shape[1]}")
    if not (good := np.isfinite(flat).all(1)).all():
        raise ProblemError(f"{what}: expected finite numbers, sample {np.argmin(good)} has another")
    return flat


def _of_one_size(what: str, samples: Sequence[ArrayLike]) -> tuple[list[Floats], int]:
    """Return the rows of each device, and the number of features that all have who have samples."""
    rows: list[Floats] = []
    size: int | None = None
    for device, x in enumerate(samples):
        rows.append(_rows(f"{what}: device {device}", x, size))
        size = rows[-1].shape[1] if size is None and len(rows[-1]) else size
    if size is None:
        raise ProblemError(f"{what}: no device has samples")
    return rows, size


def distributed_pca(samples: Sequence[ArrayLike], components: int, sent: int | None = None) -> Subspace:
    r"""Find the principal components of all devices' samples without sharing any.

    Device i sends its number of samples :math:`n_i`, their mean :math:`m_i`, and the first t rows of :math:`S V^T` of
    its centred samples. The server adds a row :math:`\sqrt{n_i} (m_i - m)` for each device to these, which makes up for
    the centring, and returns the first r right singular vectors of the stack.

    Parameters
    ----------
    samples : sequence of array_like, shapes (n_i, ...)
        Samples of each device, at least one in all.
    components : int
        Dimensions r of the subspace, from 1 to d.
    sent : int, optional
        Rows t that a device sends; 2 r by default.

    Returns
    -------
    Subspace
        Exact if t is at least the rank of every device's samples. A device sends (t + 1) d + 1 numbers and gets
        (r + 1) d.

    Raises
    ------
    ProblemError
        If there are no samples, one is not finite, devices have different numbers of features, or there are fewer
        features than components.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section V-A, R: the text names distributed PCA; that means are sent apart makes it centre on the mean of all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = distributed_pca([rng.normal(i, [3, 1, 0.1], (50, 3)) for i in range(4)], 2)
    >>> found.directions.shape, found.uplink_numbers
    ((2, 3), 16)
    """
    count = whole("components", components)
    rows = whole("sent", 2 * count if sent is None else sent)
    given, size = _of_one_size("distributed_pca", samples)
    flat = [own for own in given if len(own)]
    if count > size:
        raise ProblemError(f"distributed_pca: components: expected at most {size}, the features, got {count}")
    number = np.array([len(x) for x in flat], np.float64)
    means = np.stack([x.mean(0) for x in flat])
    mean = number @ means / number.sum()
    stack = [np.sqrt(number)[:, None] * (means - mean)]
    for x, own in zip(flat, means, strict=True):
        _, values, directions = np.linalg.svd(x - own, full_matrices=False)
        stack.append(values[:rows, None] * directions[:rows])
    rows_of_all = np.concatenate(stack)
    _, _, directions = np.linalg.svd(rows_of_all, full_matrices=len(rows_of_all) < count)
    found = directions[:count]
    # a singular vector has no sign of its own: its largest entry is positive here
    sign = np.sign(found[np.arange(count), abs(found).argmax(1)])
    return Subspace(mean, found * sign[:, None], (rows + 1) * size + 1, (count + 1) * size)


def kmeans(x: Floats, groups: int, rng: np.random.Generator) -> IntArray:
    """Sort samples into clusters by K-means; needs scikit-learn.

    Parameters
    ----------
    x : ndarray, shape (n, t)
        Samples.
    groups : int
        Clusters k; a device with fewer different samples has fewer.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int64, shape (n,)
        Cluster of each sample.
    """
    count = min(groups, len(np.unique(x, axis=0)))
    if count < 2:
        return np.zeros(len(x), np.int64)
    made: Any = require("sklearn.cluster", "learning").KMeans(
        count, n_init=4, random_state=int(rng.integers(2**31))
    )
    return np.asarray(made.fit_predict(x), np.int64)


def moments(x: Floats, cluster: IntArray, groups: int) -> tuple[Floats, Floats, Floats]:
    """Return counts (k,), centroids (k, t) and covariances (k, t, t) of clusters; zeros of those without samples."""
    size = x.shape[1]
    counts = np.bincount(cluster, minlength=groups).astype(np.float64)
    centroids, covariances = np.zeros((groups, size)), np.zeros((groups, size, size))
    for k in np.flatnonzero(counts):
        mine = x[cluster == k]
        centroids[k] = mine.mean(0)
        off = mine - centroids[k]
        covariances[k] = off.T @ off / len(mine)
    return counts, centroids, covariances


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of the samples of each of N devices; :func:`find_clusters` makes them.

    Parameters
    ----------
    labels : tuple of ndarray of int64, shapes (n_i,)
        Cluster of each sample, from 0 to k - 1, numbered by each device for itself.
    counts : ndarray, shape (N, k)
        Samples of each cluster; 0 where a device has fewer.
    centroids : ndarray, shape (N, k, t)
        Means.
    covariances : ndarray, shape (N, k, t, t)
        Covariances, by the number of samples.
    """

    labels: tuple[IntArray, ...]
    counts: Floats
    centroids: Floats
    covariances: Floats


def find_clusters(
    samples: Sequence[ArrayLike], groups: int, rngs: Sequence[np.random.Generator] | None = None
) -> Clusters:
    """Sort the samples of each device into clusters of its own by K-means, and measure them; needs scikit-learn.

    Parameters
    ----------
    samples : sequence of N array_like, shapes (n_i, t)
        Samples of each device, in a common subspace; a device may have none.
    groups : int
        Clusters k >= 1 of each device; one with fewer different samples has fewer.
    rngs : sequence of N numpy.random.Generator, optional
        Of each device; those of the seeds 0, 1, ... by default.

    Returns
    -------
    Clusters
        With the counts, centroids and covariances of :class:`radioopt.d2d.ClusterGraphProblem`.

    Raises
    ------
    OptionError
        If there is no cluster.
    ProblemError
        If no device has samples, one is not finite, or devices have different numbers of features.

    Examples
    --------
    >>> found = find_clusters([[[0.0], [2.0], [9.0]], np.zeros((0, 1))], 2)
    >>> sorted(found.counts[0].tolist()), found.counts[1].tolist(), found.centroids.shape
    ([1.0, 2.0], [0.0, 0.0], (2, 2, 1))
    """
    count = whole("groups", groups)
    rows, size = _of_one_size("find_clusters", samples)
    rows = [own.reshape(-1, size) for own in rows]  # those of a device without samples, too
    labels = tuple(
        kmeans(own, count, np.random.default_rng(device) if rngs is None else rngs[device])
        for device, own in enumerate(rows)
    )
    found = [moments(own, mine, count) for own, mine in zip(rows, labels, strict=True)]
    counts, centroids, covariances = (np.stack(one) for one in zip(*found, strict=True))
    return Clusters(labels, counts, centroids, covariances)


def target_groups(targets: Sequence[ArrayLike], groups: int, rule: str = "quantiles") -> tuple[IntArray, ...]:
    """Sort the targets of a regression into groups that stand for classes.

    Parameters
    ----------
    targets : sequence of array_like, shapes (n_i,)
        Targets of each device.
    groups : int
        How many, L >= 1.
    rule : {"quantiles", "gaps"}, default "quantiles"
        Common edges at the quantiles of all targets; or for each device by itself at its L - 1 largest gaps, as in the
        paper. Those of two devices are then not of the same targets, and most isolate outliers.

    Returns
    -------
    tuple of ndarray of int64
        Group of each sample.

    Raises
    ------
    OptionError
        If there is no such rule, or no group.
    ProblemError
        If a target is not finite.

    References
    ----------
    S. Wagle et al., Section VI, on regression.

    Examples
    --------
    >>> target_groups([[1.0, 2.0, 9.0], [3.0]], 2)
    (array([0, 0, 1]), array([1]))
    >>> target_groups([[1.0, 2.0, 9.0], [3.0]], 2, "gaps")
    (array([0, 0, 1]), array([0]))
    """
    count = whole("groups", groups)
    by_gaps = choose("rule", rule, {"quantiles": False, "gaps": True}, "one of these")
    values = [_rows(f"target_groups: device {i}", own).reshape(-1) for i, own in enumerate(targets)]
    if not by_gaps:
        everything = np.concatenate([*values, np.zeros(0)])
        edges = np.quantile(everything, np.arange(1, count) / count) if everything.size else everything
        return tuple(np.searchsorted(edges, own, side="right").astype(np.int64) for own in values)
    found = []
    for own in values:
        ordered = np.sort(own)
        gaps = np.diff(ordered)
        largest = np.sort(np.argsort(-gaps, kind="stable")[: count - 1])
        edges = 0.5 * (ordered[largest] + ordered[largest + 1]) if len(largest) else np.zeros(0)
        found.append(np.searchsorted(edges, own, side="right").astype(np.int64))
    return tuple(found)
