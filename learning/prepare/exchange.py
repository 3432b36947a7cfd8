"""Exchange: devices send each other samples before the first round, over a graph that is found first."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.options import choose, real, shipped_with, whole
from learning.prepare.base import Preparation, Prepared
from learning.prepare.costs import upload
from learning.prepare.graph_network import GraphNetwork
from learning.prepare.subspace import IntArray, Subspace, distributed_pca, find_clusters, target_groups
from learning.radio.base import Radio
from learning.radio.links import Links
from learning.streams import Streams
from learning.task import Task
from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten
from radioopt.d2d import ClusterGraphProblem, GraphProblem, cluster_message_bits, label_message_bits
from radioopt.d2d.scenario import link_snr
from radioopt.scenario import Devices, Scenario

#: methods that decide without a word from another device
SILENT = ("closest", "most-trusted", "uniform", "none")
#: networks at the server that are trained for the scenario; the second sees what links would move
LEARNT = ("gcn", "gcn-pairs")
BITS = 32.0


@dataclass(frozen=True)
class _Exchange(Preparation):
    """What an exchange by labels and one by clusters have in common."""

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        """Refuse options that are out of range."""
        given: Any = self
        if not callable(given.method):
            known = {name: name for name in (*self._problem().methods, *LEARNT)}
            choose("method", given.method, known, "a function (problem) -> solution")
        whole("edges", given.edges)
        real("bits_per_number", given.bits_per_number)
        real("amplifier_efficiency", given.amplifier_efficiency, high=1.0, closed=True)
        real("circuit_power_w", given.circuit_power_w, zero=True)

    @staticmethod
    @abstractmethod
    def _problem() -> Any:
        """Class of the problem."""

    def _pose(self, devices: Devices) -> Any:
        """Let the scenario pose the problem, whose data are not those of the devices yet."""
        family = self._problem().family
        if family not in devices.scenario.problems:
            raise ProblemError(
                f"{type(self).__name__}: scenario {devices.scenario.name!r} has no table [{family}], which says who "
                f"trusts whom and how links are: add it{shipped_with(devices.scenario, family)}"
            )
        return devices.problem(family)

    def _links(self, devices: Devices, problem: Any) -> Links:
        """Links between the devices at the places that were drawn with the problem."""
        given: Any = self
        settings: Any = devices.scenario.problems[self._problem().family]
        snr = link_snr(devices, problem.position_m, settings.min_link_m)
        return Links(
            devices,
            snr,
            amplifier_efficiency=given.amplifier_efficiency,
            circuit_power_w=given.circuit_power_w,
        )

    def _solver(self, scenario: Scenario, streams: Streams) -> Callable[[Any], Any]:
        """Return how a graph is found, by a network that is trained for the scenario if that is asked for."""
        given: Any = self
        if isinstance(given.method, str) and given.method not in LEARNT:
            return lambda problem: problem.solve(given.method)
        find = given.method
        if isinstance(find, str):
            seed = int(streams.at("prepare/graph-network").integers(2**31))
            find = GraphNetwork.fit(
                scenario,
                family=self._problem().family,
                pairs=find == LEARNT[1],
                seed=seed,
                progress=False,
            )

        def found(problem: Any) -> Any:
            solution = find(problem)
            if not isinstance(solution, problem.solution_class()):
                raise ProblemError(
                    f"{type(self).__name__}: method: expected a function that returns a solution of the problem, as "
                    f"problem.judge(source=...) is one; got {shorten(solution)}"
                )
            problem.judge(
                source=solution.source
            )  # refuses links that are not allowed, and other numbers of devices
            i, kind = np.nonzero((solution.transferred > 0) & (solution.source >= 0)[:, None])
            if not (trusted := problem.trust[solution.source[i], i, kind]).all():
                at = np.argmin(trusted)
                raise ProblemError(
                    f"{type(self).__name__}: method: device {solution.source[i[at]]} does not trust device {i[at]} "
                    f"with kind {kind[at]}, which the graph sends: solve the problem that the function is given"
                )
            return solution

        return found

    def _trials(self, solution: Any) -> float:
        """Links that each device tries to find the graph: each once, one a step, or none."""
        if solution.method in SILENT:
            return 0.0
        if solution.method in LEARNT:
            return 1.0
        return float(solution.iterations) if solution.method == "q-learning" else len(solution.source) - 1.0


def move(
    parts: list[IntArray], kinds: list[IntArray], solution: Any, rng: np.random.Generator
) -> tuple[list[IntArray], list[tuple[int, int, int, int, int]]]:
    """Move whole samples over the links of a solution.

    Parameters
    ----------
    parts : list of N ndarrays of int64
        Rows of the samples that each device holds.
    kinds : list of N ndarrays of int64
        Class or cluster of each of them, on its device.
    solution : GraphSolution or ClusterGraphSolution
        Who sends how much to whom.
    rng : numpy.random.Generator
        Chooses samples, and which of them are lost: each with the outage of the link.

    Returns
    -------
    parts : list of N ndarrays of int64
        What each device then holds: what it kept, in its order, and what arrived.
    moves : list of tuples
        Receiver, transmitter, kind, samples sent and samples that arrived.
    """
    whole_points, outage = solution.whole_points(), solution.link_outage
    gone = [np.zeros(part.size, np.bool_) for part in parts]
    arrived: list[list[IntArray]] = [[] for _ in parts]
    moves = []
    for i, j in enumerate(solution.source.tolist()):
        for kind in np.flatnonzero(whole_points[i]).tolist() if j >= 0 else []:
            left = np.flatnonzero((kinds[j] == kind) & ~gone[j])
            sent = rng.permutation(left)[: whole_points[i, kind]]
            gone[j][sent] = True
            there = rng.random(sent.size) >= outage[i]
            arrived[i].append(parts[j][np.sort(sent[there])])
            moves.append((i, j, kind, sent.size, int(there.sum())))
    kept = [np.concatenate([part[~lost], *new]) for part, lost, new in zip(parts, gone, arrived, strict=True)]
    return kept, moves


@dataclass(frozen=True)
class Exchange(_Exchange):
    """Let devices send each other samples of classes that they lack, over the graph of :class:`d2d.GraphProblem`.

    Parameters
    ----------
    method : str or callable, default "local-search"
        How the graph is found: any method of the problem, the baselines too; "gcn" or "gcn-pairs", a
        :class:`GraphNetwork` that is trained for the scenario; or a function from the problem to a solution of it.
    edges : int, default 1
        Graphs, one after the other: transmitters that a device receives from at most.
    bits_per_number : float, default 8
        Size of a number of a sample > 0 [bit]; a label is not charged.
    targets : {"quantiles", "gaps"}, default "quantiles"
        What stands for classes of the first target in a regression: :func:`~learning.prepare.subspace.target_groups`.
    amplifier_efficiency : float, default 0.5
        Share of the amplifier's power that is radiated, in (0, 1].
    circuit_power_w : float, default 0.1
        Power of the electronics while sending >= 0 [W].

    Raises
    ------
    OptionError
        If there is no such method, or a number is out of its range.
    ProblemError
        If the scenario has no table [d2d] or one for another number of classes, or a device would be left without any
        samples.

    Notes
    -----
    The table [d2d] says who trusts whom with which class, how many samples of each class a device wants, and how links
    are; how many it has is counted. Transfers are rounded to whole samples by largest remainders, each is lost with the
    outage of its link, and transmitters give up what they sent, lost or not. Row 0 of the table of rounds has seconds
    and joules of the samples and of the messages that found the graph: every device tries every link once, by
    Q-learning one in each step, by the baselines none; to a network at the server each device sends one message.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Algorithm 1; the energy model is R.

    Examples
    --------
    >>> import learning
    >>> from radioopt import Scenario
    >>> table = Scenario.load("d2d").to_dict()["d2d"]
    >>> cell = Scenario.from_dict({**Scenario.load("feel-cpu").to_dict(), "d2d": table | {"threshold": 20}})
    >>> result = learning.train(cell, scheme="fedavg", partition="shards", before=[Exchange()], rounds=1)
    >>> moved = result.prepared[0].to_frame()
    >>> bool((moved["arrived"] <= moved["sent"]).all()), result.ledger.before.seconds > 0
    (True, True)
    """

    method: Any = "local-search"
    edges: int = 1
    bits_per_number: float = 8.0
    targets: str = "quantiles"
    amplifier_efficiency: float = 0.5
    circuit_power_w: float = 0.1

    def __post_init__(self) -> None:
        self._check()
        choose("targets", self.targets, {"quantiles": 0, "gaps": 1}, "one of these")

    @staticmethod
    def _problem() -> Any:
        return GraphProblem

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Exchange samples; see :meth:`Preparation.__call__`."""
        problem = self._pose(devices)
        links, classes = self._links(devices, problem), problem.sizes["class"]
        parts, rng = list(task.parts), task.streams.at("prepare/exchange")
        solve = self._solver(devices.scenario, task.streams)
        kind_of = self._kinds(task, classes)
        total, rows = _Total(self.bits_per_number * math.prod(task.data.sample_shape)), []
        for edge in range(self.edges):
            kinds = kind_of(parts)
            counts = np.stack([np.bincount(own, minlength=classes) for own in kinds])
            problem = problem.replace(class_counts=counts, strict=None)
            solution = solve(problem)
            parts, moves = move(parts, kinds, solution, rng)
            total.add(links, solution.source, moves)
            total.talked(links, label_message_bits(classes), self._trials(solution))
            rows += [(edge, *one) for one in moves]
            used = solution.source[:, None] == np.arange(len(parts))
            problem = problem.replace(allowed=problem.allowed & ~used, strict=None)
        return total.prepared(task, parts, rows, "class")

    def _kinds(self, task: Task, classes: int) -> Any:
        """Return what tells the classes of all devices' samples."""
        data = task.data
        if data.regression:
            y = data.train_y[:, 0]

            def groups(parts: list[IntArray]) -> list[IntArray]:
                return list(target_groups([y[part] for part in parts], classes, self.targets))

            return groups
        if data.num_classes != classes:
            raise ProblemError(
                f"Exchange: d2d.num_classes: expected {data.num_classes}, the classes of the data, got {classes}"
            )
        return lambda parts: [data.train_y[part] for part in parts]


