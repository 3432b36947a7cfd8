"""Clusters as moments: how they mix, how they are sorted anew, and how far apart two devices' are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from radioopt.base.quantity import Array

#: points that are drawn at most when a device sorts anew, and passes of that
MOST_POINTS, PASSES = 1_000, 20
#: clusters up to which all assignments are tried
FEW = 5


@dataclass(frozen=True)
class Clusters:
    """Clusters of R devices, or of one in R graphs.

    Parameters
    ----------
    counts : ndarray, shape (R, k)
        Points, 0 of an empty one.
    centroids : ndarray, shape (R, k, t)
        Centres.
    covariances : ndarray, shape (R, k, t, t)
        Covariances.
    """

    counts: Array
    centroids: Array
    covariances: Array

    @property
    def live(self) -> Array:
        """Whether a cluster has points, shape (R, k)."""
        return np.asarray(self.counts > 0)

    @property
    def spread(self) -> Array:
        """Sum of the traces of the live clusters' covariances, shape (R,)."""
        return np.asarray(np.where(self.live, np.trace(self.covariances, axis1=-2, axis2=-1), 0.0).sum(-1))


@np.errstate(all="ignore")
def merge(own: Clusters, batches: Clusters, joins: Array) -> Clusters:
    """Mix batches into clusters: exact moments of the mixtures.

    Parameters
    ----------
    own : Clusters
        Of R devices.
    batches : Clusters
        What each receives, so many batches as clusters.
    joins : ndarray of int, shape (R, k)
        Cluster that each batch joins.

    Returns
    -------
    Clusters
        Means weighted by counts; covariance within plus between. Clusters that nothing joins are as they were.
    """
    into = (joins[..., None] == np.arange(own.counts.shape[-1])) * batches.counts[
        ..., None
    ]  # (R, batch, cluster)
    counts = own.counts + into.sum(-2)
    whole = np.where(counts > 0, counts, 1.0)[..., None]
    centroids = (
        own.counts[..., None] * own.centroids + np.einsum("rbc,rbt->rct", into, batches.centroids)
    ) / whole
    off = own.centroids - centroids
    away = batches.centroids[:, :, None] - centroids[:, None]
    covariances = own.counts[..., None, None] * (own.covariances + off[..., :, None] * off[..., None, :])
    covariances += np.einsum("rbc,rbtu->rctu", into, batches.covariances)
    covariances += np.einsum("rbc,rbct,rbcu->rctu", into, away, away)
    same = (into.sum(-2) == 0)[..., None]
    return Clusters(
        counts,
        np.where(same, own.centroids, centroids),
        np.where(same[..., None], own.covariances, covariances / whole[..., None]),
    )


@np.errstate(all="ignore")
def resample(own: Clusters, batches: Clusters, joins: Array, seeds: list[list[int]]) -> Clusters:
    """Draw points of all Gaussians and sort them into clusters anew, by K-means from the centroids.

    Parameters
    ----------
    own, batches, joins
        As of :func:`merge`. A cluster without points begins at the centroid of a batch that joins it.
    seeds : list of list of int
        Of the points of every device.

    Returns
    -------
    Clusters
        With as many points in all. Devices that receive nothing are as they were.
    """
    found = Clusters(own.counts.copy(), own.centroids.copy(), own.covariances.copy())
    for r in np.flatnonzero(batches.counts.sum(-1) > 0):
        weights = np.concatenate([own.counts[r], batches.counts[r]])
        means = np.concatenate([own.centroids[r], batches.centroids[r]])
        spreads = np.concatenate([own.covariances[r], batches.covariances[r]])
        rng, total = np.random.default_rng(seeds[r]), weights.sum()
        if not (np.isfinite(total) and np.isfinite(means).all() and np.isfinite(spreads).all()):
            found.counts[r], found.centroids[r], found.covariances[r] = np.inf, np.nan, np.nan
            continue  # beyond the digits
        size = min(MOST_POINTS, max(len(weights), round(total)))
        shares = np.floor(np.append(0.0, np.cumsum(weights) / total) * size + 0.5).astype(np.int64)
        normal = rng.standard_normal((len(weights), MOST_POINTS, means.shape[-1]))
        points = np.concatenate([
            mean + normal[c, : shares[c + 1] - shares[c]] @ _root(spread).T
            for c, (mean, spread) in enumerate(zip(means, spreads, strict=True))
        ])  # fmt: skip
        centres, live = own.centroids[r].copy(), own.counts[r] > 0
        for batch, cluster in enumerate(joins[r]):
            if batches.counts[r, batch] > 0 and not live[cluster]:
                centres[cluster], live[cluster] = batches.centroids[r, batch], True
        nearest = _sort(points, centres, live)
        number = np.bincount(nearest, minlength=len(centres))
        found.counts[r] = number * (total / len(points))
        for c in np.flatnonzero(number):
            mine = points[nearest == c]
            found.centroids[r, c] = mine.mean(0)
            found.covariances[r, c] = (mine - mine.mean(0)).T @ (mine - mine.mean(0)) / len(mine)
    return found


