"""Several edges per device: a graph after the other, each on the data that the one before left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array, shorten
from radioopt.d2d.clusters.problem import ClusterGraphProblem
from radioopt.d2d.clusters.solution import ClusterGraphSolution
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.sparse.problem import SparseGraphProblem

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Discovery:
    """Graphs found one after the other; :func:`discover` makes them.

    Attributes
    ----------
    rounds : tuple of GraphSolution or ClusterGraphSolution
        Each with the problem that the exchanges before it left.
    """

    rounds: tuple[GraphSolution | ClusterGraphSolution, ...]

    @property
    def sources(self) -> Array:
        """Transmitters of every device, shape (K, N), -1 for none."""
        return np.stack([solution.source for solution in self.rounds])

    @property
    def counts_after(self) -> Array:
        """Points of each class, or cluster, that each device has in the end, shape (N, L)."""
        return np.asarray(self.rounds[-1].counts_after)

    @property
    def objective(self) -> float:
        """Sum of the objectives of all rounds."""
        return float(sum(solution.objective for solution in self.rounds))

    def graph(self) -> networkx.DiGraph:
        """Return all edges in one graph for networkx, with their ``round``; needs the extra ``plot``."""
        whole = self.rounds[0].graph()
        for number, solution in enumerate(self.rounds):
            graph = solution.graph()
            for j, i, values in graph.edges(data=True):
                whole.add_edge(j, i, **values, round=number)
            for i, values in graph.nodes(data=True):
                whole.nodes[i].update({name: values[name] for name in values if name != "distance_before"})
        return whole


def discover(
    problem: GraphProblem | SparseGraphProblem | ClusterGraphProblem,
    edges: int = 2,
    method: str | None = None,
    options: SolveOptions = DEFAULT_OPTIONS,
    **method_options: Any,
) -> Discovery:
    """Find up to K incoming edges per device, one graph after the other.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        A single instance.
    edges : int, default 2
        K.
    method : str, optional
        Any method; local search by default.
    options : SolveOptions, optional
        Tolerances.
    **method_options
        What the method takes.

    Returns
    -------
    Discovery
        K graphs. A pair that was used is not used again in the same direction; budgets hold anew in every round.

    Raises
    ------
    OptionError
        If K is below one, or an option is refused.
    ProblemError
        If the problem is a batch.

    References
    ----------
    Remark 2: the sequential method, which is greedy.

    Examples
    --------
    >>> counts = [[30, 0, 0], [0, 30, 0], [0, 0, 30]]
    >>> problem = GraphProblem(class_counts=counts, thresholds=10, outage_probability=0.0)
    >>> discover(problem, edges=2).counts_after
    array([[10., 10., 10.],
           [10., 10., 10.],
           [10., 10., 10.]])
    """
    if problem.batch_shape:
        raise ProblemError(
            f"discover: expected a single instance, got a batch {problem.batch_shape}: index it"
        )
    if not isinstance(edges, (int, np.integer)) or isinstance(edges, bool) or edges < 1:
        raise OptionError(f"discover: edges: expected a whole number >= 1, got {shorten(edges)}")
    rounds: list[GraphSolution | ClusterGraphSolution] = []
    for _ in range(edges):
        rounds.append(problem.solve(method, options, **method_options))
        problem = problem.after(rounds[-1].source)
    return Discovery(tuple(rounds))