@dataclass(frozen=True)
class ExchangeClusters(_Exchange):
    """Let devices send each other samples by clusters, without labels: the graph of :class:`d2d.ClusterGraphProblem`.

    Parameters
    ----------
    method : str or callable, default "local-search"
        How the graph is found: any method of the problem, the baselines too; "gcn" or "gcn-pairs", a
        :class:`GraphNetwork` that is trained for the scenario; or a function from the problem to a solution of it.
    edges : int, default 2
        Graphs, one after the other; devices sort their samples anew before each.
    components : int, default 8
        Dimensions >= 1 of the common subspace, which distributed PCA finds once.
    bits_per_number : float, default 8
        Size of a number of a sample > 0 [bit].
    amplifier_efficiency : float, default 0.5
        Share of the amplifier's power that is radiated, in (0, 1].
    circuit_power_w : float, default 0.1
        Power of the electronics while sending >= 0 [W].

    Raises
    ------
    OptionError
        If there is no such method, or a number is out of its range.
    ProblemError
        If the scenario has no table [d2d-clusters], or a device would be left without any samples.

    Notes
    -----
    The table [d2d-clusters] says how many clusters devices make, how many samples they request and keep, who trusts
    whom, and how links are; where the clusters are is found by K-means on each device. Samples move as by
    :class:`Exchange`; the subspace is charged as by :class:`PropagateLabels`.

    References
    ----------
    S. Wagle et al., Algorithm 2.
    """

    method: Any = "local-search"
    edges: int = 2
    components: int = 8
    bits_per_number: float = 8.0
    amplifier_efficiency: float = 0.5
    circuit_power_w: float = 0.1

    def __post_init__(self) -> None:
        self._check()
        whole("components", self.components)

    @staticmethod
    def _problem() -> Any:
        return ClusterGraphProblem

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Exchange samples; see :meth:`Preparation.__call__`."""
        problem = self._pose(devices)
        links, groups = self._links(devices, problem), problem.sizes["group"]
        parts, rng = list(task.parts), task.streams.at("prepare/exchange")
        x, size = task.data.train_x, math.prod(task.data.sample_shape)
        total, rows = _Total(self.bits_per_number * size), []
        dimensions = min(self.components, size)
        space = distributed_pca([x[part] for part in parts], dimensions)
        solve = self._solver(devices.scenario.replace({"d2d-clusters.dimensions": dimensions}), task.streams)
        total.subspace(space, devices, radio, task.streams.at("prepare/subspace"))
        for edge in range(self.edges):
            rngs = [task.streams.at("prepare/kmeans", edge, device) for device in range(len(parts))]
            found = find_clusters([space.project(x[part]) for part in parts], groups, rngs)
            kinds = list(found.labels)
            problem = problem.replace(
                counts=found.counts, centroids=found.centroids, covariances=found.covariances, strict=None
            )
            solution = solve(problem)
            parts, moves = move(parts, kinds, solution, rng)
            total.add(links, solution.source, moves)
            bits = cluster_message_bits(found.centroids.shape[-1], groups)
            total.talked(links, bits, self._trials(solution))
            rows += [(edge, *one) for one in moves]
            used = solution.source[:, None] == np.arange(len(parts))
            problem = problem.replace(allowed=problem.allowed & ~used, strict=None)
        return total.prepared(task, parts, rows, "cluster")


class _Total:
    """Seconds, joules and bits of an exchange, with samples of so many bits."""

    def __init__(self, sample_bits: float) -> None:
        self.sample_bits, self.seconds, self.joules, self.up, self.down = sample_bits, 0.0, 0.0, 0.0, 0.0

    def add(self, links: Links, source: IntArray, moves: list[tuple[int, int, int, int, int]]) -> None:
        """Charge samples that were sent, arrived or not."""
        bits = np.zeros(len(source))
        for i, _, _, sent, _ in moves:
            bits[i] += self.sample_bits * sent
        seconds, joules = links.send(bits, source)
        self.seconds, self.joules = self.seconds + seconds, self.joules + joules

    def talked(self, links: Links, bits: float, trials: float) -> None:
        """Charge messages that found a graph."""
        seconds, joules = links.talk(bits, trials)
        self.seconds, self.joules = self.seconds + seconds, self.joules + joules

    def subspace(self, space: Subspace, devices: Devices, radio: Radio, rng: np.random.Generator) -> None:
        """Charge what found the common subspace."""
        up, down = BITS * space.uplink_numbers, BITS * space.downlink_numbers
        seconds, joules = upload(up, devices)
        delivery = radio.deliver(down, devices, rng)
        if not delivery.received.all():
            lost = int(np.argmin(delivery.received))
            raise ProblemError(f"ExchangeClusters: the subspace did not reach device {lost}")
        self.seconds, self.joules = self.seconds + seconds + delivery.seconds, self.joules + joules
        self.up, self.down = self.up + up, self.down + down

    def prepared(
        self, task: Task, parts: list[IntArray], rows: Sequence[tuple[int, ...]], kind: str
    ) -> Prepared:
        """Put the task together, and the table of what moved."""
        empty = [device for device, part in enumerate(parts) if not part.size]
        if empty:
            raise ProblemError(
                f"exchange: device {empty[0]} gave away all its samples: let devices keep more, by threshold"
            )
        names = ("edge", "receiver", "transmitter", kind, "sent", "arrived")
        table: NDArray[np.int64] = np.array(rows, np.int64).reshape(-1, len(names))
        return Prepared(
            task.replace(parts=tuple(parts)), seconds=self.seconds, energy_j=self.joules, uplink_bits=self.up,
            downlink_bits=self.down, record=dict(zip(names, table.T.copy(), strict=True)),
        )  # fmt: skip
