"""The paper's baselines: no exchange, the closest, the most trusted, and a random transmitter."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d.links import instances, repair
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.solver import at_least


@GraphProblem.method("closest", exact=False)
def closest(problem: GraphProblem, options: SolveOptions) -> GraphSolution:
    """Paper's baseline: every device receives from the one of least outage.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    GraphSolution
        Without links that are forbidden by a budget of 0.
    """
    return _by(problem, "closest", -problem.outage_probability, options)


@GraphProblem.method("most-trusted", exact=False)
def most_trusted(problem: GraphProblem, options: SolveOptions) -> GraphSolution:
    """Paper's baseline: every device receives from the one that trusts it with most classes, then of least outage.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    GraphSolution
        Without links that are forbidden by a budget of 0.
    """
    trusted = np.swapaxes(problem.trust.sum(-1), -1, -2)  # receiver, transmitter
    return _by(problem, "most-trusted", trusted - 0.5 * problem.outage_probability, options)


@GraphProblem.method("uniform", exact=False)
def uniform(problem: GraphProblem, options: SolveOptions, *, seed: int = 0) -> GraphSolution:
    """Paper's baseline: every device receives from one drawn uniformly.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.
    seed : int, default 0
        Source of randomness.

    Returns
    -------
    GraphSolution
        Without links that are forbidden by a budget of 0.

    Raises
    ------
    OptionError
        If the seed is negative.
    """
    at_least("uniform", seed=(seed, 0))
    devices = problem.sizes["device"]
    random = np.random.default_rng(seed).random((*problem.batch_shape, devices))
    source = np.empty(random.shape, np.int64)
    for index, one in instances(problem):
        receiver, transmitter = np.nonzero(one.allowed & ~np.eye(devices, dtype=np.bool_))
        source[index] = drawn(receiver, transmitter, random[index])
    return legal_graph(problem, "uniform", source, options)


@GraphProblem.method("none", exact=False)
def none(problem: GraphProblem, options: SolveOptions) -> GraphSolution:
    """Paper's baseline: nobody shares anything.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    GraphSolution
        Without links.
    """
    source = np.full((*problem.batch_shape, problem.sizes["device"]), -1)
    return GraphSolution.judged(problem, "none", source, np.zeros(problem.batch_shape), options)


def _by(problem: GraphProblem, method: str, preference: Array, options: SolveOptions) -> GraphSolution:
    """Give every device the allowed transmitter that it prefers most, whatever that moves."""
    legal = problem.allowed & ~np.eye(problem.sizes["device"], dtype=np.bool_)
    source = np.where(legal.any(-1), np.where(legal, preference, -np.inf).argmax(-1), -1)
    return legal_graph(problem, method, source, options)


def legal_graph(problem: Any, method: str, source: Array, options: SolveOptions) -> GraphSolution:
    """Judge a graph without its links that are forbidden by a budget of 0."""
    source = repair(problem, source=source)["source"]
    return GraphSolution.judged(problem, method, source, np.ones(problem.batch_shape), options)


def preferred(receiver: Array, transmitter: Array, wish: Array, devices: int) -> Array:
    """Choose for each receiver the first of its links that are preferred most.

    Parameters
    ----------
    receiver, transmitter : ndarray of int, shape (E,)
        The links, in the order of their receivers.
    wish : ndarray, shape (E,)
        How much each is preferred.
    devices : int
        N.

    Returns
    -------
    ndarray of int, shape (N,)
        Transmitter of every device, -1 where it has no link.
    """
    best, source = np.full(devices, -np.inf), np.full(devices, -1)
    if len(wish):
        some, first = np.unique(receiver, return_index=True)
        best[some] = np.maximum.reduceat(wish, first)
        at = np.flatnonzero(wish == best[receiver])[::-1]
        source[receiver[at]] = transmitter[at]  # the first is written last
    return source


def drawn(receiver: Array, transmitter: Array, random: Array) -> Array:
    """Choose for each receiver the link that is a share ``random`` (N,) in [0, 1) of the way through its links."""
    sizes = np.bincount(receiver, minlength=len(random))
    at = np.cumsum(sizes) - sizes + np.minimum((random * sizes).astype(np.int64), np.maximum(sizes - 1, 0))
    source = np.full(len(random), -1)
    source[sizes > 0] = transmitter[at[sizes > 0]]
    return source
