"""Pictures of FEEL: one round, who computes, uploads, downloads and updates when; and what was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.pictures import Look, canvas, drawable, drawn_name, fill, key, line, rows_of, shown_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.feel.loss_decay import LossDecay
    from radioopt.feel.solution import BatchsizeSolution
    from radioopt.feel.training_time import TrainingTime


def plot_round(solution: BatchsizeSolution, **look: Unpack[Look]) -> Figure:
    """Draw the timeline of a round per device, beside the batch sizes and their limits.

    Parameters
    ----------
    solution : BatchsizeSolution
        A single instance.
    **look
        As of :class:`radioopt.base.pictures.Look`; two panels.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    ProblemError
        If the solution is a batch, or holds no feasible point.
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib is not installed.
    """
    drawable(solution)
    problem, shown = solution.problem, shown_rows(solution.sizes["device"])
    rows, start = np.arange(shown.size), np.zeros(shown.size)
    title = (
        f"learning efficiency {float(solution.objective):.5g} 1/s in rounds of "
        f"{float(solution.round_latency_s):.4g} s; {solution.status.name.lower()}, "
        f"certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    height = 0.75 + 0.15 * shown.size
    with canvas(2, look, title=title, height=height, ratios=(2.4, 1)) as (figure, (timeline, batches)):
        durations = {
            "compute": solution.compute_time_s,
            "upload": solution.upload_time_s,
            "download": solution.download_time_s,
            "update": problem.update_time_s,
        }
        for i, (phase, duration) in enumerate(durations.items()):
            if phase == "download":
                start = np.full(shown.size, float(solution.upload_phase_s))
            timeline.barh(rows, duration[shown], left=start, height=0.75, label=phase, **fill(i))
            start = start + duration[shown]
        timeline.axvline(float(solution.upload_phase_s), color="black", linewidth=0.8, linestyle="--")
        timeline.set_xlabel("time in the round [s]")
        timeline.set_xlim(0, float(solution.round_latency_s) * 1.005)
        batches.barh(rows, solution.batchsize[shown], height=0.75, **fill(0))
        batches.plot(problem.max_batchsize[shown], rows, "k|", markersize=5, label="limits")
        batches.plot(problem.min_batchsize[shown], rows, "k|", markersize=5)
        batches.set_xlabel("batch size\n[samples]")
        rows_of((timeline, batches), [drawn_name(solution.label("device", k)) for k in shown], "device")
        key(timeline)
        key(batches)
    return figure


def plot_training_time(time: TrainingTime, **look: Unpack[Look]) -> Figure:
    """Draw a training function over the times measured, beside the relative deviations.

    Parameters
    ----------
    time : TrainingTime
        Fitted or stated; one that is stated is drawn to four times its threshold.
    **look
        As of :class:`radioopt.base.pictures.Look`; a second panel with the deviations of what was measured.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    knee, measured = time.threshold_batchsize, time.batchsize.size > 0
    largest = float(time.batchsize.max()) if measured else 4 * max(knee, 1.0)
    shown = np.unique([1.0, min(max(knee, 1.0), largest), largest])
    points = {"color": line(0)["color"], "marker": "o", "linestyle": "none", "alpha": 0.7}
    with canvas(1 + measured, look, title=time.law, least=2.2) as (figure, panels):
        if measured:
            panels[0].plot(time.batchsize, time.seconds, label="measured", **points)
            frame = time.to_frame()
            panels[1].plot(frame.index, 100 * frame["deviation"], **points)
            panels[1].axhline(0.0, color="black", linewidth=0.8)
            panels[1].set(xlabel="batch size [samples]", ylabel="fitted minus measured [%]", xscale="log")
        label = "fitted" if measured else "stated"
        panels[0].plot(shown, time(shown), label=label, **line(1, marker=False))
        panels[0].set(xlabel="batch size [samples]", ylabel="time of a gradient [s]", xlim=0, ylim=0)
        for panel in panels:
            if knee > 1:
                panel.axvline(
                    knee, color="black", linewidth=0.8, linestyle=":", label=f"threshold {knee:.4g}"
                )
            panel.grid()
        key(panels[0])
    return figure


def plot_loss_decay(law: LossDecay, **look: Unpack[Look]) -> Figure:
    """Draw the loss lost so far against what the law says, a straight line where it holds.

    Parameters
    ----------
    law : LossDecay
        A fitted one.
    **look
        As of :class:`radioopt.base.pictures.Look`.

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
    progress = np.concatenate([[0.0], np.cumsum(np.sqrt(law.batchsize))])
    lost = np.concatenate([[0.0], np.cumsum(law.decay)])
    with canvas(1, look, title=f"loss decay {law.loss_decay:.4g}") as (figure, (axes,)):
        axes.plot(progress, lost, label="training log", **line(0, marker=False))
        straight = law.loss_decay * progress
        axes.plot(progress, straight, label=f"{law.loss_decay:.4g} times it", **line(1, marker=False))
        axes.set(xlabel=r"sum over rounds of $\sqrt{\mathrm{total\ batch}}$", ylabel="loss lost so far")
        axes.grid()
        key(axes)
    return figure
