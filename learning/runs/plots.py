"""Pictures of training: accuracy over simulated time, of one run or of several policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import require

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: colours that stay apart in print and for the colour-blind (P. Tol's "bright" scheme)
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")


def plot_training(frame: pd.DataFrame, config: Mapping[str, Any], energy: str) -> Figure:
    """Draw accuracy and loss of one run over simulated time.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per round, as of :meth:`learning.Ledger.to_frame`.
    config : mapping
        Settings of the run.
    energy : str
        Energy of all devices, in words.

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
    accuracy, loss = figure.subplots(1, 2)
    what = "r2" if "test_r2" in frame else "accuracy"
    (judged,) = accuracy.plot(*_known(frame, f"test_{what}"), color=COLORS[0])
    if f"local_{what}" in frame:
        before = {"color": COLORS[1], "linewidth": 1.0, "label": "after local training", "zorder": 1}
        accuracy.plot(*_known(frame, f"local_{what}"), **before)
        judged.set_label("after the download")
        accuracy.legend(frameon=False, loc="lower right")
    named = {"r2": "explained variance R² on test samples", "accuracy": "accuracy on test samples"}[what]
    if f"private_{what}" in frame:
        own = {"color": COLORS[2], "linewidth": 1.0, "label": "on each device's own labels"}
        accuracy.plot(*_known(frame, f"private_{what}"), **own)
        if f"local_{what}" not in frame:
            judged.set_label("on all test samples")
        accuracy.legend(frameon=False, loc="lower right")
    accuracy.set(xlabel="simulated time [s]", ylabel=named, ylim=(_floor(frame, what), 1.0))
    for name, target in config["targets"].items():
        if name.endswith(what):
            _target_line(accuracy, target, "target" if name == f"test_{what}" else name.replace("_", " "))
    for name, color in (("train_loss", COLORS[3]), ("test_loss", COLORS[0])):
        x, y = _known(frame, name)
        loss.plot(x, y, marker=_dot(x), color=color, label=name.replace("_", " "))
    unit = {"r2": "squared error", "accuracy": "cross-entropy [nat]"}[what]
    loss.set(xlabel="simulated time [s]", ylabel=unit, ylim=(0.0, None))
    loss.legend(frameon=False)
    for name, target in config["targets"].items():
        if name in ("train_loss", "test_loss"):
            _target_line(loss, target, name.replace("_", " "))
    for axes in (accuracy, loss):
        axes.set_xlim(0.0, None)
        axes.grid(alpha=0.3)
    figure.suptitle(
        f"{config['scheme']['name']}, policy {config['policy']}, {config['data']} ({config['partition']}), "
        f"seed {config['seed']}: {len(frame) - 1} rounds, "
        f"{frame['seconds'].iloc[-1]:.5g} s, {energy}",
        fontsize="medium",
    )
    return figure


def plot_comparison(comparison: Any) -> Figure:
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
    target, budget = config["targets"]["test_accuracy"], config["seconds"]
    runs = comparison.runs
    _target_line(axes, target)
    for i, policy in enumerate(comparison.policies):
        color, marker, line = _style(i)
        mine = runs[runs["policy"] == policy]
        for seed in mine["seed"]:
            curve = comparison.curves[policy, seed]
            thin = {"color": color, "linestyle": line, "alpha": 0.45, "linewidth": 0.9}
            x, y = _known(curve[1:], "test_accuracy")
            axes.plot(x, y, marker=_dot(x), **thin)
        label = f"{policy} ({mine['reached'].sum()} of {len(mine)} reach it)"
        median = float(np.median(mine["seconds_to_target"].fillna(np.inf)))
        shown = [median] if np.isfinite(median) else []
        drawn = {"marker": marker, "color": color, "markeredgecolor": "black"}
        axes.plot(shown, [target] * len(shown), markersize=9, zorder=5, linestyle="none", **drawn)
        axes.plot([], [], linestyle=line, label=label, **drawn)
    axes.set(xlabel="simulated time [s]", ylabel="accuracy on test samples", ylim=(0.0, 1.0))
    _logarithmic(axes, budget)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    figure.legend(
        loc="outside upper center",
        ncols=min(4, len(comparison.policies)),
        frameon=False,
        fontsize="small",
        title=f"{setting}a line per run, a marker at the median time to the target",
    )
    return figure


def plot_runs(comparison: Any, targets: Sequence[float]) -> Figure:
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
                judged = run.curve["test_accuracy"].notna().to_numpy()
                x, y = spent[id(run)][judged], run.curve["test_accuracy"].to_numpy()[judged]
                begin = int(logarithmic)  # the start, at 0, has no place on a logarithmic axis
                alpha = 0.9 if len(runs) == 1 else 0.5
                thin = {"color": color, "linestyle": line, "linewidth": 1.4, "alpha": alpha}
                axes.plot(x[begin:], y[begin:], marker=_dot(x[begin:]), label=label, **thin)
                label = None
                first = [int(np.argmax(y >= target)) for target in targets if (y >= target).any()]
                style = {"color": color, "markeredgecolor": "black", "markersize": 6, "linestyle": "none"}
                axes.plot(x[first], y[first], marker, **style)
        if logarithmic:
            _logarithmic(axes)
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


def _floor(frame: pd.DataFrame, what: str) -> float:
    """Return the lower end of the axis: 0, or below the least R2, which no limit holds; -1 shows that it is as bad."""
    least = float(frame[f"test_{what}"].min())
    return min(0.0, max(-1.0, np.floor(10 * least) / 10)) if np.isfinite(least) else 0.0


def _known(frame: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return the clock and a number after the rounds in which it was evaluated, so that lines have no gaps."""
    known = frame[frame[name].notna()]
    return known["seconds"], known[name]


def _dot(x: Sequence[float] | pd.Series) -> str:
    """Return the marker of a line: a dot where it is a single point, which no line would show."""
    return "." if len(x) == 1 else ""


def _logarithmic(axes: Any, end: float | None = None) -> None:
    """Make time or energy logarithmic, with plain numbers where they are short."""
    axes.set_xscale("log")
    axes.set_xlim(None, end)
    low, high = axes.get_xlim()
    if low >= 1 and high <= 1e4:
        ticker = require("matplotlib.ticker", "learning")
        axes.xaxis.set_major_formatter(ticker.LogFormatter())
        axes.xaxis.set_minor_formatter(ticker.LogFormatter())


def _style(i: int) -> tuple[str, str, str]:
    """Return colour, marker and line of the i-th of several; lines are dashed when the colours begin again."""
    count = len(COLORS)
    return COLORS[i % count], MARKERS[i % count], LINES[i // count % len(LINES)]


def _target_line(axes: Axes, target: float, what: str = "target", *, named: bool = True) -> None:
    axes.axhline(target, color="black", linewidth=0.9, linestyle="--")
    if not named:
        return
    low, high = axes.get_ylim()
    above = target < low + 0.92 * (high - low)
    axes.annotate(
        f"{what} {target:g}",
        (0.0, target),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3 if above else -3),
        textcoords="offset points",
        ha="left",
        va="bottom" if above else "top",
        fontsize="small",
    )


def _figure(**options: Any) -> Figure:
    figure: Figure = require("matplotlib.figure", "learning").Figure(layout="constrained", **options)
    return figure
