"""Mix2FLD: outputs up, weights down, and samples that are mixed at devices and unmixed across them (Oh et al.)."""

from radioopt.mix2fld import solver as _solver  # noqa: F401 (registers the method)
from radioopt.mix2fld.grouping import assigned_labels, grouped, random_labels
from radioopt.mix2fld.mixup import (
    inverse_mixup,
    inverse_ratios,
    mixup,
    mixup_condition,
    mixup_matrix,
    sample_privacy,
)
from radioopt.mix2fld.pairing import most_pairs, pair_symmetric
from radioopt.mix2fld.payload import Payload
from radioopt.mix2fld.problem import RoundPlanProblem
from radioopt.mix2fld.solution import RoundPlanSolution

__all__ = [
    "Payload",
    "RoundPlanProblem",
    "RoundPlanSolution",
    "assigned_labels",
    "grouped",
    "inverse_mixup",
    "inverse_ratios",
    "mixup",
    "mixup_condition",
    "mixup_matrix",
    "most_pairs",
    "pair_symmetric",
    "random_labels",
    "sample_privacy",
]
