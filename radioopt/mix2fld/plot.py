"""A picture of all plans: expected time and participation against the limit of slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.errors import require
from radioopt.base.pictures import single
from radioopt.mix2fld.plan import plans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.mix2fld.solution import RoundPlanSolution

#: more limits than that are not all written at the axis
MOST_TICKS = 8


def plot_plans(solution: RoundPlanSolution) -> Figure:
    """Draw expected time and participation against the slots allowed, for the seed samples chosen.

    Parameters
    ----------
    solution : RoundPlanSolution
        A single instance.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``. A line per number of bands; infeasible plans are hollow, the one
        chosen has a ring.

    Raises
    ------
    ProblemError
        If the solution is a batch.
    MissingExtraError
        If matplotlib is not installed.
    """
    single(solution)
    problem, every = solution.problem, plans(solution.problem)
    s = int(np.argmax(problem.seed_samples == solution.seed_samples))
    feasible = every.feasible(problem)[..., s]
    figure: Figure = require("matplotlib.figure", "plot").Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    least = np.minimum(every.participation, every.first_participation)[..., s]
    for c, channels in enumerate(problem.num_channels):
        for axes, values in ((left, every.time_s[c, :, s]), (right, least[c])):
            (line,) = axes.plot(
                problem.max_slots, values, label=f"{channels} band" + "s" * int(channels > 1), alpha=0.7
            )
            filled = np.where(feasible[c], values, np.nan)
            axes.plot(problem.max_slots, values, "o", mfc="white", color=line.get_color(), ms=5)
            axes.plot(problem.max_slots, filled, "o", color=line.get_color(), ms=5)
    if np.isfinite(solution.objective):
        left.plot(solution.max_slots, solution.objective, "o", mfc="none", color="black", ms=12)
    left.set(xlabel="slots at most", ylabel="expected time to convergence [s]", xscale="log")
    right.axhline(float(problem.min_participation), color="grey", linestyle=":", label="least share")
    right.set(xlabel="slots at most", ylabel="share of devices", ylim=(-0.03, 1.03))
    right.legend()
    if len(problem.max_slots) <= MOST_TICKS:
        left.set_xticks(problem.max_slots, labels=problem.max_slots)
        left.minorticks_off()
        right.minorticks_off()
    figure.suptitle(f"Mix2FLD: plans with {problem.seed_samples[s]} seed samples per device")
    return figure
