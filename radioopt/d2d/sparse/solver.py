"""Methods of the D2D problem with a list of links."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d import baselines
from radioopt.d2d.game import Game
from radioopt.d2d.links import instances
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.solver import MAX_GRAPHS, at_least, climb, room
from radioopt.d2d.sparse.problem import MOST_DENSE, SparseGraphProblem

#: devices from which on they are numbered by place while they are solved: neighbours then share the cache
MANY_DEVICES = 4_096
#: how many of those choose in random order before the next ones do
AMONG = 256.0


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
        rng, order = np.random.default_rng([seed, *index]), by_place(one)
        if order is None:
            game = Game.of(one, one.useful_links())
            passes[index], finished[index] = climb(game, rng, starts, options, source[index])
        else:
            place = np.argsort(order)
            game = Game.of(one, _renumbered(one.useful_links(), order, place), order)
            found = np.full(len(order), -1)
            passes[index], finished[index] = climb(game, rng, starts, options, found, AMONG)
            source[index] = np.where(found >= 0, order[found], -1)[place]
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


def by_place(problem: SparseGraphProblem) -> Array | None:
    """Devices of a large instance in the order of their places, row by row of a grid; None if that does not pay."""
    place = problem.position_m
    devices = problem.sizes["device"]
    if devices < MANY_DEVICES or place.shape != (devices, 2) or not np.isfinite(place).all():
        return None
    low = place.min(0)
    side = max(float((place.max(0) - low).max()), 1e-300) / np.sqrt(devices / 16)
    x, y = np.floor((place - low) / side).astype(np.int64).T
    return np.lexsort((np.where(y % 2 == 0, x, -x), y))


def _renumbered(
    links: tuple[Array, Array, Array, Array], order: Array, place: Array
) -> tuple[Array, Array, Array, Array]:
    """Give devices other numbers: ``order`` has the old number of each, ``place`` the new one."""
    first, transmitter, losses, asks = links
    sizes = np.diff(first)[order]
    start = np.append(0, np.cumsum(sizes))
    taken = np.repeat(first[order] - start[:-1], sizes) + np.arange(start[-1])
    return start, place[transmitter[taken]], losses[taken], asks[taken]