def _root(covariance: Array) -> Array:
    """Matrix that turns normal numbers into ones of this covariance."""
    unit = 1e150 if abs(covariance).max() > 1e150 else 1.0  # LAPACK squares
    values, vectors = np.linalg.eigh(covariance / unit)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) * np.sqrt(unit))


def _sort(points: Array, centres: Array, live: Array) -> Array:
    """Sort points by K-means from these centres, of which only the live ones take part."""
    nearest = np.zeros(len(points), np.int64)
    for _ in range(PASSES):
        apart = ((points[:, None] - centres) ** 2).sum(-1)
        before, nearest = nearest, np.where(live, apart, np.inf).argmin(-1)
        number = np.bincount(nearest, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        centres = np.where((number > 0)[:, None], sums / np.maximum(number, 1)[:, None], centres)
        if (nearest == before).all():
            break
    return nearest


class Divergences:
    """KL divergences between the clusters of devices as Gaussians, regularised.

    Parameters
    ----------
    clusters : Clusters
        Of R devices.
    added : float
        What is added to the diagonal of every covariance.
    matching : str
        "nearest" or "assignment".
    """

    @np.errstate(all="ignore")
    def __init__(self, clusters: Clusters, added: float, matching: str) -> None:
        size = clusters.centroids.shape[-1]
        self.live: Array = clusters.live
        self.mean: Array = clusters.centroids
        self.spread: Array = clusters.covariances + added * np.eye(size)
        sign, self.log_volume = np.linalg.slogdet(self.spread)
        singular = (sign == 0)[..., None, None]  # beyond the digits: what is added is lost beside the largest
        self.inverse: Array = np.where(
            singular, np.nan, np.linalg.inv(np.where(singular, np.eye(size), self.spread))
        )
        self.matching, self.size = matching, size

    def followed_by(self, other: Divergences) -> Divergences:
        """Return both as one, the devices of the other behind these."""
        both = object.__new__(Divergences)
        both.matching, both.size = self.matching, self.size
        for name in ("live", "mean", "spread", "inverse", "log_volume"):
            setattr(both, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        return both

    @np.errstate(all="ignore")
    def between(self, a: Array, b: Array) -> Array:
        """Sum of divergences of the clusters of devices ``a`` from their matches among those of devices ``b``.

        Parameters
        ----------
        a, b : ndarray of int, shape (P,)
            Pairs of devices.

        Returns
        -------
        ndarray, shape (P,)
            0 where either has no points.
        """
        apart = ((self.mean[a][:, :, None] - self.mean[b][:, None]) ** 2).sum(-1)
        if self.matching == "nearest":
            match = np.where(self.live[b][:, None], apart, np.inf).argmin(-1)
            matched = self.live[a] & np.asarray(self.live[b].any(-1))[:, None]
        else:
            match, matched = _assign(apart, self.live[a], self.live[b])
        other = b[:, None]
        off = self.mean[a] - self.mean[other, match]
        inverse = self.inverse[other, match]
        found = np.einsum("pktu,pkut->pk", inverse, self.spread[a]) - self.size
        found += np.einsum("pkt,pktu,pku->pk", off, inverse, off)
        found += self.log_volume[other, match] - self.log_volume[a]
        return np.asarray(np.where(matched, 0.5 * found, 0.0).sum(-1))


def _assign(apart: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Match live rows and columns one to one with the least sum: the column of each row, and whether it has one."""
    size = apart.shape[-1]
    both = rows[:, :, None] & columns[:, None]
    dear = 1e3 * (1.0 + apart.max((-1, -2)))[:, None, None] * size
    cost = np.where(both, apart, np.where(rows[:, :, None] | columns[:, None], dear, 0.0))
    if size <= FEW:
        orders = np.array(list(itertools.permutations(range(size))))
        sums = cost[:, np.arange(size), orders].sum(-1)
        match = orders[sums.argmin(-1)]
    else:
        from scipy.optimize import linear_sum_assignment

        match = (
            np.stack([linear_sum_assignment(one)[1] for one in cost])
            if len(cost)
            else np.zeros((0, size), int)
        )
    return match, np.take_along_axis(both, match[..., None], -1)[..., 0]
