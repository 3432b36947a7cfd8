r"""Exchange, rewards, bound and repair of a graph over clusters in plain NumPy: the oracle for every method.

It takes the decision only, a transmitter per device. Where few graphs are possible all of them are tried, which proves
the optimum; the answer of an enumeration is judged by as many graphs as that tried. Where there are more there is no
bound, the gap is infinite, and the certificate says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d.clusters.moments import Clusters, Divergences, merge, resample
from radioopt.d2d.links import instances, legal

if TYPE_CHECKING:
    from radioopt.d2d.clusters.problem import ClusterGraphProblem

#: graphs tried for a bound if no other number is asked for: those of 5 devices, a second or so
MOST_GRAPHS = 4_000
#: graphs evaluated at once
SLICE = 500
#: share of the divergence before below which that after counts as no less
LEAST = 1e-12


@dataclass(frozen=True)
class Pairs:
    """What follows from a single instance for every pair of devices; :func:`pairs_of` keeps it.

    Parameters
    ----------
    requested : ndarray, shape (N, N, k)
        Points n of each cluster that a receiver requests of a transmitter.
    available : ndarray, shape (N, N, k)
        Points that the transmitter could send if nobody else received from it.
    joins : ndarray of int, shape (N, N, k)
        Cluster of the receiver that each cluster of the transmitter joins: the nearest; of one without data the k-th.
    spread : ndarray, shape (N,)
        Sum of the traces before.
    added : float
        What is added to the covariances for the divergences.
    before : float
        Sum of the divergences before.
    """

    requested: Array
    available: Array
    joins: Array
    spread: Array
    added: float
    before: float


@dataclass(frozen=True)
class Exchange:
    """What moves over the links of a graph.

    Parameters
    ----------
    requested, transferred, received : ndarray, shape (..., N, k)
        Points of each of the transmitter's clusters that a device asks for, is sent and gets.
    counts_after : ndarray, shape (..., N, k)
        Points that each of a device's own clusters then has.
    centroids_after, covariances_after : ndarray, shape (..., N, k, t) and (..., N, k, t, t)
        Their moments.
    """

    requested: Array
    transferred: Array
    received: Array
    counts_after: Array
    centroids_after: Array
    covariances_after: Array


@dataclass(frozen=True)
class Rewards:
    """What a graph is worth.

    Parameters
    ----------
    gain : ndarray, shape (..., N)
        G of every device.
    device : ndarray, shape (..., N)
        Local reward r, (16).
    agreement : ndarray, shape (...)
        System agreement SA.
    cluster : ndarray, shape (..., N)
        Reward R_H of each device's cluster, (17).
    inter_cluster_points : ndarray, shape (..., N)
        Points b_H of each device's cluster.
    objective : ndarray, shape (...)
        F; -inf where a cluster exceeds a budget of 0.
    """

    gain: Array
    device: Array
    agreement: Array
    cluster: Array
    inter_cluster_points: Array
    objective: Array


@np.errstate(all="ignore")
def pairs_of(problem: ClusterGraphProblem) -> Pairs:
    """Work out what a single instance says of every pair of devices, once."""
    kept: Pairs | None = problem.__dict__.get("_pairs")
    if kept is not None:
        return kept
    count, groups = problem.counts.shape
    now = Clusters(problem.counts, problem.centroids, problem.covariances)
    live = now.live
    # receiver, transmitter, cluster of the transmitter, cluster of the receiver
    apart = np.linalg.norm(now.centroids[None, :, :, None] - now.centroids[:, None, None], axis=-1)
    apart = np.where(live[:, None, None], apart, np.inf)
    some = np.asarray(live.any(-1))
    joins = np.where(some[:, None, None], apart.argmin(-1), np.arange(groups))
    far = np.where(live[None], np.where(some[:, None, None], apart.min(-1), 1.0), 0.0)
    total = far.sum(-1, keepdims=True)
    shares = np.where(total > 0, far / np.where(total > 0, total, 1.0), 0.0)
    equal = live / np.maximum(live.sum(-1, keepdims=True), 1)
    shares = np.where(total > 0, shares, equal[None])
    requested = problem.requested_points[:, None, None] * shares
    available = np.swapaxes(problem.trust, 0, 1) * problem.surplus[None]
    traces = np.trace(now.covariances, axis1=-2, axis2=-1)[live]
    mean = traces.mean() / now.centroids.shape[-1] if traces.size else 0.0
    added = float(problem.regularisation * (mean if mean > 0 else 1.0))
    receiver, transmitter = np.nonzero(some[:, None] & some & ~np.eye(count, dtype=np.bool_))
    before = Divergences(now, added, problem.matching).between(receiver, transmitter).sum()
    found = Pairs(requested, available, joins, now.spread, added, float(before))
    problem.__dict__["_pairs"] = found
    return found


def transfers(problem: ClusterGraphProblem, source: Array) -> tuple[Array, Array, Array, Array]:
    """Points requested, sent and received by every device, and given up, each (S, N, k), over graphs (S, N); (15)."""
    pairs, receiver, there = pairs_of(problem), np.arange(source.shape[-1]), source >= 0
    j, graph = np.where(there, source, 0), np.arange(len(source))[:, None]
    receivers = np.zeros(source.shape)
    np.add.at(receivers, (graph, j), there)
    shared = pairs.available[receiver, j] * there[..., None]
    requested = np.where(shared > 0, pairs.requested[receiver, j], 0.0)
    sent = np.minimum(requested, shared / np.maximum(receivers[graph, j], 1.0)[..., None])
    given = np.zeros(sent.shape)
    np.add.at(given, (graph, j), sent)
    received = (1.0 - problem.outage_probability[receiver, j])[..., None] * sent
    return requested, sent, received, np.minimum(given, problem.surplus)


def settle(problem: ClusterGraphProblem, i: Array, j: Array, received: Array, given: Array) -> Clusters:
    """Clusters of devices ``i`` (R,) that receive from ``j``, or -1, and give, (R, k) each; what was drawn is kept."""
    own = Clusters(problem.counts[i] - given, problem.centroids[i], problem.covariances[i])
    batches = Clusters(received, problem.centroids[j], problem.covariances[j])
    joins = pairs_of(problem).joins[i, j]
    if problem.update == "merge" or not len(i):
        return merge(own, batches, joins)
    known: dict[bytes, Clusters] = problem.__dict__.setdefault("_resampled", {})
    keys = [row.tobytes() for row in np.column_stack([i, j, received, given])]
    fresh = list({key: row for row, key in enumerate(keys) if key not in known}.values())
    if fresh:
        some = [Clusters(c.counts[fresh], c.centroids[fresh], c.covariances[fresh]) for c in (own, batches)]
        seeds = [[problem.seed, int(i[row])] for row in fresh]
        found = resample(some[0], some[1], joins[fresh], seeds)
        for at, row in enumerate(fresh):
            known[keys[row]] = Clusters(found.counts[at], found.centroids[at], found.covariances[at])
    all_of = [known[key] for key in keys]
    return Clusters(
        np.array([one.counts for one in all_of]),
        np.array([one.centroids for one in all_of]),
        np.array([one.covariances for one in all_of]),
    )


@np.errstate(all="ignore")
def exchange(problem: ClusterGraphProblem, source: ArrayLike) -> Exchange:
    """Pass the messages of Algorithm 2: points by distance, split among receivers, losses, clusters afterwards.

    Parameters
    ----------
    problem : ClusterGraphProblem
        A single instance.
    source : array_like of int, shape (..., N)
        Transmitter of each device, -1 for none; one graph or many.

    Returns
    -------
    Exchange
        All exchanges are simultaneous.

    References
    ----------
    (15), R.
    """
    given_source = np.asarray(source)
    graphs = given_source.reshape(-1, given_source.shape[-1])
    requested, sent, received, given = transfers(problem, graphs)
    receiver = np.broadcast_to(np.arange(graphs.shape[1]), graphs.shape).ravel()
    rows = (graphs.size, -1)
    after = settle(problem, receiver, graphs.ravel(), received.reshape(rows), given.reshape(rows))
    shape = given_source.shape
    return Exchange(
        requested.reshape(*shape, -1),
        sent.reshape(*shape, -1),
        received.reshape(*shape, -1),
        after.counts.reshape(*shape, -1),
        after.centroids.reshape(*shape, *after.centroids.shape[1:]),
        after.covariances.reshape(*shape, *after.covariances.shape[1:]),
    )


def gains(pairs: Pairs, i: Array, j: Array, after: Clusters) -> Array:
    """G of devices ``i`` that receive from ``j`` or, at -1, from nobody; (R,)."""
    before, now = pairs.spread[i], after.spread
    grown = np.where(before > 0, now / np.where(before > 0, before, 1.0) - 1.0, np.where(now > 0, 1.0, 0.0))
    empty = after.live.any(-1) & (before <= 0)  # points alone, without a spread
    return np.where(j >= 0, np.where(empty, 1.0, grown), 0.0)


def agreement(before: float, after: Array) -> Array:
    """SA of divergences before and after; 0 where there were none, NaN where they are beyond the digits."""
    if np.isnan(before):
        return np.full(np.shape(after), np.nan)
    return np.where(before > 0, before / np.maximum(after, LEAST * before if before > 0 else 1.0) - 1.0, 0.0)


def loads(
    problem: ClusterGraphProblem, source: Array, requested: Array, received: Array
) -> tuple[Array, Array]:
    """Points b_H of each device's cluster over graphs (S, N), and by what share they exceed the budget; inf at 0."""
    j = np.where(source >= 0, source, 0)
    points = (requested if problem.budgeted == "requested" else received).sum(-1)
    outside = np.where((source >= 0) & (problem.clusters[j] != problem.clusters), points, 0.0)
    of_cluster = np.zeros(outside.shape)
    where: Any = (slice(None), problem.clusters)
    np.add.at(of_cluster, where, outside)
    total, budget = of_cluster[:, problem.clusters], problem.budgets
    over = np.where(budget > 0, np.maximum(0.0, total / np.where(budget > 0, budget, 1.0) - 1.0), 0.0)
    return total, np.where((budget <= 0) & (total > 0), np.inf, over)


