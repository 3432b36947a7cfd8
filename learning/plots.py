"""Pictures of training: accuracy over simulated time, of one run or of several policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from learning.comparison import Comparison
    from learning.loop import TrainingResult

#: colours that stay apart in print and for the colour-blind (P. Tol's "bright" scheme)
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def plot_training(result: TrainingResult) -> Figure:
    """Draw accuracy, loss and energy of one run over simulated time.

    Parameters
    ----------
    result : TrainingResult
        A run.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = _figure(figsize=(10.0, 4.0))
    frame, config = result.to_frame(), result.config
    accuracy, loss = figure.subplots(1, 2)
    accuracy.plot(frame["seconds"], frame["test_accuracy"], color=COLORS[0])
    accuracy.set(xlabel="simulated time [s]", ylabel="accuracy on test samples", ylim=(0.0, 1.0))
    if config["target_accuracy"] is not None:
        _target_line(accuracy, config["target_accuracy"])
    for name, color in (("train_loss", COLORS[3]), ("test_loss", COLORS[0])):
        loss.plot(frame["seconds"], frame[name], color=color, label=name.replace("_", " "))
    loss.set(xlabel="simulated time [s]", ylabel="cross-entropy [nat]", ylim=(0.0, None))
    loss.legend(frameon=False)
    for axes in (accuracy, loss):
        axes.set_xlim(0.0, None)
        axes.grid(alpha=0.3)
    ledger = result.ledger
    figure.suptitle(
        f"{config['scheme']['name']}, policy {config['policy']}, {config['data']} ({config['partition']}), "
        f"seed {config['seed']}: {len(ledger)} rounds, {ledger.seconds:.5g} s, {ledger.energy_text}",
        fontsize="medium",
    )
    return figure


def plot_comparison(comparison: Comparison) -> Figure:
    """Draw accuracy over simulated time, a thin line per run and a colour per policy.

    Parameters
    ----------
    comparison : Comparison
        Paired runs.

    Returns
    -------
    matplotlib.figure.Figure
        Time is on a logarithmic axis. A marker on the target line is the median time to the target, drawn
        where more than half of a policy's runs reached it. Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = _figure(figsize=(8.0, 4.8))
    axes: Any = figure.subplots()
    config = comparison.config
    setting = f"{config['data']} ({config['partition']}): " if {"data", "partition"} <= config.keys() else ""
    target, budget = config["target_accuracy"], config["seconds"]
    runs = comparison.runs
    _target_line(axes, target)
    for i, policy in enumerate(comparison.policies):
        color = COLORS[i % len(COLORS)]
        mine = runs[runs["policy"] == policy]
        for seed in mine["seed"]:
            curve = comparison.curves[policy, seed]
            axes.plot(
                curve["seconds"][1:], curve["test_accuracy"][1:], color=color, alpha=0.45, linewidth=0.9
            )
        label = f"{policy} ({mine['reached'].sum()} of {len(mine)} reach it)"
        median = float(np.median(mine["seconds_to_target"].fillna(np.inf)))
        shown = [median] if np.isfinite(median) else []
        axes.plot(
            shown,
            [target] * len(shown),
            MARKERS[i % len(MARKERS)],
            color=color,
            markeredgecolor="black",
            markersize=9,
            zorder=5,
            linestyle="none",
        )
        axes.plot(
            [],
            [],
            MARKERS[i % len(MARKERS)],
            color=color,
            markeredgecolor="black",
            linestyle="-",
            label=label,
        )
    axes.set_xscale("log")
    axes.set(xlabel="simulated time [s]", ylabel="accuracy on test samples", ylim=(0.0, 1.0))
    axes.set_xlim(None, budget)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    figure.legend(
        loc="outside upper center",
        ncols=min(4, len(comparison.policies)),
        frameon=False,
        fontsize="small",
        title=f"{setting}a line per run, a marker at the median time to the target",
    )
    return figure


def _target_line(axes: Axes, target: float) -> None:
    axes.axhline(target, color="black", linewidth=0.9, linestyle="--")
    axes.annotate(
        f"target {target:g}",
        (0.0, target),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize="small",
    )


def _figure(**options: Any) -> Figure:
    figure: Figure = require("matplotlib.figure", "learning").Figure(layout="constrained", **options)
    return figure
