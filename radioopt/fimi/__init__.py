"""FIMI: energy-minimal synthetic data, CPU frequency, bandwidth and power (Li et al.)."""

from radioopt.fimi import cross_entropy as _cross_entropy  # noqa: F401 (registers the paper's method)
from radioopt.fimi import equal_bandwidth as _equal_bandwidth  # noqa: F401 (registers an ablation)
from radioopt.fimi import solver as _solver  # noqa: F401 (registers the methods; the first is the default)
from radioopt.fimi.filling import augmentation_plan, data_entropy_bits, fill_classes
from radioopt.fimi.learning_curve import LEARNING_CURVES, LearningCurve
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

__all__ = [
    "LEARNING_CURVES",
    "LearningCurve",
    "SynthesisProblem",
    "SynthesisSolution",
    "augmentation_plan",
    "data_entropy_bits",
    "fill_classes",
]
