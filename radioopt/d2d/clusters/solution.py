"""What the methods of D2D without labels return."""

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
from radioopt.d2d.clusters.certificate import MOST_GRAPHS, evaluate, exchange, instances, legal, rewards
from radioopt.d2d.clusters.problem import GROUPS, ClusterGraphProblem

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    from matplotlib.figure import Figure


class ClusterGraphSolution(Solution):
    """A transmitter for each device, with what moves between clusters and what that is worth.

    Attributes
    ----------
    source : ndarray of int64, shape (..., N)
        Transmitter of each device, -1 for none.
    transferred : ndarray, shape (..., N, k)
        Points of each of its transmitter's clusters that a device is sent, of which 1 - P arrive.
    counts_after : ndarray, shape (..., N, k)
        Points of each of a device's own clusters afterwards; :meth:`clusters_after` has the moments too.
    gain : ndarray, shape (..., N)
        Relative growth G of what its data cover.
    device_reward : ndarray, shape (..., N)
        Local reward r.
    cluster_reward : ndarray, shape (..., N)
        Reward R_H of each device's cluster.
    inter_cluster_points : ndarray, shape (..., N)
        Points b_H that count towards the budget of each device's cluster.
    system_agreement : float or ndarray (...)
        SA, by how much all devices' clusters agree more.
    """

    gain: Quantity = quantity("1", unrestricted, DEVICE, "growth of what data cover", symbol="G")
    device_reward: Quantity = quantity("1", unrestricted, DEVICE, "local reward", symbol="r")
    cluster_reward: Quantity = quantity("1", unrestricted, DEVICE, "reward of the cluster", symbol="R_H")
    inter_cluster_points: Quantity = quantity(
        "points", unrestricted, DEVICE, "points towards the budget", symbol="b_H"
    )
    source: Quantity = quantity("1", unrestricted, DEVICE, "transmitter", symbol="a", dtype=np.int64)
    transferred: Quantity = quantity("points", unrestricted, GROUPS, "points sent to it", symbol="theta")
    counts_after: Quantity = quantity("points", unrestricted, GROUPS, "points afterwards", symbol="d'")
    system_agreement: Quantity = quantity("1", unrestricted, PER_INSTANCE, "system agreement", symbol="SA")

    decisions: ClassVar[tuple[str, ...]] = ("source",)
    objective_name: ClassVar[str] = "sum of all devices' rewards"
    problem: ClusterGraphProblem

    @classmethod
    def judged(
        cls,
        problem: ClusterGraphProblem,
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
        problem : ClusterGraphProblem
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
        ClusterGraphSolution
            Without a proof the bound is infinite, and so is the gap.
        """
        shape = (*problem.batch_shape, problem.sizes["device"])
        device, points = np.empty((4, *shape)), np.empty((2, *shape, problem.sizes["group"]))
        objective, agreement = np.empty(shape[:-1]), np.empty(shape[:-1])
        for index, one in instances(problem):
            moved = exchange(one, source[index])
            worth = rewards(one, source[index], moved)
            at: Any = (slice(None), *index)
            device[at] = worth.gain, worth.device, worth.cluster, worth.inter_cluster_points
            points[at] = moved.transferred, moved.counts_after
            objective[index], agreement[index] = worth.objective, worth.agreement
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
        ended = np.asarray(stopped) & (status == int(Status.FEASIBLE))
        status = np.where(ended, int(Status.ITERATION_LIMIT), status)
        whole = np.dtype(np.int64).char
        counted = np.stack([np.broadcast_to(iterations, shape[:-1]), status])
        blocks: dict[BlockKey, Array] = {
            BlockKey(DEVICE): device,
            BlockKey(DEVICE, whole): np.array(source, np.int64).reshape(1, *shape),
            BlockKey(GROUPS): points,
            BlockKey(PER_INSTANCE): np.stack([objective, bound, gap, agreement]),
            BlockKey(PER_INSTANCE, whole): counted.astype(np.int64),
        }
        return cls(problem, method, blocks)

    def follows(self) -> dict[str, Any]:
        """Return what moves over the graph, links that are not allowed left out, and what that is worth."""
        chosen, _ = legal(self.problem, self.source)
        names = (
            "gain",
            "device_reward",
            "cluster_reward",
            "inter_cluster_points",
            "transferred",
            "counts_after",
            "system_agreement",
        )
        found = {name: np.full(np.shape(getattr(self, name)), np.nan) for name in names}
        for index, one in instances(self.problem):
            moved = exchange(one, chosen[index])
            worth = rewards(one, chosen[index], moved)
            each = worth.gain, worth.device, worth.cluster, worth.inter_cluster_points
            rest = moved.transferred, moved.counts_after, worth.agreement
            for name, value in zip(names, (*each, *rest), strict=True):
                found[name][index] = value
        return found

    def limits(self) -> list[Limit]:
        """Return which transmitters a device may have, and that nothing enters a cluster with a budget of 0."""
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

    def clusters_after(self, update: str | None = None) -> tuple[Array, Array, Array]:
        """Return the clusters of all devices after the exchange.

        Parameters
        ----------
        update : {"merge", "resample"}, optional
            Another way to update them than the problem's: a graph that was decided by moments may be reported by
            resampling.

        Returns
        -------
        counts : ndarray, shape (..., N, k)
            Points.
        centroids : ndarray, shape (..., N, k, t)
            Centres.
        covariances : ndarray, shape (..., N, k, t, t)
            Covariances.
        """
        problem = self.problem if update is None else self.problem.replace(update=update)
        found = problem.after(self.source)
        return found.counts, found.centroids, found.covariances

    @property
    def link_outage(self) -> Array:
        """Outage probability of each device's link, 0 where it has none, shape (..., N)."""
        j = np.maximum(self.source, 0)[..., None]
        lost = np.take_along_axis(self.problem.outage_probability, j, -1)[..., 0]
        return np.where(self.source >= 0, lost, 0.0)

    @property
    def received(self) -> Array:
        """Points that arrive at each device, shape (..., N, k)."""
        return np.asarray((1.0 - self.link_outage[..., None]) * self.transferred)

    def whole_points(self) -> Array:
        """Round what is transferred to whole points, shape (..., N, k), nobody's surplus exceeded.

        Returns
        -------
        ndarray of int64
            By largest remainders for each transmitter and cluster: their sum is that of ``transferred``, rounded down.
        """
        from radioopt.d2d.rounding import whole_points

        return whole_points(self.source, self.transferred)

    def graph(self) -> networkx.DiGraph:
        """Return a single instance's graph for networkx; needs the extra ``plot``.

        Returns
        -------
        networkx.DiGraph
            An edge from each transmitter to its receiver with ``points`` transferred, ``outage`` and ``trust``, the
            share of clusters trusted with; nodes with ``cluster`` and ``gain``.

        Raises
        ------
        ProblemError
            If the solution is a batch.
        MissingExtraError
            If networkx is not installed.
        """
        from radioopt.d2d.clusters.plot import graph_of

        return graph_of(self)

    def summary(self) -> dict[str, Any]:
        """Return the per-instance quantities with the number of links, points transferred and the mean gain."""
        return super().summary() | {name: float(value) for name, value in self._means().items()}

    def _means(self) -> dict[str, Array]:
        return {
            "links": (self.source >= 0).sum(-1),
            "points_transferred": self.transferred.sum((-1, -2)),
            "points_received": self.received.sum((-1, -2)),
            "mean_gain": self.gain.mean(-1),
        }

    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per device, with its link and what it receives; or per instance, with their means."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            frame["link_outage"] = np.ravel(self.link_outage)
            frame["points_received"] = np.ravel(self.received.sum(-1))
            first = ["source", "link_outage", "points_received", "gain"]
            frame = frame[first + [name for name in frame.columns if name not in first]]
        elif axes == PER_INSTANCE:
            for name, value in self._means().items():
                frame[name] = np.ravel(value)
        return frame

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw devices, links and clusters before and after; see :func:`radioopt.d2d.clusters.plot.plot_clusters`."""
        no_path(path)
        from radioopt.d2d.clusters.plot import plot_clusters

        return plot_clusters(self, **options)
