"""What the kernels know of an instance, and where they keep a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from radioopt.base.quantity import Array
from radioopt.d2d import kernel
from radioopt.d2d.certificate import SLACK, distance
from radioopt.d2d.graph import METRICS

if TYPE_CHECKING:
    from radioopt.d2d.graph import Graph


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
    links : ndarray of int (N, 7)
        Transmitter of a device, -1 for none; its receivers as a doubly linked list: first, next, previous; its cluster;
        the number of the link to its transmitter. Of the cluster of that number: a mark.
    first : ndarray of int (N + 1,)
        Where the links to a device begin, and to the next.
    transmitter : ndarray of int (E,)
        Of each link.
    losses : ndarray (E,)
        Outage of each link.
    asks : ndarray of bool (E, L)
        Whether the receiver may ask for points of the class over the link, which the transmitter has to spare.
    numbers : ndarray (9,)
        Weights, classes to be met, and choices.
    """

    points: Array
    device: Array
    links: Array
    first: Array
    transmitter: Array
    losses: Array
    asks: Array
    numbers: Array

    @classmethod
    @np.errstate(all="ignore")
    def of(
        cls,
        problem: Graph,
        links: tuple[Array, Array, Array, Array],
        order: Array | slice = slice(None),
    ) -> Self:
        """Prepare a single instance and its links, ``first`` to ``asks``; a kernel enters the graph.

        ``order`` is the device of every number that the links are about, where devices are numbered anew.
        """
        count, counts = problem.sizes["device"], problem.class_counts[order]
        ideal = problem.ideal_distribution / problem.ideal_distribution.sum()
        points = np.zeros((count + 3, 7, problem.sizes["class"]))
        points[:count, kernel.COUNTS] = counts
        points[:count, kernel.SURPLUS] = problem.surplus[order]
        points[:count, kernel.DEFICIT] = problem.deficit[order]
        points[:count, kernel.NEEDED] = (problem.gate * problem.thresholds - SLACK)[order]
        points[count, kernel.COUNTS] = ideal
        device = np.zeros((count, 10))
        device[:, kernel.TOTAL] = counts.sum(-1)
        device[:, kernel.BEFORE] = distance(problem.metric, counts, ideal)
        device[:, kernel.BUDGET] = np.inf
        device[problem.clusters, kernel.BUDGET] = problem.budgets
        device[:, kernel.MEMBERS] = np.bincount(problem.clusters, minlength=count)
        devices = np.full((count, 7), -1)
        devices[:, kernel.CLUSTER] = problem.clusters[order]
        devices[:, kernel.SEEN] = 0
        numbers = np.array(
            [
                problem.diversity_weight,
                problem.outage_weight,
                problem.cluster_weight,
                problem.budget_penalty,
                problem.min_classes,
                METRICS.index(problem.metric),
                problem.score == "change",
                problem.budgeted == "received",
                problem.request == "compensated",
            ],
            np.float64,
        )
        return cls(points, device, devices, *links, numbers)
