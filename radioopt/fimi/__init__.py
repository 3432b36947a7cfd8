"""FIMI: energy-minimal synthetic data, CPU frequency, bandwidth and power (Li et al.)."""

from radioopt.fimi.learning_curve import LearningCurve
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

__all__ = ["LearningCurve", "SynthesisProblem", "SynthesisSolution"]
