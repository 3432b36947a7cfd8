"""D2D with candidate links as a list: the same problem, methods and solution in memory linear in the links."""

from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.sparse import solver as _solver  # noqa: F401 (registers the methods, the default one first)
from radioopt.d2d.sparse.problem import SparseGraphProblem

__all__ = ["GraphSolution", "SparseGraphProblem"]
