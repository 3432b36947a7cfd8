"""D2D methods: problem -> kernel -> evaluated graph."""

from __future__ import annotations

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d import kernel_search
from radioopt.d2d.certificate import keeps_digits
from radioopt.d2d.game import Game
from radioopt.d2d.graph import Graph
from radioopt.d2d.links import instances
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.solution import GraphSolution

#: devices from which on only the links of least outage are tried, and how many those are
MANY_DEVICES, FEW_LINKS = 500, 64
#: of an instance whose links are not listed yet
NO_LINKS = (np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 1), np.bool_))
#: graphs that enumeration tries at most: those of 8 devices
MAX_GRAPHS = 8**8


@GraphProblem.method("local-search", exact=False)
def local_search(
    problem: GraphProblem,
    options: SolveOptions,
    *,
    starts: int = 1,
    candidates: int = 0,
    seed: int = 0,
) -> GraphSolution:
    """Coordinate ascent on F from several starts; a local optimum, near or at the global one.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch.
    options : SolveOptions
        ``max_iterations`` limits the passes over all devices from each start.
    starts : int, default 1
        From the first start, each device in turn takes what is best for itself, given the choices so far; the others
        have random links. 20 find the optimum of small instances.
    candidates : int, default 0
        Links tried per device, those of least outage that could move anything; 0 tries all, or 64 from 500 devices on.
    seed : int, default 0
        Of the orders in which devices choose, and of the starts.

    Returns
    -------
    GraphSolution
        ``iterations`` counts passes of the ascent over all devices. No device alone could do better by a candidate;
        there is no bound, so the gap is infinite.

    Raises
    ------
    OptionError
        If there is no start, or a negative number of candidates or seed.
    """
    at_least("local-search", starts=(starts, 1), candidates=(candidates, 0), seed=(seed, 0))
    source, passes, finished = room(problem)
    for index, one in instances(problem):
        rng = np.random.default_rng([seed, *index])
        game = prepare(one, candidates)
        passes[index], finished[index] = climb(game, rng, starts, options, source[index])
    return GraphSolution.judged(problem, "local-search", source, passes, options, stopped=finished == 0)


@GraphProblem.method("enumerate", exact=True)
def enumerate_graphs(
    problem: GraphProblem, options: SolveOptions, *, max_graphs: int = MAX_GRAPHS
) -> GraphSolution:
    """Try every graph of links that could move anything; proves the optimum of up to 8 devices.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch, of few devices or few links.
    options : SolveOptions
        Tolerances.
    max_graphs : int, default 16777216
        Graphs tried at most; all of 8 devices by default.

    Returns
    -------
    GraphSolution
        ``iterations`` counts graphs. The bound is the objective: no other graph is better.

    Raises
    ------
    OptionError
        If there are more graphs.
    """
    source, count, _ = room(problem)
    proven = np.zeros(problem.batch_shape, np.bool_)
    for index, one in instances(problem):
        game = prepare(one, one.sizes["device"])
        with np.errstate(over="ignore"):
            graphs = float(np.prod(1.0 + np.diff(game.first)))
        if graphs > max_graphs:
            raise OptionError(
                f"enumerate: {graphs:.3g} graphs of useful links, more than max_graphs = {max_graphs}: "
                "use local-search, or raise max_graphs"
            )
        _, count[index] = kernel_search.enumerate_graphs(game, source[index])
        proven[index] = keeps_digits(one)  # plain NumPy tries the graphs again if not
    return GraphSolution.judged(problem, "enumerate", source, count, options, proven=proven)


def climb(
    game: Game,
    rng: np.random.Generator,
    starts: int,
    options: SolveOptions,
    source: Array,
    among: float = np.inf,
) -> tuple[int, bool]:
    """Search from several starts; ``source`` gets the best graph. Return the passes, and whether all climbs ended.

    Devices choose in random order; if they are numbered by place, only so many ``among`` them are mixed: what
    neighbours have is then in the cache.
    """
    orders, initial = _starts(rng, game.first, starts, among)
    _, passes, finished = kernel_search.local_search(game, initial, orders, options.max_iterations, source)
    return passes, finished


def prepare(problem: GraphProblem, candidates: int) -> Game:
    """Arrays for the kernels: the instance with room for a graph, and the links to try.

    These are the useful transmitters of least outage of every device. Few of the nearest are useless, so half as many
    again are looked at first.
    """
    devices, classes = problem.sizes["device"], problem.sizes["class"]
    most = min(candidates or (devices if devices < MANY_DEVICES else FEW_LINKS), devices)
    game, links = Game.of(problem, NO_LINKS), np.empty((devices, most), np.int64)
    asks, losses = np.zeros((*links.shape, classes), np.bool_), np.ones(links.shape)
    looked_at = min(most + most // 2, devices)
    while True:
        in_any_order = np.broadcast_to(np.arange(devices), (devices, devices))
        nearest = in_any_order if most == devices else _nearest(problem, looked_at)
        fewest = kernel_search.fill_candidates(
            game.points, game.numbers, problem.trust, problem.outage_probability, problem.allowed, nearest, links,
            asks, losses,
        )  # fmt: skip
        if fewest == most or looked_at == devices:
            break
        looked_at = min(4 * looked_at, devices)
    used = links >= 0
    first = np.append(0, np.cumsum(used.sum(-1)))
    return game._replace(first=first, transmitter=links[used], losses=losses[used], asks=asks[used])


def _nearest(problem: GraphProblem, count: int) -> Array:
    """So many transmitters of least outage that each device may have, in their order."""
    outage = problem.outage_probability
    if not problem.allowed.all():
        outage = np.where(problem.allowed, outage, np.inf)
    if count == len(outage):
        return np.asarray(outage.argsort(1))
    nearest = np.argpartition(outage, count - 1, axis=1)[:, :count]
    order = np.take_along_axis(outage, nearest, 1).argsort(1)
    return np.take_along_axis(nearest, order, 1)


def at_least(method: str, **given: tuple[float, float]) -> None:
    """Refuse an option that is below its least value."""
    for name, (value, least) in given.items():
        if not value >= least:
            raise OptionError(f"{method}: {name}: expected at least {least}, got {value}")


def room(problem: Graph) -> tuple[Array, Array, Array]:
    """Room for the graphs, and for two whole numbers per instance."""
    shape = problem.batch_shape
    source = np.full((*shape, problem.sizes["device"]), -1, np.int64)
    return source, np.zeros(shape, np.int64), np.zeros(shape, np.int64)


def _starts(
    rng: np.random.Generator, first: Array, starts: int, among: float = np.inf
) -> tuple[Array, Array]:
    """Orders of the devices and links to start from, each (starts, N); the first has no links yet."""
    devices = len(first) - 1
    orders = (rng.random((starts, devices)) + np.arange(devices) / among).argsort(-1)
    pick = (rng.random((starts, devices)) * (1 + np.diff(first))).astype(np.int64)
    initial = np.where(pick > 0, first[:-1] + pick - 1, -1)
    initial[0] = -1
    return orders, initial
