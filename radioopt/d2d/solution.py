"""What the D2D methods return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from radioopt.base.certify import Certificate, certify
from radioopt.base.judge import Limit
from radioopt.base.options import SolveOptions
from radioopt.base.pictures import no_path
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Axes,
    BlockKey,
    Quantity,
    quantity,
    unrestricted,
)
from radioopt.base.solution import Solution
from radioopt.base.status import Status
from radioopt.d2d.certificate import MOST_GRAPHS, distance, evaluate, exchange, instances, rewards
from radioopt.d2d.graph import POINTS

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    from matplotlib.figure import Figure


class GraphSolution(Solution):
    """A transmitter for each device, with what moves and what that is worth.

    Attributes
    ----------
    source : ndarray of int64, shape (..., N)
        Transmitter of each device, -1 for none.
    transferred : ndarray, shape (..., N, L)
        Points that its transmitter sends a device, of which 1 - P arrive.
    counts_after : ndarray, shape (..., N, L)
        Points of each class that each device has afterwards; real numbers, see :meth:`whole_points`.
    score : ndarray, shape (..., N)
        What the exchange does to each device, S.
    device_reward : ndarray, shape (..., N)
        Local reward r.
    cluster_reward : ndarray, shape (..., N)
        Reward R_H of each device's cluster.
    inter_cluster_points : ndarray, shape (..., N)
        Points b_H that count towards the budget of each device's cluster.
    """

    score: Quantity = quantity("1", unrestricted, DEVICE, "score of the data", symbol="S")
    device_reward: Quantity = quantity("1", unrestricted, DEVICE, "local reward", symbol="r")
    cluster_reward: Quantity = quantity("1", unrestricted, DEVICE, "reward of the cluster", symbol="R_H")
    inter_cluster_points: Quantity = quantity(
        "points", unrestricted, DEVICE, "points towards the budget", symbol="b_H"
    )
    source: Quantity = quantity("1", unrestricted, DEVICE, "transmitter", symbol="a", dtype=np.int64)
    transferred: Quantity = quantity("points", unrestricted, POINTS, "points sent to it", symbol="theta")
    counts_after: Quantity = quantity("points", unrestricted, POINTS, "points afterwards", symbol="d'")

    decisions: ClassVar[tuple[str, ...]] = ("source",)
    objective_name: ClassVar[str] = "sum of all devices' rewards"
    problem: Any

    @classmethod
    @np.errstate(all="ignore")
    def judged(
        cls,
        problem: Any,
        method: str,
        source: Array,
        iterations: Array,
        options: SolveOptions,
        *,
        proven: Array | bool = False,
        stopped: Array | bool = False,
    ) -> Self:
        """Evaluate graphs of shape (..., N) in plain NumPy and judge them.

        Parameters
        ----------
        problem : GraphProblem or SparseGraphProblem
            The question.
        method : str
            The method that found them.
        source : ndarray of int, shape (..., N)
            The graphs.
        iterations : ndarray of int, shape (...)
            What the method counts.
        options : SolveOptions
            Tolerances.
        proven : ndarray of bool, shape (...), default False
            Whether every graph was tried, so that the objective is its own bound.
        stopped : ndarray of bool, shape (...), default False
            Whether the iterations ran out.

        Returns
        -------
        GraphSolution
            Without a proof the bound is infinite, and so is the gap.
        """
        shape = (*problem.batch_shape, problem.sizes["device"])
        device, points = np.empty((4, *shape)), np.empty((2, *shape, problem.sizes["class"]))
        objective = np.empty(shape[:-1])
        for index, one in instances(problem):
            moved = exchange(one, source[index])
            worth = rewards(one, source[index], moved)
            at: Any = (slice(None), *index)
            device[at] = worth.score, worth.device, worth.cluster, worth.inter_cluster_points
            points[at] = moved.transferred, moved.counts_after
            objective[index] = worth.objective
        objective = np.where(np.isneginf(objective), np.nan, objective)
        bound = np.where(proven, objective, np.inf)
        gap, status = certify(
            objective,
            bound,
            np.zeros_like(objective),
            sense=problem.sense,
            scale=problem.scale,
            options=options,
        )
        status = np.where(
            np.asarray(stopped) & (status == int(Status.FEASIBLE)), int(Status.ITERATION_LIMIT), status
        )
        whole = np.dtype(np.int64).char
        blocks: dict[BlockKey, Array] = {
            BlockKey(DEVICE): device,
            BlockKey(DEVICE, whole): np.array(source, np.int64).reshape(1, *shape),
            BlockKey(POINTS): points,
            BlockKey(PER_INSTANCE): np.stack([objective, bound, gap]),
            BlockKey(PER_INSTANCE, whole): np.stack([np.broadcast_to(iterations, shape[:-1]), status]).astype(
                np.int64
            ),
        }
        return cls(problem, method, blocks)

    def follows(self) -> dict[str, Any]:
        """Return what moves over the graph, links that are not allowed left out, and what that is worth."""
        from radioopt.d2d.certificate import legal

        chosen, _ = legal(self.problem, self.source)
        names = (
            "score",
            "device_reward",
            "cluster_reward",
            "inter_cluster_points",
            "transferred",
            "counts_after",
        )
        found = {name: np.full(getattr(self, name).shape, np.nan) for name in names}
        for index, one in instances(self.problem):
            moved = exchange(one, chosen[index])
            worth = rewards(one, chosen[index], moved)
            each = worth.score, worth.device, worth.cluster, worth.inter_cluster_points
            for name, value in zip(names, (*each, moved.transferred, moved.counts_after), strict=True):
                found[name][index] = value
        return found

    def limits(self) -> list[Limit]:
        """Return which transmitters a device may have, and that nothing enters a cluster with a budget of 0."""
        from radioopt.d2d.certificate import legal

        count = self.problem.sizes["device"]
        chosen, _ = legal(self.problem, self.source)
        known = f"-1, or another device 0 ... {count - 1} whose link is allowed"
        forbidden = (self.problem.budgets <= 0) & (self.inter_cluster_points > 0)
        return [
            Limit("source", chosen == self.source, choices=known),
            Limit("source", ~forbidden, choices="no link from outside into a cluster with a budget of 0"),
        ]

    def _measured(self, options: SolveOptions) -> Certificate:
        """Judge the graph alone; what an enumeration proved is proven anew, by as many graphs."""
        tried = int(np.max(self.iterations, initial=0)) if self.method == "enumerate" else 0
        most_graphs = max(MOST_GRAPHS, tried)
        return evaluate(self.problem, options=options, source=self.source, most_graphs=most_graphs)

    @property
    def link_outage(self) -> Array:
        """Outage probability of each device's link, 0 where it has none, shape (..., N)."""
        found = np.empty(self.source.shape)
        for index, one in instances(self.problem):
            found[index] = one.links_of(self.source[index])[0]
        return found

    @property
    @np.errstate(all="ignore")
    def received(self) -> Array:
        """Points that arrive at each device, shape (..., N, L)."""
        return np.asarray((1.0 - self.link_outage[..., None]) * self.transferred)

    @property
    def distance_before(self) -> Array:
        """Distance of each device's data from the ideal, in the problem's metric, shape (..., N)."""
        return self._distance(self.problem.class_counts)

    @property
    def distance_after(self) -> Array:
        """The same after the exchange, shape (..., N)."""
        return self._distance(self.counts_after)

    def _distance(self, counts: Array) -> Array:
        return distance(self.problem.metric, counts, np.expand_dims(self.problem.ideal_distribution, -2))

    @np.errstate(all="ignore")
    def whole_points(self) -> Array:
        """Round what is transferred to whole points, shape (..., N, L), nobody's surplus exceeded.

        Returns
        -------
        ndarray of int64
            By largest remainders for each transmitter and class: their sum is that of ``transferred``, rounded down.
        """
        from radioopt.d2d.rounding import whole_points

        return whole_points(self.source, self.transferred)

    def graph(self) -> networkx.DiGraph:
        """Return a single instance's graph for networkx; needs the extra ``plot``.

        Returns
        -------
        networkx.DiGraph
            An edge from each transmitter to its receiver with ``points`` transferred, ``outage`` and ``trust``, the
            share of classes trusted with; nodes with ``cluster``, ``distance_before`` and ``distance_after``.

        Raises
        ------
        ProblemError
            If the solution is a batch.
        MissingExtraError
            If networkx is not installed.
        """
        from radioopt.d2d.plot import graph_of

        return graph_of(self)

    def summary(self) -> dict[str, Any]:
        """Return the per-instance quantities with the number of links, points transferred and mean distances."""
        return super().summary() | {name: float(value) for name, value in self._means().items()}

    @np.errstate(all="ignore")
    def _means(self) -> dict[str, Array]:
        return {
            "links": (self.source >= 0).sum(-1),
            "points_transferred": self.transferred.sum((-1, -2)),
            "points_received": self.received.sum((-1, -2)),
            "mean_distance_before": self.distance_before.mean(-1),
            "mean_distance_after": self.distance_after.mean(-1),
        }

    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per device, with its link and its data before and after; or per instance, with their means."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            frame["link_outage"] = np.ravel(self.link_outage)
            frame["points_received"] = np.ravel(self.received.sum(-1))
            frame["distance_before"] = np.ravel(self.distance_before)
            frame["distance_after"] = np.ravel(self.distance_after)
            first = ["source", "link_outage", "points_received", "distance_before", "distance_after"]
            frame = frame[first + [name for name in frame.columns if name not in first]]
        elif axes == PER_INSTANCE:
            for name, value in self._means().items():
                frame[name] = np.ravel(value)
        return frame

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw devices, links and diversity before and after; see :func:`radioopt.d2d.plot.plot_graph`."""
        no_path(path)
        from radioopt.d2d.plot import plot_graph

        return plot_graph(self, **options)
