"""Pictures of training: accuracy over simulated time, of one run or of several policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from learning.loop import TrainingResult
    from learning.runs.read import RunComparison
    from learning.study.compare import Comparison

#: colours that stay apart in print and for the colour-blind (P. Tol's "bright" scheme)
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")


def plot_training(result: TrainingResult) -> Figure:
    """Draw accuracy and loss of one run over simulated time.

    Parameters
    ----------
    result : TrainingResult
        A run.

    Returns
    -------
    matplotlib.figure.Figure
        With the accuracy before the download beside that after it, where the scheme reports ``local_accuracy``. Not
        shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = _figure(figsize=(10.0, 4.0))
    frame, config = result.to_frame(), result.config
    accuracy, loss = figure.subplots(1, 2)
    (judged,) = accuracy.plot(frame["seconds"], frame["test_accuracy"], color=COLORS[0])
    if "local_accuracy" in frame:
        before = {"color": COLORS[1], "linewidth": 1.0, "label": "after local training", "zorder": 1}
        accuracy.plot(frame["seconds"], frame["local_accuracy"], **before)
        judged.set_label("after the download")
        accuracy.legend(frameon=False, loc="lower right")
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
        f"seed {config['seed']}: {len(ledger)} rounds, {ledger.seconds:.5g} s, "
        f"{ledger.energy_text.partition(' (')[0]}",
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
        color, marker, line = _style(i)
        mine = runs[runs["policy"] == policy]
        for seed in mine["seed"]:
            curve = comparison.curves[policy, seed]
            thin = {"color": color, "linestyle": line, "alpha": 0.45, "linewidth": 0.9}
            axes.plot(curve["seconds"][1:], curve["test_accuracy"][1:], **thin)
        label = f"{policy} ({mine['reached'].sum()} of {len(mine)} reach it)"
        median = float(np.median(mine["seconds_to_target"].fillna(np.inf)))
        shown = [median] if np.isfinite(median) else []
        drawn = {"marker": marker, "color": color, "markeredgecolor": "black"}
        axes.plot(shown, [target] * len(shown), markersize=9, zorder=5, linestyle="none", **drawn)
        axes.plot([], [], linestyle=line, label=label, **drawn)
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


def plot_runs(comparison: RunComparison, targets: Sequence[float]) -> Figure:
    """Draw the accuracy of saved runs over simulated time and over the energy of all devices.

    Parameters
    ----------
    comparison : RunComparison
        Saved runs.
    targets : sequence of float
        Accuracies, drawn as lines, with a marker where a run reaches them.

    Returns
    -------
    matplotlib.figure.Figure
        A line per run, a colour per variant; axes are logarithmic where runs differ tenfold in length. Energy is
        left out where no run knows it. Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    known = any(np.isfinite(run.joules[-1]) for run in comparison.runs)
    figure = _figure(figsize=(10.0 if known else 6.4, 4.8))
    panels = figure.subplots(1, 1 + known, sharey=True, squeeze=False)[0]
    data = comparison.runs[0].config["data"]
    panels[0].set(ylabel=f"accuracy on the test samples of {data}", ylim=(0.0, 1.0))
    for axes, what in zip(panels, ("seconds", "joules"), strict=False):
        spent = {
            id(run): run.joules if what == "joules" else run.curve["seconds"].to_numpy()
            for run in comparison.runs
        }
        ends = [x[-1] for x in spent.values() if np.isfinite(x[-1]) and x[-1] > 0]
        logarithmic = bool(ends) and max(ends) > 10 * min(ends)
        for i, (name, runs) in enumerate(comparison.variants.items()):
            color, marker, line = _style(i)
            label: str | None = f"{name} ({len(runs)} runs)" if len(runs) > 1 else name
            for run in runs:
                x, y = spent[id(run)], run.curve["test_accuracy"].to_numpy()
                begin = int(logarithmic)  # the start, at 0, has no place on a logarithmic axis
                alpha = 0.9 if len(runs) == 1 else 0.5
                thin = {"color": color, "linestyle": line, "linewidth": 1.4, "alpha": alpha}
                axes.plot(x[begin:], y[begin:], label=label, **thin)
                label = None
                first = [int(np.argmax(y >= target)) for target in targets if (y >= target).any()]
                style = {"color": color, "markeredgecolor": "black", "markersize": 6, "linestyle": "none"}
                axes.plot(x[first], y[first], marker, **style)
        if logarithmic:
            axes.set_xscale("log")
        else:
            axes.set_xlim(0.0, None)
        for target in targets:
            _target_line(axes, target, named=axes is panels[0])
        axes.set_xlabel("simulated time [s]" if what == "seconds" else "energy of all devices [J]")
        axes.grid(alpha=0.3, which="both", linewidth=0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=min(3, len(labels)),
        frameon=False,
        fontsize="small",
        title="a marker where a run first reaches a target",
    )
    return figure


def _style(i: int) -> tuple[str, str, str]:
    """Return colour, marker and line of the i-th of several; lines are dashed when the colours begin again."""
    count = len(COLORS)
    return COLORS[i % count], MARKERS[i % count], LINES[i // count % len(LINES)]


def _target_line(axes: Axes, target: float, *, named: bool = True) -> None:
    axes.axhline(target, color="black", linewidth=0.9, linestyle="--")
    if not named:
        return
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
