"""A picture of all plans: expected time and participation against the limit of slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from radioopt.base.pictures import Look, canvas, key_of_all, line, logarithmic, single
from radioopt.mix2fld.plan import plans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.mix2fld.solution import RoundPlanSolution

#: more limits than that are not all written at the axis
MOST_TICKS = 8


def plot_plans(solution: RoundPlanSolution, **look: Unpack[Look]) -> Figure:
    """Draw expected time and participation against the slots allowed, for the seed samples chosen.

    Parameters
    ----------
    solution : RoundPlanSolution
        A single instance.
    **look
        As of :class:`radioopt.base.pictures.Look`; two panels.

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
    least = np.minimum(every.participation, every.first_participation)[..., s]
    title = f"Mix2FLD: plans with {problem.seed_samples[s]} seed samples per device"
    with canvas(2, look, title=title, least=2.2, sharex=True) as (figure, (left, right)):
        for c, channels in enumerate(problem.num_channels):
            for axes, values in ((left, every.time_s[c, :, s]), (right, least[c])):
                style = line(c)
                label = f"{channels} band" + "s" * int(channels > 1)
                axes.plot(problem.max_slots, values, mfc="white", label=label, **style)
                filled = np.where(feasible[c], values, np.nan)
                axes.plot(
                    problem.max_slots, filled, color=style["color"], marker=style["marker"], linestyle=""
                )
        if np.isfinite(solution.objective):
            ring: Any = {"mfc": "none", "color": "black", "ms": 8, "linestyle": "", "label": "chosen"}
            left.plot(solution.max_slots, solution.objective, "o", **ring)
        left.plot([], [], "o", mfc="white", color="0.2", linestyle="", label="infeasible")
        right.axhline(float(problem.min_participation), color="0.4", linestyle=":", label="least share")
        left.set_ylabel("time to convergence [s]")
        right.set(ylabel="share of devices", ylim=(-0.03, 1.03))
        for axes in (left, right):
            axes.set_xlabel("slots at most")
            logarithmic(axes.xaxis)
            axes.grid(axis="y")
        if len(problem.max_slots) <= MOST_TICKS:
            for axes in (left, right):
                axes.set_xticks(problem.max_slots, labels=problem.max_slots)
                axes.minorticks_off()
        key_of_all(figure, (left, right), look)
    return figure
