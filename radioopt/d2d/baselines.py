"""The paper's baselines: no exchange, the closest, the most trusted, and a random transmitter.

They look at links alone, so the same ones serve matrices, lists of links, and data without labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from radioopt.base.options import SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import Array
from radioopt.d2d.exchanged import Exchanged
from radioopt.d2d.links import Links, instances, repair
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.solver import at_least

#: a choice of transmitters: from the place of an instance in its batch and its links
Choice = Callable[[tuple[int, ...], Links], Array]


def closest(problem: Any, options: SolveOptions) -> Exchanged:
    """Paper's baseline: every device receives over the link of least outage.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    Exchanged
        Without links that are forbidden by a budget of 0.
    """
    return _chosen(problem, "closest", lambda _, links: preferred(links, -links.outage), options)


def most_trusted(problem: Any, options: SolveOptions) -> Exchanged:
    """Paper's baseline: every device receives from the one that shares most with it, then over the least outage.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    Exchanged
        Without links that are forbidden by a budget of 0. What is shared are classes, or clusters of a transmitter.
    """
    return _chosen(
        problem, "most-trusted", lambda _, links: preferred(links, links.shared - 0.5 * links.outage), options
    )


def uniform(problem: Any, options: SolveOptions, *, seed: int = 0) -> Exchanged:
    """Paper's baseline: every device receives over a link drawn uniformly.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.
    seed : int, default 0
        Source of randomness.

    Returns
    -------
    Exchanged
        Without links that are forbidden by a budget of 0.

    Raises
    ------
    OptionError
        If the seed is negative.
    """
    at_least("uniform", seed=(seed, 0))
    random = np.random.default_rng(seed).random((*problem.batch_shape, problem.sizes["device"]))
    return _chosen(problem, "uniform", lambda index, links: drawn(links, random[index]), options)


def none(problem: Any, options: SolveOptions) -> Exchanged:
    """Paper's baseline: nobody shares anything.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    Exchanged
        Without links.
    """
    source = np.full((*problem.batch_shape, problem.sizes["device"]), -1)
    found: Exchanged = problem.solution_class().judged(
        problem, "none", source, np.zeros(problem.batch_shape), options
    )
    return found


def register(kind: type[Problem[Any]]) -> None:
    """Give a kind of problem these methods; a single instance of it says by ``usable_links`` which links there are."""
    for name, method in {
        "closest": closest,
        "most-trusted": most_trusted,
        "uniform": uniform,
        "none": none,
    }.items():
        kind.method(name, exact=False)(method)


def _chosen(problem: Any, method: str, choose: Choice, options: SolveOptions) -> Exchanged:
    """Let every device choose among its links, whatever that moves."""
    source = np.empty((*problem.batch_shape, problem.sizes["device"]), np.int64)
    for index, one in instances(problem):
        source[index] = choose(index, one.usable_links())
    source = repair(problem, source=source)["source"]
    found: Exchanged = problem.solution_class().judged(
        problem, method, source, np.ones(problem.batch_shape), options
    )
    return found


def preferred(links: Links, wish: Array) -> Array:
    """Choose for each receiver the first of its links that are preferred most, wish (E,); shape (N,)."""
    best, source = np.full(links.devices, -np.inf), np.full(links.devices, -1)
    if len(wish):
        some, first = np.unique(links.receiver, return_index=True)
        best[some] = np.maximum.reduceat(wish, first)
        at = np.flatnonzero(wish == best[links.receiver])[::-1]
        source[links.receiver[at]] = links.transmitter[at]  # the first is written last
    return source


def drawn(links: Links, random: Array) -> Array:
    """Choose for each receiver the link that is a share ``random`` (N,) in [0, 1) of the way through its links."""
    sizes = np.bincount(links.receiver, minlength=len(random))
    at = np.cumsum(sizes) - sizes + np.minimum((random * sizes).astype(np.int64), np.maximum(sizes - 1, 0))
    source = np.full(len(random), -1)
    source[sizes > 0] = links.transmitter[at[sizes > 0]]
    return source


register(GraphProblem)
