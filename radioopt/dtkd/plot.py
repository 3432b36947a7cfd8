"""A picture of an allocation: where each user's delay goes, and its shares of the server and of the band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.errors import require
from radioopt.base.pictures import drawable, drawn_name, shown_rows
from radioopt.dtkd.pricing import actions_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.dtkd.solution import DistillationSolution

PHASES = {"at the server": "#4477aa", "on the air": "#ee6677", "at the user": "#ccbb44"}


def plot_allocation(solution: DistillationSolution) -> Figure:
    """Draw the delay of every user by its parts, beside the shares of server CPU and band.

    Parameters
    ----------
    solution : DistillationSolution
        A single instance.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    ProblemError
        If the solution is a batch, or holds no feasible point.
    MissingExtraError
        If matplotlib is not installed.
    """
    drawable(solution)
    problem, count = solution.problem, solution.sizes["device"]
    shown = shown_rows(count)
    rows, action = np.arange(shown.size), 2 * solution.model + solution.trains_locally
    local = np.take_along_axis(actions_of(problem).local_s, action[:, None], 1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        cycles = solution.server_cycles
        server = np.where(cycles > 0, cycles / solution.server_cpu_frequency_hz, 0.0)
    parts = {"at the server": server, "on the air": solution.delay_s - server - local, "at the user": local}
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(10, 2.0 + 0.3 * shown.size), layout="constrained"
    )
    delay, shares = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    start = np.zeros(shown.size)
    for phase, seconds in parts.items():
        delay.barh(rows, seconds[shown], left=start, color=PHASES[phase], height=0.7, label=phase)
        start = start + seconds[shown]
    limited = np.isfinite(problem.max_delay_s[shown])
    if limited.any():
        delay.plot(problem.max_delay_s[shown][limited], rows[limited], "k|", markersize=11, label="deadline")
    names = [
        f"{drawn_name(solution.label('device', user))}: {drawn_name(solution.model_names[user])}"
        for user in shown
    ]
    names = [
        f"{name}, local" if solution.trains_locally[user] else name
        for user, name in zip(shown, names, strict=True)
    ]
    delay.set(xlabel="delay of an epoch [s]", ylabel="user", yticks=rows, yticklabels=names)
    delay.invert_yaxis()
    delay.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    for offset, (name, total, colour) in enumerate(
        (("server_cpu_frequency_hz", "server CPU", "#4477aa"), ("bandwidth_hz", "band", "#ee6677"))
    ):
        share = 100 * getattr(solution, name)[shown] / getattr(problem, name)
        shares.barh(rows - 0.18 + 0.36 * offset, share, color=colour, height=0.32, label=total)
    shares.set_xlabel("share [%]")
    shares.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.suptitle(
        f"cost {float(solution.objective):.5g} at a mean delay of {float(solution.delay_s.mean()):.4g} s; "
        f"{solution.status.name.lower()}, certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    return figure
