"""DT-KD: which student model each user trains, where, and with how much CPU and bandwidth (Wang et al.)."""

from radioopt.dtkd import solver as _solver  # noqa: F401 (registers the methods)
from radioopt.dtkd.catalogue import ModelCatalogue
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.q_learning import Training, train
from radioopt.dtkd.solution import DistillationSolution

__all__ = ["DistillationProblem", "DistillationSolution", "ModelCatalogue", "Training", "train"]
