"""FEEL: joint batchsize and time-slot allocation (Ren, Yu, Ding)."""

from radioopt.feel import solver as _solver  # noqa: F401 (registers the methods)
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution

__all__ = ["BatchsizeProblem", "BatchsizeSolution"]
