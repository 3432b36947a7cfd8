"""FEEL: joint batchsize and time-slot allocation (Ren, Yu, Ding)."""

from radioopt.feel import rounding as _rounding  # noqa: F401 (registers the methods, those of the solver first)
from radioopt.feel.loss_decay import LossDecay
from radioopt.feel.payload import gradient_bits
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution
from radioopt.feel.training_time import TrainingTime

__all__ = ["BatchsizeProblem", "BatchsizeSolution", "LossDecay", "TrainingTime", "gradient_bits"]
