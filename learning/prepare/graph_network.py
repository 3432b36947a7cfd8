"""The D2D paper's GCN baseline: a graph convolutional network at the server says who receives from whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.local.globals import fresh_torch, torch_threads
from learning.models.noise import OwnNoise
from learning.options import choose, real, whole
from learning.progress import progress_bar
from radioopt.base.errors import ProblemError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import shorten
from radioopt.d2d import ClusterGraphProblem, GraphProblem
from radioopt.d2d import certificate as labelled
from radioopt.d2d.clusters import certificate as clustered
from radioopt.d2d.links import instances, repair
from radioopt.scenario import Scenario

Array = NDArray[Any]

#: channels of the two convolutions, and of the linear layer before the last
CHANNELS = (64, 16, 16)
#: levels that the chance of a link to work is quantised into: what a device knows of its channels
LEVELS = 4
#: links that are tried at once, each alone in a graph
SLICE = 500
#: in place of a link, for a device of which nothing is learnt: cross-entropy leaves it out
NOTHING = -100
#: kinds of problems, by their table in a scenario
KINDS: dict[str, Any] = {"d2d": GraphProblem, "d2d-clusters": ClusterGraphProblem}


@dataclass(frozen=True, eq=False)
class Alone:
    """What every link would do if it were the only one.

    Parameters
    ----------
    load : ndarray, shape (N, N)
        Points of receiver i from transmitter j that would count towards the budget of its cluster.
    moved : ndarray, shape (N, N, L)
        Points of each class, or of each cluster of the transmitter, that would arrive.
    reward : ndarray, shape (N, N)
        Local reward r of the receiver; on the diagonal that without a link; -inf for a link that may not be used.
    """

    load: Array
    moved: Array
    reward: Array


def alone(problem: Any) -> Alone:
    """Try every link of a single instance by itself.

    Parameters
    ----------
    problem : GraphProblem or ClusterGraphProblem
        A single instance.

    Returns
    -------
    Alone
        Of links with a budget of 0 nothing but that they may not be used.
    """
    judge: Any = clustered if isinstance(problem, ClusterGraphProblem) else labelled
    count = problem.sizes["device"]
    forbidden = (problem.clusters[:, None] != problem.clusters) & (problem.budgets[:, None] <= 0)
    receiver, transmitter = np.nonzero(problem.allowed & ~forbidden | np.eye(count, dtype=np.bool_))
    parts = []
    for first in range(0, len(receiver), SLICE):
        i, j = receiver[first : first + SLICE], transmitter[first : first + SLICE]
        graphs, row = np.full((len(i), count), -1), np.arange(len(i))
        graphs[row, i] = np.where(i == j, -1, j)
        moved = judge.exchange(problem, graphs)
        asked = moved.requested if problem.budgeted == "requested" else moved.received
        reward = judge.rewards(problem, graphs, moved).device
        parts.append((asked[row, i].sum(-1), moved.received[row, i], reward[row, i]))
    points, arrived, worth = (np.concatenate(one) for one in zip(*parts, strict=True))
    load, reward = np.zeros((count, count)), np.full((count, count), -np.inf)
    everything = np.zeros((count, count, arrived.shape[-1]))
    load[receiver, transmitter], reward[receiver, transmitter] = points, worth
    everything[receiver, transmitter] = arrived
    return Alone(np.where(problem.clusters[:, None] != problem.clusters, load, 0.0), everything, reward)


class Convolutions(nn.Module):
    """Two graph convolutions, and two linear layers on pairs of what they make of the devices.

    Parameters
    ----------
    nodes, pairs : int
        Features of a device, and of a pair.
    """

    def __init__(self, nodes: int, pairs: int) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.first, self.second = nn.Linear(nodes, first), nn.Linear(first, second)
        self.third, self.last = nn.Linear(2 * second + pairs, third), nn.Linear(third, 1)

    def forward(self, nodes: Tensor, pairs: Tensor, adjacency: Tensor) -> Tensor:
        """Score every link, (B, N, N), from features (B, N, F) and (B, N, N, G) and the weights of neighbours."""
        for layer in (self.first, self.second):
            nodes = functional.relu(adjacency @ layer(nodes))
        shape = (*pairs.shape[:3], nodes.shape[-1])
        both = [nodes[:, :, None].expand(shape), nodes[:, None].expand(shape), pairs]
        scores: Tensor = self.last(functional.relu(self.third(torch.cat(both, -1))))[..., 0]
        return scores


class GraphNetwork:
    """A trained network that is a method for graphs: call it with a problem, or give it to an exchange.

    :meth:`fit` makes it. Two graph convolutions (64 and 16 channels) see the devices, two linear layers (16 and 1)
    score the link from j to i.

    Parameters
    ----------
    network : Convolutions
        With its weights.
    family : {"d2d", "d2d-clusters"}
        Which problems.
    sizes : mapping of str to int
        Lengths of the axes that it was trained for.
    pairs : bool
        Whether it sees what a link would move.
    losses : tuple of float
        Of each epoch.
    teacher : str
        Whose links it learnt.

    Notes
    -----
    The paper's features are the local data and the state, which is the received signal strength of every link,
    quantised (R: into four levels of the chance to get through); that fixes the number of devices. Trust is in none of
    them, so that it can hardly learn who is of use to whom. Every device has a link then, as with the paper's other
    baselines. With ``pairs`` a link has features of its own, what it would move and its outage, a device may have no
    link, which scores 0, and the number of devices is free. Devices are neighbours as far as the link between them
    works (R).

    It is read out greedily: those links first whose score is highest, none that a device has one before, and none
    by which the requests from outside would exceed a budget.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section VI-A and Appendix C; T. Kipf, M. Welling, "Semi-Supervised Classification with Graph Convolutional
    Networks".

    Examples
    --------
    >>> from radioopt import Scenario
    >>> scenario = Scenario.load("d2d", {"devices.count": 8})
    >>> method = GraphNetwork.fit(scenario, pairs=True, instances=20, epochs=30, progress=False)
    >>> solution = method(scenario.draw(seed=1).problem("d2d"))
    >>> solution.method, solution.status.name
    ('gcn-pairs', 'FEASIBLE')
    """

    def __init__(
        self, network: Convolutions, family: str, sizes: dict[str, int], pairs: bool, losses: tuple[float, ...],
        teacher: str,
    ) -> None:  # fmt: skip
        self.network, self.family, self.sizes = network, family, sizes
        self.pairs, self.losses, self.teacher = pairs, losses, teacher

    @property
    def name(self) -> str:
        """What its solutions call their method."""
        return "gcn-pairs" if self.pairs else "gcn"

    def __repr__(self) -> str:
        return f"GraphNetwork({self.family}, pairs={self.pairs}, teacher={self.teacher!r}, {len(self.losses)} epochs)"

    @classmethod
    def fit(
        cls,
        scenario: Scenario | str,
        *,
        family: str | None = None,
        pairs: bool = False,
        teacher: str | None = None,
        instances: int = 100,
        epochs: int = 200,
        learning_rate: float = 0.01,
        weight_decay: float = 5e-4,
        seed: int = 0,
        progress: bool = True,
    ) -> Self:
        """Train a network on instances that a scenario draws.

        Parameters
        ----------
        scenario : Scenario or str
            With a table [d2d] or [d2d-clusters].
        family : {"d2d", "d2d-clusters"}, optional
            Which, if it has both; "d2d" by default.
        pairs : bool, default False
            Whether links have features of their own, which the paper's network does not have.
        teacher : str, optional
            Whose links are learnt: "alone", for every device the link that brings it the largest local reward if there
            is no other, as the paper has it; or a method of the problem. By default "alone", with `pairs`
            "local-search".
        instances : int, default 100
            How many are drawn.
        epochs : int, default 200
            Steps of Adam over all of them.
        learning_rate : float, default 0.01
            Of Adam, > 0.
        weight_decay : float, default 5e-4
            Of Adam, >= 0.
        seed : int, default 0
            Of the instances and of the initial weights.
        progress : bool, default True
            Show a bar, on a terminal.

        Returns
        -------
        GraphNetwork
            The same for the same arguments.

        Raises
        ------
        OptionError
            If a name is unknown or a number out of its range.
        ProblemError
            If the scenario has no such table.

        Notes
        -----
        R: numbers of instances, rate and decay are lost in the text; the loss, cross-entropy over the links of a device
        and none, is assumed.
        """
        loaded = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
        name = family or next((known for known in KINDS if known in loaded.problems), "d2d")
        kind = choose("family", name, KINDS)
        if name not in loaded.problems:
            raise ProblemError(f"GraphNetwork: scenario {loaded.name!r} has no table [{name}]: add it")
        if teacher is None:
            teacher = "local-search" if pairs else "alone"
        choose("teacher", teacher, {"alone": None, **kind.methods})
        total, steps = whole("instances", instances), whole("epochs", epochs)
        rate, decay = real("learning_rate", learning_rate), real("weight_decay", weight_decay, zero=True)
        rng = np.random.default_rng(whole("seed", seed, low=0))
        drawn, targets = [], []
        with (
            progress_bar("graph network", total + steps, enabled=progress) as bar,
            torch_threads(1),
            fresh_torch(),
        ):
            for number in range(total):
                problem = loaded.draw(rng).problem(name)
                known = alone(problem)
                drawn.append(features(problem, known, pairs))
                targets.append(lesson(problem, known, teacher, pairs))
                bar(number + 1, "instances")
            inputs = [torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)]
            target = torch.from_numpy(np.stack(targets))
            with OwnNoise(int(rng.integers(2**63))):
                network = Convolutions(inputs[0].shape[-1], inputs[1].shape[-1])
            rule, losses = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay), []
            for epoch in range(steps):
                rule.zero_grad()
                scores = scored(network, *inputs)
                loss = functional.cross_entropy(scores.flatten(0, 1), target.flatten())
                loss.backward()
                rule.step()
                losses.append(loss.item())
                bar(total + epoch + 1, f"loss {losses[-1]:.3f}")
        return cls(network.eval(), name, dict(problem.sizes), pairs, tuple(losses), teacher)

    @torch.no_grad()
    def __call__(self, problem: Any, options: SolveOptions = DEFAULT_OPTIONS) -> Any:
        """Find a graph.

        Parameters
        ----------
        problem : GraphProblem or ClusterGraphProblem
            One instance or a batch, of what it was trained for.
        options : SolveOptions, optional
            Tolerances to judge by.

        Returns
        -------
        GraphSolution or ClusterGraphSolution
            Judged in plain NumPy, without a bound: never "optimal".

        Raises
        ------
        ProblemError
            If the problem is of another kind, or has another number of classes or devices.
        """
        if not isinstance(problem, KINDS[self.family]):
            raise ProblemError(
                f"{self.name}: trained for problems of {self.family!r}, got {shorten(type(problem).__name__)}"
            )
        for axis, length in self.sizes.items():
            if problem.sizes[axis] != length and not (axis == "device" and self.pairs):
                raise ProblemError(
                    f"{self.name}: trained for {length} along the axis {axis!r}, got {problem.sizes[axis]}: fit it "
                    "to a scenario like this problem"
                )
        source = np.empty((*problem.batch_shape, problem.sizes["device"]), np.int64)
        with torch_threads(1), fresh_torch(), torch.no_grad():
            for index, one in instances(problem):
                known = alone(one)
                inputs = [torch.from_numpy(part)[None] for part in features(one, known, self.pairs)]
                source[index] = greedy(one, known, scored(self.network, *inputs)[0].double().numpy())
        found = repair(problem, source=source)["source"]
        return problem.solution_class().judged(
            problem, self.name, found, np.ones(problem.batch_shape), options
        )


def features(problem: Any, known: Alone, pairs: bool) -> tuple[Array, ...]:
    """Say what the network sees of a single instance.

    Parameters
    ----------
    problem : GraphProblem or ClusterGraphProblem
        The instance.
    known : Alone
        Its links by themselves.
    pairs : bool
        Whether links have features of their own.

    Returns
    -------
    nodes : ndarray of float32, shape (N, F)
        Shares of classes, or of clusters with their centroids and traces; without `pairs` also the quantised chances of
        the links from all devices.
    between : ndarray of float32, shape (N, N, G)
        With `pairs` what would arrive and the outage; else empty.
    adjacency : ndarray of float32, shape (N, N)
        Chances of links to work, symmetrised, with loops of 1, normalised on both sides by the roots of their sums.
    usable : ndarray of bool, shape (N, N)
        What may be chosen; see :func:`choices`.
    """
    count = problem.sizes["device"]
    chance = np.where(np.eye(count, dtype=np.bool_), 1.0, 1.0 - problem.outage_probability)
    held = getattr(problem, "counts" if isinstance(problem, ClusterGraphProblem) else "class_counts")
    nodes = [held / np.maximum(held.sum(-1, keepdims=True), 1e-300)]
    if isinstance(problem, ClusterGraphProblem):
        live = (problem.counts > 0)[..., None]
        spread = np.trace(problem.covariances, axis1=-2, axis2=-1)
        size = np.sqrt(max(float(np.mean(problem.centroids**2)), 1e-300))
        nodes += [
            np.where(live, problem.centroids, 0.0).reshape(count, -1) / size,
            spread / max(float(spread.mean()), 1e-300),
        ]
    if pairs:
        scale = max(float(known.moved.max(initial=0.0)), 1e-300)
        between = np.concatenate([known.moved / scale, 1.0 - chance[..., None]], -1)
    else:
        nodes.append(np.minimum(np.floor(chance * LEVELS), LEVELS - 1) / (LEVELS - 1))
        between = np.zeros((count, count, 0))
    near = 0.5 * (chance + chance.T)
    root = np.sqrt(near.sum(-1))
    arrays = (np.concatenate(nodes, -1), between, near / root[:, None] / root)
    return (*(np.asarray(one, np.float32) for one in arrays), choices(known, pairs))


def choices(known: Alone, pairs: bool) -> Array:
    """Tell what a device may choose, (N, N): its links, and on the diagonal none, if there are no links or `pairs`."""
    own = np.eye(len(known.reward), dtype=np.bool_)
    links = np.isfinite(known.reward) & ~own
    return links | own & (pairs | ~links.any(-1, keepdims=True))


def lesson(problem: Any, known: Alone, teacher: str, pairs: bool) -> Array:
    """Return what is to be learnt of each device, (N,): its transmitter, itself for none, or -100 for nothing."""
    if teacher == "alone":
        return np.asarray(np.where(choices(known, pairs), known.reward, -np.inf).argmax(-1), np.int64)
    source, own = problem.solve(teacher).source, np.arange(len(known.reward))
    return np.where(source >= 0, source, np.where(choices(known, pairs)[own, own], own, NOTHING))


def scored(network: Convolutions, nodes: Tensor, pairs: Tensor, adjacency: Tensor, usable: Tensor) -> Tensor:
    """Score links, (B, N, N): 0 for none, on the diagonal; -inf for what may not be chosen."""
    scores = network(nodes, pairs, adjacency)
    none = torch.eye(scores.shape[-1], dtype=torch.bool)
    return scores.masked_fill(none, 0.0).masked_fill(~usable, -torch.inf)


def greedy(problem: Any, known: Alone, scores: Array) -> Array:
    """Read a graph out of the scores of links.

    Parameters
    ----------
    problem : GraphProblem or ClusterGraphProblem
        A single instance.
    known : Alone
        Its links by themselves.
    scores : ndarray, shape (N, N)
        Receiver, transmitter; the diagonal is that of no link. -inf for what may not be chosen.

    Returns
    -------
    ndarray of int64, shape (N,)
        Transmitters: the best links first, one for each device, none that is worse than no link, and none that exceeds
        a budget together with those before it.
    """
    count = len(scores)
    source, spent = np.full(count, -1), np.zeros(count)
    better = scores > np.diag(scores)[:, None]
    order = np.argsort(np.where(better, -scores, np.inf), axis=None, kind="stable")
    for link in order[: int(better.sum())]:
        i, j = divmod(int(link), count)
        cluster = problem.clusters[i]
        if source[i] < 0 and spent[cluster] + known.load[i, j] <= problem.budgets[i] * (1 + 1e-12):
            source[i], spent[cluster] = j, spent[cluster] + known.load[i, j]
    return source