def worth(
    problem: ClusterGraphProblem, source: Array, gain: Array, divergence: Array, total: Array, over: Array
) -> Rewards:
    """Rewards of graphs (S, N) from gains (S, N), divergences after (S,) and points of clusters."""
    lost = np.where(source >= 0, problem.outage_probability[np.arange(source.shape[-1]), source], 0.0)
    own = problem.diversity_weight * gain - problem.outage_weight * lost
    forbidden = np.isinf(over).any(-1)
    over = np.where(np.isinf(over), 0.0, over)
    agreed = agreement(pairs_of(problem).before, divergence)
    cluster = agreed[:, None] - problem.budget_penalty * over
    objective = own.sum(-1) + problem.cluster_weight * cluster.sum(-1)
    return Rewards(gain, own, agreed, cluster, total, np.where(forbidden, -np.inf, objective))


@np.errstate(all="ignore")
def rewards(problem: ClusterGraphProblem, source: ArrayLike, moved: Exchange | None = None) -> Rewards:
    """Score a graph.

    Parameters
    ----------
    problem : ClusterGraphProblem
        A single instance.
    source : array_like of int, shape (..., N)
        Transmitter of each device, -1 for none; one graph or many.
    moved : Exchange, optional
        What moves over it, if that is known.

    Returns
    -------
    Rewards
        Gains, agreement, rewards and the objective; the last is -inf where a cluster exceeds a budget of 0.

    References
    ----------
    (16), (17), R.
    """
    given = np.asarray(source)
    graphs = given.reshape(-1, given.shape[-1])
    moved = exchange(problem, given) if moved is None else moved
    number, count = graphs.shape
    after = Clusters(
        moved.counts_after.reshape(number * count, -1),
        moved.centroids_after.reshape(number * count, *moved.centroids_after.shape[-2:]),
        moved.covariances_after.reshape(number * count, *moved.covariances_after.shape[-3:]),
    )
    pairs = pairs_of(problem)
    gain = gains(pairs, np.tile(np.arange(count), number), graphs.ravel(), after).reshape(graphs.shape)
    some = np.asarray((problem.counts > 0).any(-1))
    receiver, transmitter = np.nonzero(some[:, None] & some & ~np.eye(count, dtype=np.bool_))
    rows = np.arange(number)[:, None] * count
    found = Divergences(after, pairs.added, problem.matching).between(
        (rows + receiver).ravel(), (rows + transmitter).ravel()
    )
    divergence = found.reshape(number, -1).sum(-1)
    requested, received = (points.reshape(*graphs.shape, -1) for points in (moved.requested, moved.received))
    found_worth = worth(problem, graphs, gain, divergence, *loads(problem, graphs, requested, received))
    shape = given.shape
    return Rewards(
        found_worth.gain.reshape(shape),
        found_worth.device.reshape(shape),
        found_worth.agreement.reshape(shape[:-1]),
        found_worth.cluster.reshape(shape),
        found_worth.inter_cluster_points.reshape(shape),
        found_worth.objective.reshape(shape[:-1]),
    )


