"""What the D2D methods return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.certify import Certificate
from radioopt.base.options import SolveOptions
from radioopt.base.pictures import no_path
from radioopt.base.quantity import (
    DEVICE,
    Array,
    Quantity,
    quantity,
    unrestricted,
)
from radioopt.d2d.certificate import MOST_GRAPHS, distance, evaluate, exchange, rewards
from radioopt.d2d.exchanged import Exchanged
from radioopt.d2d.graph import POINTS
from radioopt.d2d.links import instances

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure


class GraphSolution(Exchanged):
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

    problem: Any

    @staticmethod
    def worked_out(one: Any, source: Array) -> dict[str, Any]:
        """Work out what moves over a graph of a single instance, and what that is worth."""
        moved = exchange(one, source)
        worth = rewards(one, source, moved)
        return {
            "score": worth.score,
            "device_reward": worth.device,
            "cluster_reward": worth.cluster,
            "inter_cluster_points": worth.inter_cluster_points,
            "transferred": moved.transferred,
            "counts_after": moved.counts_after,
            "objective": worth.objective,
        }

    def _judge(self, options: SolveOptions, most_graphs: int) -> Certificate:
        most = max(MOST_GRAPHS, most_graphs)
        return evaluate(self.problem, options=options, source=self.source, most_graphs=most)

    @property
    def link_outage(self) -> Array:
        """Outage probability of each device's link, 0 where it has none, shape (..., N)."""
        found = np.empty(self.source.shape)
        for index, one in instances(self.problem):
            found[index] = one.links_of(self.source[index])[0]
        return found

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

    def _means(self) -> dict[str, Array]:
        return {
            "mean_distance_before": self.distance_before.mean(-1),
            "mean_distance_after": self.distance_after.mean(-1),
        }

    def _link_columns(self) -> dict[str, Array]:
        return {"distance_before": self.distance_before, "distance_after": self.distance_after}

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw devices, links and diversity before and after; see :func:`radioopt.d2d.plot.plot_graph`."""
        no_path(path)
        from radioopt.d2d.plot import plot_graph

        return plot_graph(self, **options)
