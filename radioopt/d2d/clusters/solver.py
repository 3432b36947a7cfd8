"""Methods of D2D without labels."""

from __future__ import annotations

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d import baselines, kernel_learning
from radioopt.d2d.clusters.certificate import best_of_all, legal_links, rewards
from radioopt.d2d.clusters.problem import ClusterGraphProblem
from radioopt.d2d.clusters.search import climb
from radioopt.d2d.clusters.solution import ClusterGraphSolution
from radioopt.d2d.links import instances, repair
from radioopt.d2d.solver import at_least

#: devices from which on only the links of least outage are tried, and how many those are
MANY_DEVICES, FEW_LINKS = 60, 16
#: graphs that enumeration tries at most: those of 7 devices
MAX_GRAPHS = 7**7


@ClusterGraphProblem.method("local-search", exact=False)
def local_search(
    problem: ClusterGraphProblem,
    options: SolveOptions,
    *,
    starts: int = 1,
    candidates: int = 0,
    seed: int = 0,
) -> ClusterGraphSolution:
    """Coordinate ascent on F from several starts; a local optimum, near or at the global one.

    Parameters
    ----------
    problem : ClusterGraphProblem
        One instance or a batch.
    options : SolveOptions
        ``max_iterations`` limits the passes over all devices from each start.
    starts : int, default 1
        The first begins without links, the others with random ones. 20 find the optimum of small instances.
    candidates : int, default 0
        Links tried per device, those of least outage; 0 tries all, or 16 from 60 devices on.
    seed : int, default 0
        Of the orders in which devices choose, and of the starts.

    Returns
    -------
    ClusterGraphSolution
        ``iterations`` counts passes over all devices. No device alone could do better by a candidate; there is no
        bound, so the gap is infinite.

    Raises
    ------
    OptionError
        If there is no start, or a negative number of candidates or seed.
    """
    at_least("local-search", starts=(starts, 1), candidates=(candidates, 0), seed=(seed, 0))
    source, passes, finished = _room(problem)
    for index, one in instances(problem):
        count = one.sizes["device"]
        most = candidates or (count if count < MANY_DEVICES else FEW_LINKS)
        links = [
            some[np.argsort(one.outage_probability[i, some], kind="stable")[:most]]
            for i, some in enumerate(legal_links(one))
        ]
        rng = np.random.default_rng([seed, *index])
        source[index], passes[index], finished[index] = climb(one, links, starts, options.max_iterations, rng)
    return ClusterGraphSolution.judged(
        problem, "local-search", source, passes, options, stopped=finished == 0
    )


@ClusterGraphProblem.method("enumerate", exact=True)
def enumerate_graphs(
    problem: ClusterGraphProblem, options: SolveOptions, *, max_graphs: int = MAX_GRAPHS
) -> ClusterGraphSolution:
    """Try every graph; proves the optimum of up to 7 devices, of 6 in seconds.

    Parameters
    ----------
    problem : ClusterGraphProblem
        One instance or a batch, of few devices or few links.
    options : SolveOptions
        Tolerances.
    max_graphs : int, default 823543
        Graphs tried at most; all of 7 devices by default.

    Returns
    -------
    ClusterGraphSolution
        ``iterations`` counts graphs. The bound is the objective: no other graph is better.

    Raises
    ------
    OptionError
        If there are more graphs.
    """
    source, count, _ = _room(problem)
    proven = np.zeros(problem.batch_shape, np.bool_)
    for index, one in instances(problem):
        value, source[index], count[index] = best_of_all(one, max_graphs)
        if value == np.inf:
            raise OptionError(
                f"enumerate: {count[index]} graphs, more than max_graphs = {max_graphs}: "
                "use local-search, or raise max_graphs"
            )
        proven[index] = np.isfinite(value)
    return ClusterGraphSolution.judged(problem, "enumerate", source, count, options, proven=proven)