def evaluate(
    problem: ClusterGraphProblem,
    *,
    source: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
    most_graphs: int = MOST_GRAPHS,
) -> Certificate:
    """Measure a graph, and bound the optimum where few graphs are possible.

    Parameters
    ----------
    problem : ClusterGraphProblem
        The question.
    source : array_like, shape (..., N)
        Transmitter of each device, -1 for none.
    options : SolveOptions, optional
        Tolerances.
    most_graphs : int, default 4000
        Graphs tried at most for the bound of an instance.

    Returns
    -------
    Certificate
        Residuals: links (inf for one that does not exist or is not allowed) and budgets (inf where a budget of 0 is
        exceeded). The bound is the best of all graphs, if there are not too many, else infinite.
    """
    shape = (*problem.batch_shape, problem.sizes["device"])
    chosen, allowed = legal(problem, np.broadcast_to(np.asarray(source, np.float64), shape))
    objective, bound = np.empty(shape[:-1]), np.empty(shape[:-1])
    for index, one in instances(problem):
        bound[index] = best_of_all(one, most_graphs)[0]
        objective[index] = rewards(one, chosen[index]).objective
    residuals: dict[str, Any] = {
        "links": np.where(allowed, 0.0, np.inf),
        "budgets": np.where(np.isneginf(objective), np.inf, 0.0),
    }
    return Certificate.judge(
        np.where(np.isneginf(objective), np.nan, objective)[()],
        bound[()],
        residuals,
        sense=problem.sense,
        scale=problem.scale,
        options=options,
        note=f"more graphs than the judge tries, {most_graphs}"
        if np.isposinf(bound).any()
        else "numbers of some graph are beyond the digits of float64"
        if np.isnan(bound).any()
        else "",
    )


