"""Pictures of FEEL: one round, who computes, uploads, downloads and updates when; and what was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.errors import ProblemError, require
from radioopt.base.pictures import drawable, drawn_name, shown_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.feel.loss_decay import LossDecay
    from radioopt.feel.solution import BatchsizeSolution
    from radioopt.feel.training_time import TrainingTime


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
    drawable(solution)
    figure_module = require("matplotlib.figure", "plot")
    problem, count = solution.problem, solution.sizes["device"]
    shown = shown_rows(count)
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
    timeline.set(
        xlabel="time in the round [s]",
        ylabel="device",
        yticks=rows,
        yticklabels=[drawn_name(solution.label("device", k)) for k in shown],
    )
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


def plot_training_time(time: TrainingTime) -> Figure:
    """Draw a training function over the times measured, beside the relative deviations.

    Parameters
    ----------
    time : TrainingTime
        Fitted or stated; one that is stated is drawn to four times its threshold.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure_module = require("matplotlib.figure", "plot")
    knee, measured = time.threshold_batchsize, time.batchsize.size > 0
    largest = float(time.batchsize.max()) if measured else 4 * max(knee, 1.0)
    figure: Figure = figure_module.Figure(figsize=(10 if measured else 6, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(3, 2)) if measured else [figure.subplots()]
    shown = np.unique([1.0, min(max(knee, 1.0), largest), largest])
    if measured:
        panels[0].plot(
            time.batchsize, time.seconds, "o", color=PHASES["compute"], alpha=0.6, label="measured"
        )
        frame = time.to_frame()
        panels[1].plot(frame.index, 100 * frame["deviation"], "o", color=PHASES["compute"])
        panels[1].axhline(0.0, color="black", linewidth=0.8)
        panels[1].set(xlabel="batch size [samples]", ylabel="fitted minus measured [%]", xscale="log")
    panels[0].plot(shown, time(shown), color=PHASES["upload"], label="fitted" if measured else "stated")
    panels[0].set(xlabel="batch size [samples]", ylabel="time of a gradient [s]", xlim=0, ylim=0)
    for panel in panels:
        if knee > 1:
            panel.axvline(knee, color="black", linewidth=0.8, linestyle="--", label=f"threshold {knee:.4g}")
        panel.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    figure.suptitle(time.law, fontsize="medium")
    return figure


def plot_loss_decay(law: LossDecay) -> Figure:
    """Draw the loss lost so far against what the law says, a straight line where it holds.

    Parameters
    ----------
    law : LossDecay
        A fitted one.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    ProblemError
        If the law is stated and there is nothing to compare it with.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not law.batchsize.size:
        raise ProblemError("plot: the loss decay is stated, not fitted: there is no log to draw")
    figure: Figure = require("matplotlib.figure", "plot").Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    progress = np.concatenate([[0.0], np.cumsum(np.sqrt(law.batchsize))])
    lost = np.concatenate([[0.0], np.cumsum(law.decay)])
    axes.plot(progress, lost, color=PHASES["compute"], label="training log")
    axes.plot(
        progress, law.loss_decay * progress, color=PHASES["upload"], label=f"{law.loss_decay:.4g} times it"
    )
    axes.set(
        xlabel="sum over rounds of the root of the total batch", ylabel="loss lost since the first round"
    )
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return figure
