r"""Exchange, rewards, bound and repair of a D2D graph in plain NumPy: the oracle for every method.

It takes the decision only, a transmitter per device, and calls no kernel, so that it can judge the kernels. Where a
device can ask for nothing of a transmitter, the link is no better than none: it moves nothing, costs its outage and
counts nothing towards a budget. So only useful links are tried, and where few graphs are left all of them are, which
proves the optimum; the answer of an enumeration is judged by as many graphs as that tried. Where there are more there
is no bound, the gap is infinite, and the certificate says why.
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
from radioopt.d2d.links import instances, legal

if TYPE_CHECKING:
    from radioopt.d2d.graph import Graph
    from radioopt.d2d.problem import GraphProblem

#: graphs tried for a bound if no other number is asked for: those of 7 devices, a second or two
MOST_GRAPHS = 400_000
#: graphs evaluated at once
SLICE = 4_096
#: times the worth of a device that budgets may cost: sums keep 31 digits, 8 go to their changes and 12 to a gap
MOST_DEAR = 1e10
#: points by which a class may miss its gate: rounding
SLACK = 1e-9


@dataclass(frozen=True)
class Exchange:
    """What moves over the links of a graph; arrays of shape (..., N, L) in points.

    Parameters
    ----------
    requested : ndarray
        What each device asks its transmitter for.
    transferred : ndarray
        What its transmitter sends it.
    received : ndarray
        What of that arrives.
    counts_after : ndarray
        What each device then has.
    """

    requested: Array
    transferred: Array
    received: Array
    counts_after: Array


@dataclass(frozen=True)
class Rewards:
    """What a graph is worth.

    Parameters
    ----------
    score : ndarray, shape (..., N)
        S of every device.
    device : ndarray, shape (..., N)
        Local reward r.
    cluster : ndarray, shape (..., N)
        Reward R_H of each device's cluster.
    inter_cluster_points : ndarray, shape (..., N)
        Points b_H of each device's cluster.
    objective : ndarray, shape (...)
        F.
    """

    score: Array
    device: Array
    cluster: Array
    inter_cluster_points: Array
    objective: Array


@np.errstate(all="ignore")
def exchange(problem: Graph, source: ArrayLike) -> Exchange:
    """Pass the messages of Algorithm 1: demand, proportional split, losses.

    Parameters
    ----------
    problem : GraphProblem or SparseGraphProblem
        A single instance.
    source : array_like of int, shape (..., N)
        Transmitter of each device, -1 for none; one graph or many.

    Returns
    -------
    Exchange
        All exchanges are simultaneous.

    References
    ----------
    (9)-(12), R*.
    """
    source = np.asarray(source)
    lost, trusted = problem.links_of(source)
    lost, surplus = lost[..., None], problem.surplus
    j = np.where(source >= 0, source, 0)
    shared = trusted & (surplus[j] > 0)
    asked = np.where(shared, problem.deficit, 0.0)
    if problem.request == "compensated":
        asked = np.where(lost < 1, asked / np.where(lost < 1, 1.0 - lost, 1.0), 0.0)
    demand = np.zeros((math.prod(source.shape[:-1]), *asked.shape[-2:]))
    graph = np.arange(len(demand))[:, None]
    np.add.at(demand, (graph, j.reshape(len(demand), -1)), asked.reshape(demand.shape))
    of_source = demand[graph, j.reshape(len(demand), -1)].reshape(asked.shape)
    demand = demand.reshape(asked.shape)
    over = of_source > surplus[j]
    transferred = np.where(over, asked / np.where(over, of_source, 1.0) * surplus[j], asked)
    received = (1.0 - lost) * transferred
    return Exchange(
        asked, transferred, received, problem.class_counts + received - np.minimum(demand, surplus)
    )


def distance(metric: str, counts: Array, reference: Array) -> Array:
    """Distance of distributions along the last axis; of one without data the largest there is.

    Parameters
    ----------
    metric : str
        "wasserstein", "total-variation" or "jensen-shannon".
    counts, reference : ndarray, shape (..., L)
        Numbers >= 0 proportional to the distributions.

    Returns
    -------
    ndarray, shape (...)
        At most L - 1 for Wasserstein's, 1 for the others; 0 between two without data.

    Examples
    --------
    >>> distance("wasserstein", np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 5.0])).item()
    2.0
    """
    counts, reference = np.broadcast_arrays(counts, reference)
    with np.errstate(all="ignore"):
        totals = counts.sum(-1), reference.sum(-1)
        p, q = counts / totals[0][..., None], reference / totals[1][..., None]
        if metric == "wasserstein":
            found = np.abs(np.cumsum(p - q, -1)[..., :-1]).sum(-1)
        elif metric == "total-variation":
            found = 0.5 * np.abs(p - q).sum(-1)
        else:
            mean = 0.5 * (p + q)
            each = [np.where(x > 0, x * np.log2(np.where(x > 0, x / mean, 1.0)), 0.0) for x in (p, q)]
            found = 0.5 * (each[0] + each[1]).sum(-1)
    largest = counts.shape[-1] - 1.0 if metric == "wasserstein" else 1.0
    found = np.where(np.isfinite(totals[0]) & np.isfinite(totals[1]), found, np.nan)
    empty = totals[0] <= 0, totals[1] <= 0
    return np.where(empty[0] | empty[1], np.where(empty[0] & empty[1], 0.0, largest), found)


@np.errstate(all="ignore")
def rewards(problem: Graph, source: ArrayLike, moved: Exchange | None = None) -> Rewards:
    """Score a graph.

    Parameters
    ----------
    problem : GraphProblem or SparseGraphProblem
        A single instance.
    source : array_like of int, shape (..., N)
        Transmitter of each device, -1 for none; one graph or many.
    moved : Exchange, optional
        What moves over it, if that is known.

    Returns
    -------
    Rewards
        Scores, rewards and the objective; the last is -inf where a cluster exceeds a budget of 0.

    References
    ----------
    (8), (13), (14), R.
    """
    source = np.asarray(source)
    moved = exchange(problem, source) if moved is None else moved
    held, now = problem.class_counts, moved.counts_after
    if problem.score == "improvement":
        ideal = problem.ideal_distribution
        before = distance(problem.metric, held, ideal)
        score = np.maximum(0.0, before - distance(problem.metric, now, ideal))
    else:
        score = distance(problem.metric, held, now)
    met = (now >= problem.gate * problem.thresholds - SLACK).sum(-1)
    score = np.where(met >= problem.min_classes, score, 0.0)
    j = np.where(source >= 0, source, 0)
    own = problem.diversity_weight * score - problem.outage_weight * problem.links_of(source)[0]
    points = (moved.requested if problem.budgeted == "requested" else moved.received).sum(-1)
    outside = np.where((source >= 0) & (problem.clusters[j] != problem.clusters), points, 0.0)
    of_cluster = np.zeros(outside.shape)
    where: Any = (..., problem.clusters)  # NumPy's stubs do not know the ellipsis here
    np.add.at(of_cluster, where, outside)
    total = of_cluster[..., problem.clusters]
    budget = problem.budgets
    forbidden = ((total > 0) & (budget <= 0)).any(-1)
    over = np.where(budget > 0, np.maximum(0.0, total / np.where(budget > 0, budget, 1.0) - 1.0), 0.0)
    cluster = own.mean(-1, keepdims=True) - problem.budget_penalty * over
    objective = (own + problem.cluster_weight * cluster).sum(-1)
    return Rewards(score, own, cluster, total, np.where(forbidden, -np.inf, objective))


def evaluate(
    problem: Graph,
    *,
    source: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
    most_graphs: int = MOST_GRAPHS,
) -> Certificate:
    """Measure a graph, and bound the optimum where few graphs are possible.

    Parameters
    ----------
    problem : GraphProblem or SparseGraphProblem
        The question.
    source : array_like, shape (..., N)
        Transmitter of each device, -1 for none.
    options : SolveOptions, optional
        Tolerances.
    most_graphs : int, default 400000
        Graphs tried at most for the bound of an instance.

    Returns
    -------
    Certificate
        Residuals: links (inf for one that does not exist or is not allowed) and budgets (inf where a budget of 0 is
        exceeded). The bound is the best of all graphs of useful links, if there are not too many, else infinite.
    """
    given = np.asarray(source, np.float64)
    shape = (*problem.batch_shape, problem.sizes["device"])
    chosen, allowed = legal(problem, np.broadcast_to(given, shape))
    objective, bound = np.empty(shape[:-1]), np.empty(shape[:-1])
    for index, one in instances(problem):
        bound[index] = best_of_all(one, most_graphs)
        objective[index] = rewards(one, chosen[index]).objective
    residuals: dict[str, Any] = {
        "links": np.where(allowed, 0.0, np.inf),
        "budgets": np.where(np.isneginf(objective), np.inf, 0.0),
    }
    finite = np.where(np.isneginf(objective), np.nan, objective)
    return Certificate.judge(
        finite[()],
        bound[()],
        residuals,
        sense="max",
        scale=problem.scale,
        options=options,
        note=f"more graphs than the judge tries, {most_graphs}"
        if np.isposinf(bound).any()
        else "numbers of some graph are beyond the digits of float64"
        if np.isnan(bound).any()
        else "",
    )


def best_of_all(problem: Graph, most_graphs: int = MOST_GRAPHS) -> float:
    """Objective of the best of all graphs of a single instance. It is kept.

    That is inf if there are too many to try, NaN if that of any is beyond the digits of float64.
    """
    found: float | None = problem.__dict__.get("_best_of_all")
    if found is not None:
        return found
    useful = problem.useful()
    if not isinstance(useful, list):  # far too many
        return math.inf
    choices = [np.append(-1, transmitters) for transmitters in useful]
    sizes = [len(choice) for choice in choices]
    count = math.prod(sizes)
    if count > most_graphs:
        return math.inf
    best = -math.inf
    for start in range(0, count, SLICE):
        digits = np.unravel_index(np.arange(start, min(count, start + SLICE)), sizes)
        graphs = np.stack([choice[digit] for choice, digit in zip(choices, digits, strict=True)], -1)
        best = float(np.maximum(best, rewards(problem, graphs).objective.max()))
    problem.__dict__["_best_of_all"] = best
    return best


@np.errstate(all="ignore")
def keeps_digits(problem: GraphProblem) -> bool:
    """Tell whether a search that goes from graph to graph surely keeps the digits of all objectives.

    All numbers have to be finite, so that none compares as NaN. And what budgets cost must not be so much more than all
    else that the rounding of its changing sums, which have 31 digits and 16 million changes, hides the rest.
    """
    asked, lost = problem.deficit.sum(), 0.0
    if problem.request == "compensated":
        lost = problem.outage_probability.max(initial=0.0, where=problem.useful_pairs())
    points = asked / (1.0 - lost)
    limits = problem.budgets[problem.budgets > 0]
    over = points / limits.min() if limits.size else 0.0
    own = problem.diversity_weight * problem.sizes["class"] + problem.outage_weight
    dear = problem.cluster_weight * problem.budget_penalty * over
    worth = own + problem.cluster_weight * own + dear
    total = problem.class_counts.sum() + points
    finite = np.isfinite(total) and np.isfinite(problem.sizes["device"] * worth)
    return bool(finite and dear <= MOST_DEAR * problem.scale)