def legal_links(problem: ClusterGraphProblem) -> list[Array]:
    """List the transmitters that each device of a single instance may have."""
    allowed = problem.allowed & ~np.eye(problem.sizes["device"], dtype=np.bool_)
    return [np.flatnonzero(row) for row in allowed]


def best_of_all(problem: ClusterGraphProblem, most_graphs: int) -> tuple[float, Array, int]:
    """Objective and graph of the best of all of a single instance, and how many there are. They are kept.

    The objective is inf if there are too many, NaN if that of any is beyond the digits of float64.
    """
    found: tuple[float, Array, int] | None = problem.__dict__.get("_best_of_all")
    if found is not None:
        return found
    choices = [np.append(-1, transmitters) for transmitters in legal_links(problem)]
    sizes = [len(choice) for choice in choices]
    count, best, graph = math.prod(sizes), -math.inf, np.full(len(sizes), -1)
    if count > most_graphs:
        return math.inf, graph, count
    for start in range(0, count, SLICE):
        digits = np.unravel_index(np.arange(start, min(count, start + SLICE)), sizes)
        graphs = np.stack([choice[digit] for choice, digit in zip(choices, digits, strict=True)], -1)
        values = rewards(problem, graphs).objective
        if np.isnan(values).any():  # beyond the digits of float64: nothing is proven
            best = math.nan
            break
        if values.max() > best:
            best, graph = float(values.max()), graphs[values.argmax()]
    problem.__dict__["_best_of_all"] = best, graph, count
    return best, graph, count
