"""Methods of the D2D problem with a list of links."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d import baselines, kernel_search
from radioopt.d2d.game import Game
from radioopt.d2d.links import instances
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.solver import MAX_GRAPHS, NO_LINKS, at_least, climb, room
from radioopt.d2d.sparse.problem import MOST_DENSE, SparseGraphProblem

#: devices from which on they are numbered by place while they are solved: neighbours then share the cache
MANY_DEVICES = 4_096
#: how many of those choose in random order before the next ones do: memory is read nearly in order
AMONG = 4.0


@SparseGraphProblem.method("local-search", exact=False)
def local_search(
    problem: SparseGraphProblem, options: SolveOptions, *, starts: int = 1, seed: int = 0
) -> GraphSolution:
    """Coordinate ascent on F over the links listed; a local optimum, near or at the global one.

    Parameters
    ----------
    problem : SparseGraphProblem
        One instance or a batch.
    options : SolveOptions
        ``max_iterations`` limits the passes over all devices from each start.
    starts : int, default 1
        As of :class:`GraphProblem`.
    seed : int, default 0
        Of the orders in which devices choose, and of the starts.

    Returns
    -------
    GraphSolution
        ``iterations`` counts passes of the ascent over all devices. No device alone could do better by a link; there
        is no bound, so the gap is infinite.

    Raises
    ------
    OptionError
        If there is no start, or a negative seed.
    """
    at_least("local-search", starts=(starts, 1), seed=(seed, 0))
    source, passes, finished = room(problem)
    for index, one in instances(problem):
        rng, (order, among) = np.random.default_rng([seed, *index]), by_place(one)
        game, found = prepare(one, order), np.full(len(order), -1)
        passes[index], finished[index] = climb(game, rng, starts, options, found, among)
        source[index][order] = np.where(found >= 0, order[found], -1)
    return GraphSolution.judged(problem, "local-search", source, passes, options, stopped=finished == 0)


@SparseGraphProblem.method("enumerate", exact=True)
def enumerate_graphs(
    problem: SparseGraphProblem, options: SolveOptions, *, max_graphs: int = MAX_GRAPHS
) -> GraphSolution:
    """Try every graph of links that could move anything, as with matrices; proves the optimum of few devices.

    Parameters
    ----------
    problem : SparseGraphProblem
        One instance or a batch, of few devices or few links.
    options : SolveOptions
        Tolerances.
    max_graphs : int, default 16777216
        Graphs tried at most.

    Returns
    -------
    GraphSolution
        ``iterations`` counts graphs. The bound is the objective: no other graph is better.

    Raises
    ------
    OptionError
        If there are more graphs, or too many devices for matrices.
    """
    return _as_dense(problem, "enumerate", options, max_graphs=max_graphs)


@SparseGraphProblem.method("q-learning", exact=False)
def q_learning(
    problem: SparseGraphProblem,
    options: SolveOptions,
    *,
    iterations: int = 3000,
    buffer: int = 20,
    reduction: float = 0.5,
    floor: float = 1e-3,
    temperature: float = 0.0,
    levels: int = 1,
    rss_std_db: float = 0.0,
    seed: int = 0,
) -> GraphSolution:
    """Paper's method, multi-agent Q-learning, as with matrices: its tables have a column per device.

    Parameters
    ----------
    problem : SparseGraphProblem
        One instance or a batch, each trained on by itself.
    options : SolveOptions
        Tolerances.
    iterations, buffer, reduction, floor, temperature, levels, rss_std_db, seed : optional
        As of :func:`radioopt.d2d.train`.

    Returns
    -------
    GraphSolution
        The graph read out at the end; ``iterations`` counts steps.

    Raises
    ------
    OptionError
        As :func:`radioopt.d2d.train`, or if there are too many devices for matrices.
    """
    return _as_dense(
        problem, "q-learning", options, iterations=iterations, buffer=buffer, reduction=reduction, floor=floor,
        temperature=temperature, levels=levels, rss_std_db=rss_std_db, seed=seed,
    )  # fmt: skip


baselines.register(SparseGraphProblem)


def _as_dense(
    problem: SparseGraphProblem, method: str, options: SolveOptions, **method_options: Any
) -> GraphSolution:
    """Solve the same problem with matrices."""
    if problem.sizes["device"] > MOST_DENSE:
        raise OptionError(
            f"{method}: {problem.sizes['device']} devices, more than {MOST_DENSE}: use local-search, "
            "which needs no matrices"
        )
    found = problem.dense().solve(method, options, throw=False, **method_options)
    return GraphSolution.judged(
        problem, method, found.source, found.iterations, options, proven=np.isfinite(found.bound)
    )


def by_place(problem: SparseGraphProblem) -> tuple[Array, float]:
    """Devices in the order in which they are numbered for the search, and how many choose in random order at a time.

    A large instance is solved row by row of a grid, if places are known, others as they are.
    """
    place = problem.position_m
    devices = problem.sizes["device"]
    if devices < MANY_DEVICES or place.shape != (devices, 2) or not np.isfinite(place).all():
        return np.arange(devices), np.inf
    low = place.min(0)
    side = max(float((place.max(0) - low).max()), 1e-300) / np.sqrt(devices / 16)
    x, y = np.floor((place - low) / side).astype(np.int64).T
    return np.lexsort((np.where(y % 2 == 0, x, -x), y)), AMONG


def prepare(problem: SparseGraphProblem, order: Array) -> Game:
    """Arrays for the kernels, with the useful links; ``order`` is the device of every number there."""
    devices, links = problem.sizes["device"], len(problem.receiver)
    game, (listed, keys) = Game.of(problem, NO_LINKS, order), problem.rows
    first, transmitter = np.empty(devices + 1, np.int64), np.empty(links, np.int64)
    losses, asks = np.empty(links), np.empty((links, problem.sizes["class"]), np.bool_)
    used = kernel_search.fill_links(
        game.points, game.numbers, listed, np.searchsorted(keys, np.arange(devices + 1) * devices), order,
        np.argsort(order), problem.transmitter, problem.outage_probability, problem.allowed, problem.trust, first,
        transmitter, losses, asks,
    )  # fmt: skip
    return game._replace(first=first, transmitter=transmitter[:used], losses=losses[:used], asks=asks[:used])
