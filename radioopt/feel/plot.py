"""A picture of one FEEL round: who computes, uploads, downloads and updates when, and the batch sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.errors import ProblemError, require
from radioopt.base.status import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.feel.solution import BatchsizeSolution

#: beyond this, rows are too thin to read and an even sample of the devices is drawn
MOST_ROWS = 40

PHASES = {"compute": "#4477aa", "upload": "#ee6677", "download": "#228833", "update": "#ccbb44"}


def plot_round(solution: BatchsizeSolution) -> Figure:
    """Draw the timeline of a round per device, beside the batch sizes and their limits.

    Parameters
    ----------
    solution : BatchsizeSolution
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
    if solution.batch_shape:
        raise ProblemError(
            f"plot: expected a single instance, got a batch {solution.batch_shape}: use solution[i]"
        )
    if not solution.status.usable:
        infeasible = solution.status is Status.INFEASIBLE
        reason = solution.why_infeasible() if infeasible else solution.status.message
        raise ProblemError(f"plot: {solution.status.name}: {reason}")
    figure_module = require("matplotlib.figure", "plot")
    problem, count = solution.problem, solution.sizes["device"]
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    rows = np.arange(shown.size)
    start = np.zeros(shown.size)
    figure: Figure = figure_module.Figure(figsize=(10, 1.8 + 0.26 * shown.size), layout="constrained")
    timeline, batches = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    durations = {
        "compute": solution.compute_time_s,
        "upload": solution.upload_time_s,
        "download": solution.download_time_s,
        "update": problem.update_time_s,
    }
    for phase, duration in durations.items():
        if phase == "download":
            start = np.full(shown.size, float(solution.upload_phase_s))
        timeline.barh(rows, duration[shown], left=start, color=PHASES[phase], height=0.75, label=phase)
        start = start + duration[shown]
    timeline.axvline(float(solution.upload_phase_s), color="black", linewidth=0.8, linestyle="--")
    timeline.set(xlabel="time in the round [s]", ylabel="device", yticks=rows, yticklabels=shown.astype(str))
    timeline.set_xlim(0, float(solution.round_latency_s) * 1.005)
    timeline.invert_yaxis()
    timeline.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)

    batches.barh(rows, solution.batchsize[shown], color=PHASES["compute"], height=0.75)
    batches.plot(problem.max_batchsize[shown], rows, "k|", markersize=9, label="limits")
    batches.plot(problem.min_batchsize[shown], rows, "k|", markersize=9)
    batches.set_xlabel("batch size [samples]")
    batches.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.suptitle(
        f"learning efficiency {float(solution.objective):.5g} 1/s in rounds of "
        f"{float(solution.round_latency_s):.4g} s; {solution.status.name.lower()}, "
        f"certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    return figure
