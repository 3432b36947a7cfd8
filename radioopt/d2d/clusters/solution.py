"""What the methods of D2D without labels return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.certify import Certificate
from radioopt.base.options import SolveOptions
from radioopt.base.pictures import no_path
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Quantity,
    quantity,
    unrestricted,
)
from radioopt.d2d.clusters.certificate import MOST_GRAPHS, evaluate, exchange, rewards
from radioopt.d2d.clusters.problem import GROUPS, ClusterGraphProblem
from radioopt.d2d.exchanged import Exchanged

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure


class ClusterGraphSolution(Exchanged):
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

    problem: ClusterGraphProblem

    @staticmethod
    def worked_out(one: Any, source: Array) -> dict[str, Any]:
        """Work out what moves over a graph of a single instance, and what that is worth."""
        moved = exchange(one, source)
        worth = rewards(one, source, moved)
        return {
            "gain": worth.gain,
            "device_reward": worth.device,
            "cluster_reward": worth.cluster,
            "inter_cluster_points": worth.inter_cluster_points,
            "transferred": moved.transferred,
            "counts_after": moved.counts_after,
            "system_agreement": worth.agreement,
            "objective": worth.objective,
        }

    def _judge(self, options: SolveOptions, most_graphs: int) -> Certificate:
        most = max(MOST_GRAPHS, most_graphs)
        return evaluate(self.problem, options=options, source=self.source, most_graphs=most)

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

    def _means(self) -> dict[str, Array]:
        return {"mean_gain": self.gain.mean(-1)}

    def _link_columns(self) -> dict[str, Array]:
        return {"gain": self.gain}

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw devices, links and clusters before and after; see :func:`radioopt.d2d.clusters.plot.plot_clusters`."""
        no_path(path)
        from radioopt.d2d.clusters.plot import plot_clusters

        return plot_clusters(self, **options)
