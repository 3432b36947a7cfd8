"""FEEL: joint batchsize and time-slot allocation (Ren, Yu, Ding)."""

from radioopt.feel import rounding as _rounding  # noqa: F401 (registers the methods, those of the solver first)
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution

__all__ = ["BatchsizeProblem", "BatchsizeSolution"]
