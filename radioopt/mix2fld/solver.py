"""Mix2FLD methods."""

from __future__ import annotations

from radioopt.base.options import SolveOptions
from radioopt.mix2fld.problem import RoundPlanProblem
from radioopt.mix2fld.solution import RoundPlanSolution


@RoundPlanProblem.method("enumerate", exact=True)
def enumerate_plans(problem: RoundPlanProblem, options: SolveOptions) -> RoundPlanSolution:
    """Evaluate every candidate in closed form; the least is the optimum.

    Parameters
    ----------
    problem : RoundPlanProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    RoundPlanSolution
        ``iterations`` counts candidates.
    """
    return RoundPlanSolution.best(problem, "enumerate", options)
