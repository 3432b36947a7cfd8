"""What the kernels know of an instance, and where they keep a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from radioopt.base.quantity import Array
from radioopt.d2d import kernel
from radioopt.d2d.certificate import SLACK, distance

if TYPE_CHECKING:
    from radioopt.d2d.problem import GraphProblem

_METRICS = ("wasserstein", "total-variation", "jensen-shannon")


class Game(NamedTuple):
    """A single instance and a graph as few arrays, which is what makes calls between kernels cheap.

    Parameters
    ----------
    points : ndarray (N + 3, 7, L)
        Of a device and class: held, lacking, from which on it is met, to spare; and of the graph: asked of its
        transmitter, asked of it as a transmitter, and then held. Three rows more are for trials, the first of them
        holds the ideal distribution.
    device : ndarray (N, 10)
        Of a device: its points, its distance from the ideal, its score, the share that arrives of what it is sent,
        its points that count towards a budget. Of the cluster of that number: its budget, its devices, its points in
        two parts, how many devices these belong to.
    links : ndarray of int (N, 5)
        Transmitter of a device, -1 for none; its receivers as a doubly linked list: first, next, previous; its cluster.
    trust : ndarray of bool (N, N, L)
        Transmitter, receiver, class.
    outage : ndarray (N, N)
        Receiver, transmitter.
    numbers : ndarray (9,)
        Weights, classes to be met, and choices.
    """

    points: Array
    device: Array
    links: Array
    trust: Array
    outage: Array
    numbers: Array

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, problem: GraphProblem) -> Self:
        """Prepare a single instance; a kernel enters the graph."""
        count, counts = problem.sizes["device"], problem.class_counts
        ideal = problem.ideal_distribution / problem.ideal_distribution.sum()
        points = np.zeros((count + 3, 7, problem.sizes["class"]))
        points[:count, kernel.COUNTS] = counts
        points[:count, kernel.SURPLUS] = problem.surplus
        points[:count, kernel.DEFICIT] = problem.deficit
        points[:count, kernel.NEEDED] = problem.gate * problem.thresholds - SLACK
        points[count, kernel.COUNTS] = ideal
        device = np.zeros((count, 10))
        device[:, kernel.TOTAL] = counts.sum(-1)
        device[:, kernel.BEFORE] = distance(problem.metric, counts, ideal)
        device[:, kernel.BUDGET] = np.inf
        device[problem.clusters, kernel.BUDGET] = problem.budgets
        device[:, kernel.MEMBERS] = np.bincount(problem.clusters, minlength=count)
        links = np.full((count, 5), -1)
        links[:, kernel.CLUSTER] = problem.clusters
        numbers = np.array(
            [
                problem.diversity_weight,
                problem.outage_weight,
                problem.cluster_weight,
                problem.budget_penalty,
                problem.min_classes,
                _METRICS.index(problem.metric),
                problem.score == "change",
                problem.budgeted == "received",
                problem.request == "compensated",
            ],
            np.float64,
        )
        return cls(points, device, links, problem.trust, problem.outage_probability, numbers)
