"""D2D without labels: clusters and their moments in place of classes."""

from radioopt.d2d.clusters import solver as _solver  # noqa: F401 (registers the methods, the default one first)
from radioopt.d2d.clusters.problem import ClusterGraphProblem
from radioopt.d2d.clusters.solution import ClusterGraphSolution

__all__ = ["ClusterGraphProblem", "ClusterGraphSolution"]