@ClusterGraphProblem.method("q-learning", exact=False)
def q_learning(
    problem: ClusterGraphProblem,
    options: SolveOptions,
    *,
    iterations: int = 1000,
    buffer: int = 20,
    reduction: float = 0.5,
    floor: float = 1e-3,
    temperature: float = 0.0,
    seed: int = 0,
) -> ClusterGraphSolution:
    """Paper's method: multi-agent Q-learning, an agent per device with a buffer of rewards.

    Parameters
    ----------
    problem : ClusterGraphProblem
        One instance or a batch, each trained on by itself.
    options : SolveOptions
        Tolerances.
    iterations : int, default 1000
        Steps; each evaluates a graph.
    buffer, reduction, floor, temperature, seed : optional
        As of :func:`radioopt.d2d.train`; here the channel has one state.

    Returns
    -------
    ClusterGraphSolution
        The graph read out at the end; ``iterations`` counts steps.

    Raises
    ------
    OptionError
        If an option is out of its range.
    """
    at_least(
        "q-learning", iterations=(iterations, 1), buffer=(buffer, 1), reduction=(reduction, 0.0),
        temperature=(temperature, 0.0), seed=(seed, 0),
    )  # fmt: skip
    if reduction > 1 or floor <= 0:
        name, value, expected = (
            ("floor", floor, "more than 0") if floor <= 0 else ("reduction", reduction, "at most 1")
        )
        raise OptionError(f"q-learning: {name}: expected {expected}, got {value}")
    source, count, _ = _room(problem)
    for index, one in instances(problem):
        rng = np.random.default_rng([seed, *index])
        source[index] = _learn(one, iterations, buffer, reduction, floor, temperature, rng)
    return ClusterGraphSolution.judged(problem, "q-learning", source, count + iterations, options)


@np.errstate(all="ignore")
def _learn(
    problem: ClusterGraphProblem,
    iterations: int,
    buffer: int,
    reduction: float,
    floor: float,
    temperature: float,
    rng: np.random.Generator,
) -> Array:
    """Train on a single instance, as :func:`radioopt.d2d.train`, and read out the graph."""
    count = problem.sizes["device"]
    arms = np.arange(count)
    legal = problem.allowed | np.eye(count, dtype=np.bool_)
    table, times = np.ones((1, count, count)), np.ones((1, count, count))
    begun = kernel_learning.arm_weight(1.0, 1.0, floor, temperature)
    weights = np.where(legal, begun, 0.0)[None].copy()
    sums, memory = weights.sum(-1), np.zeros((count, buffer))
    for step in range(iterations):
        random = rng.random(count)
        chosen = np.array([kernel_learning.pick(weights, sums, 0, i, random[i]) for i in range(count)])
        found = rewards(problem, np.where(chosen == arms, -1, chosen))
        reward = np.fmax(found.device + problem.cluster_weight * found.cluster, 0.0)  # what is no number, too
        if np.isneginf(found.objective):  # a budget of 0 is exceeded: worth nothing
            reward = np.zeros(count)
        for i in range(count):
            kernel_learning.learn(
                table, times, weights, sums, 0, i, int(chosen[i]), float(reward[i]), memory, min(step, buffer), step,
                reduction, floor, temperature,
            )  # fmt: skip
    tried = times[0] > 1
    mean = np.where(tried, (table[0] - 1.0) / np.where(tried, times[0] - 1.0, 1.0), -np.inf)
    arm = mean.argmax(-1)
    read = np.where(tried.any(-1) & (arm != arms), arm, -1)
    legal_graph: Array = repair(problem, source=read)["source"]
    return legal_graph


baselines.register(ClusterGraphProblem)


def _room(problem: ClusterGraphProblem) -> tuple[Array, Array, Array]:
    """Room for the graphs, and for two whole numbers per instance."""
    shape = problem.batch_shape
    source = np.full((*shape, problem.sizes["device"]), -1, np.int64)
    return source, np.zeros(shape, np.int64), np.zeros(shape, np.int64)
