"""Pictures of training: accuracy over simulated time, of one run or of several policies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from learning.options import choose
from radioopt.base.limits import limits, within
from radioopt.base.pictures import Look, band, canvas, key, key_of_all, line, logarithmic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: what a picture of several runs has along its axis: words for it
ALONG = {"seconds": "simulated time [s]", "round": "round", "joules": "energy of all devices [J]"}
#: what is drawn upwards
JUDGED = {"r2": "test R²", "accuracy": "test accuracy"}
#: places along the axis where runs are averaged
POINTS = 200


def plot_training(
    frame: pd.DataFrame, config: Mapping[str, Any], energy: str, **look: Unpack[Look]
) -> Figure:
    """Draw accuracy and loss of one run over simulated time.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per round, as of :meth:`learning.Ledger.to_frame`.
    config : mapping
        Settings of the run.
    energy : str
        Energy of all devices, in words.
    **look
        As of :class:`radioopt.base.pictures.Look`; two panels.

    Returns
    -------
    matplotlib.figure.Figure
        With the accuracy before the download beside that after it, where the scheme reports ``local_accuracy``. Not
        shown; call ``figure.savefig(path)``.

    Raises
    ------
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib is not installed.
    """
    what, targets = _judged(frame), config["targets"]
    title = (
        f"{config['scheme']['name']}, policy {config['policy']}, {config['data']} ({config['partition']}), "
        f"seed {config['seed']}: {len(frame) - 1} rounds, {frame['seconds'].iloc[-1]:.5g} s, {energy}"
    )
    own = {
        f"test_{what}": "after the download" if f"local_{what}" in frame else "on all test samples",
        f"local_{what}": "after local training",
        f"private_{what}": "on each device's own labels",
    }
    with canvas(2, look, title=title, least=2.2) as (figure, (accuracy, loss)):
        several = sum(name in frame for name in own) > 1
        for i, (name, label) in enumerate(own.items()):
            if name in frame:
                x, y = _known(frame, name)
                accuracy.plot(x, y, label=label if several else None, **_line(i, x))
        accuracy.set(ylabel=JUDGED[what], ylim=(_floor(frame, what), 1.0))
        for i, name in enumerate(("test_loss", "train_loss")):
            x, y = _known(frame, name)
            loss.plot(x, y, label=name.replace("_", " "), **_line(i, x))
        unit = {"r2": "squared error", "accuracy": "cross-entropy [nat]"}[what]
        loss.set(ylabel=unit, ylim=(0.0, None))
        for name, target in targets.items():
            words = "target" if name == f"test_{what}" else name.replace("_", " ")
            if name.endswith(what):
                _target_line(accuracy, target, words)
            elif name in ("train_loss", "test_loss"):
                _target_line(loss, target, words)
        for axes in (accuracy, loss):
            axes.set_xlabel(ALONG["seconds"])
            axes.set_xlim(0.0, None)
            axes.grid()
            key(axes)
    return figure


def plot_comparison(comparison: Any, x: str = "", confidence: float = 0.95, **look: Unpack[Look]) -> Figure:
    """Draw the mean accuracy of each policy with the interval of the mean.

    Parameters
    ----------
    comparison : Comparison
        Paired runs.
    x : {"seconds", "round", "joules"}, optional
        What it is drawn over: by default simulated seconds where there is a target, and rounds otherwise.
    confidence : float, default 0.95
        Of the intervals, in (0, 1).
    **look
        As of :class:`radioopt.base.pictures.Look`; one panel.

    Returns
    -------
    matplotlib.figure.Figure
        Seconds and joules are on a logarithmic axis where the policies differ tenfold. A run that ended at the target
        counts with its last accuracy from there on; without a target, and with ``go_on``, a policy is drawn as far as
        all of its runs go. Over seconds, a marker on the target line is the median time to the target, drawn where
        more than half of a policy's runs reached it. Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    OptionError
        If an option is out of its range.
    MissingExtraError
        If matplotlib is not installed.
    """
    config, runs = comparison.config, comparison.runs
    target = (config.get("targets") or {}).get("test_accuracy")
    x = x or ("round" if target is None else "seconds")
    choose("x", x, ALONG)
    what = _judged(next(iter(comparison.curves.values())))
    setting = f"{config['data']} ({config['partition']})" if {"data", "partition"} <= config.keys() else ""
    with canvas(1, look, title=f"{setting}: {len(config['seeds'])} seeds") as (figure, (axes,)):
        paths = {
            policy: [_path(comparison.curves[policy, seed], x, what) for seed in config["seeds"]]
            for policy in comparison.policies
        }
        by_ratio = x != "round" and _differ_tenfold(paths)
        for i, (policy, found) in enumerate(paths.items()):
            mine, label = runs[runs["policy"] == policy], policy
            if target is not None:
                label += f" ({mine['reached'].sum()} of {len(mine)} reach it)"
            hold = target is not None and not config.get("go_on")
            _average(axes, found, line(i), label, what, hold=hold, by_ratio=by_ratio, confidence=confidence)
            median = float(np.median(mine["seconds_to_target"].fillna(np.inf)))
            if x == "seconds" and np.isfinite(median):
                at = {"color": line(i)["color"], "marker": line(i)["marker"], "markeredgecolor": "black"}
                axes.plot([median], np.array([target]), markersize=6, zorder=5, linestyle="none", **at)
        _finish(axes, x, what, found=[one for every in paths.values() for one in every], by_ratio=by_ratio)
        if target is not None:
            _target_line(axes, target)
        if len(config["seeds"]) > 1:
            _say_band(axes, confidence)
        key_of_all(figure, [axes], look)
    return figure


def short_names(names: list[str]) -> list[str]:
    """Leave out the folder that all names have in common."""
    folders = [os.path.dirname(name.partition(": ")[0]) for name in names]
    common = os.path.commonpath(folders) if all(folders) and len({f[0] == "/" for f in folders}) == 1 else ""
    cut = [name[len(common) :].lstrip("/") if common else name for name in names]
    return cut if all(cut) else names


def plot_runs(comparison: Any, targets: Sequence[float], **look: Unpack[Look]) -> Figure:
    """Draw the accuracy of saved runs over simulated time and over the energy of all devices.

    Parameters
    ----------
    comparison : RunComparison
        Saved runs.
    targets : sequence of float
        Accuracies, drawn as lines, with a marker where a variant of one run reaches them.
    **look
        As of :class:`radioopt.base.pictures.Look`; a panel, or two where energy is known.

    Returns
    -------
    matplotlib.figure.Figure
        A line per variant, the mean of its runs with the 95 % interval of the mean where there are several, as far as
        all of them go; axes are logarithmic where runs differ tenfold in length. Energy is left out where no run knows
        it. Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib is not installed.
    """
    known = any(np.isfinite(run.joules[-1]) for run in comparison.runs)
    what = _judged(comparison.runs[0].curve)
    title = f"{comparison.runs[0].config['data']}, {len(comparison.runs)} runs"
    variants = dict(zip(short_names(list(comparison.variants)), comparison.variants.values(), strict=True))
    with canvas(1 + known, look, title=title, least=2.2, sharey=True) as (figure, panels):
        for axes, x in zip(panels, ("seconds", "joules"), strict=False):
            paths = {name: [_path(run.curve, x, what) for run in runs] for name, runs in variants.items()}
            by_ratio = _differ_tenfold(paths)
            for i, (name, found) in enumerate(paths.items()):
                label = f"{name} ({len(found)} runs)" if len(found) > 1 else name
                _average(axes, found, line(i), label, what, hold=False, by_ratio=by_ratio, confidence=0.95)
                if len(found) == 1:
                    spent, y = found[0]
                    first = [int(np.argmax(y >= target)) for target in targets if (y >= target).any()]
                    at = {"color": line(i)["color"], "marker": line(i)["marker"], "markeredgecolor": "black"}
                    axes.plot(spent[first], y[first], markersize=5, linestyle="none", **at)
            _finish(
                axes, x, what, found=[one for every in paths.values() for one in every], by_ratio=by_ratio
            )
            if axes is panels[0] or axes.get_position().x0 == panels[0].get_position().x0:
                axes.set_ylabel(JUDGED[what])
            else:
                axes.set_ylabel("")
            for target in targets:
                _target_line(axes, target, named=axes is panels[0])
        if any(len(runs) > 1 for runs in comparison.variants.values()):
            _say_band(panels[0], 0.95)
        key_of_all(figure, panels, look)
    return figure


def _judged(frame: pd.DataFrame) -> str:
    """Return what models are judged by: "accuracy", or "r2" of a regression."""
    return "r2" if "test_r2" in frame and frame["test_r2"].notna().any() else "accuracy"


def _path(curve: pd.DataFrame, x: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where a run was after the rounds that were judged, and how good it was."""
    judged = curve[f"test_{what}"].notna().to_numpy()
    along = {"round": lambda: curve.index, "seconds": lambda: curve["seconds"]}
    spent = along[x]() if x in along else curve["energy_j"].fillna(np.nan).cumsum(skipna=False)
    return np.asarray(spent, float)[judged], np.asarray(curve[f"test_{what}"], float)[judged]


def _differ_tenfold(paths: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]) -> bool:
    ends = [
        x[-1] for found in paths.values() for x, _ in found if len(x) and np.isfinite(x[-1]) and x[-1] > 0
    ]
    return bool(ends) and max(ends) > 10 * min(ends)


def averaged(
    found: Sequence[tuple[np.ndarray, np.ndarray]], *, hold: bool, by_ratio: bool, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Average runs at the same places along an axis.

    Parameters
    ----------
    found : sequence of (array, array)
        Of each run where it was, ascending, and how good it was there; between them it goes straight.
    hold : bool
        Whether a run stays as good as it was at last after its end; otherwise the mean ends with the first that ends.
    by_ratio : bool
        Whether places grow by equal ratios, from the first after 0 on.
    confidence : float
        Of Student's interval of the mean, in (0, 1).

    Returns
    -------
    places, mean, low, high : numpy.ndarray
        Those of a single run are its own, and its limits NaN.
    """
    from scipy.stats import t

    found = [(x[int(by_ratio) :], y[int(by_ratio) :]) for x, y in found]  # 0 has no place among ratios
    if len(found) == 1 or min(len(x) for x, _ in found) == 0:
        x, y = min(found, key=lambda one: len(one[0]))
        return x, y, np.full(len(x), np.nan), np.full(len(x), np.nan)
    begin, ends = max(x[0] for x, _ in found), [x[-1] for x, _ in found]
    end = max(ends) if hold else min(ends)
    if all(np.array_equal(x, found[0][0]) for x, _ in found):
        places = found[0][0]
    else:
        places = (np.geomspace if by_ratio else np.linspace)(begin, max(begin, end), POINTS)
    values = np.array([np.interp(places, x, y) for x, y in found])
    mean = values.mean(0)
    half = t.ppf(0.5 + confidence / 2, len(found) - 1) * values.std(0, ddof=1) / np.sqrt(len(found))
    return places, mean, mean - half, mean + half


def _average(
    axes: Axes,
    found: Sequence[tuple[np.ndarray, np.ndarray]],
    style: Mapping[str, Any],
    label: str,
    what: str,
    **options: Any,
) -> None:
    """Draw the mean of runs with its interval, as far as what is judged goes, in few enough markers to see the line."""
    known = [one for one in found if np.isfinite(one[0]).all()]
    if len(known) < len(found) or not known:
        axes.plot([], [], label=label, **style)
        return
    places, mean, low, high = averaged(known, **options)
    low, high = within(mean, low, high, limits(what))
    often = max(1, len(places) // 8)
    axes.plot(places, mean, label=label, markevery=often, **style)
    band(axes, places, low, high, style["color"])


def _say_band(axes: Axes, confidence: float) -> None:
    words = f"{100 * confidence:g} % interval of the mean"
    axes.fill_between([], [], [], color="0.45", alpha=0.3, linewidth=0, label=words)


def _finish(axes: Axes, x: str, what: str, *, found: Sequence[Any], by_ratio: bool) -> None:
    least = min((float(y.min()) for _, y in found if len(y)), default=0.0)
    axes.set(xlabel=ALONG[x], ylabel=JUDGED[what], ylim=(_down(least), 1.0))
    axes.grid()
    if by_ratio:
        logarithmic(axes.xaxis)
    else:
        axes.set_xlim(0.0, None)


def _floor(frame: pd.DataFrame, what: str) -> float:
    """Return the lower end of the axis."""
    least = float(frame[f"test_{what}"].min())
    return _down(least) if np.isfinite(least) else 0.0


def _down(least: float) -> float:
    """Return 0, or a value below the least R2, which no limit holds; -1 shows that it is as bad."""
    return min(0.0, max(-1.0, float(np.floor(10 * least) / 10)))


def _known(frame: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return the clock and a number after the rounds in which it was evaluated, so that lines have no gaps."""
    known = frame[frame[name].notna()]
    return known["seconds"], known[name]


def _line(i: int, x: Sequence[float] | pd.Series) -> dict[str, Any]:
    """Return the style of a line of one run: with a dot where it is a single point, which no line would show."""
    return line(i, marker=False) | {"marker": "." if len(x) == 1 else ""}


def _target_line(axes: Axes, target: float, what: str = "target", *, named: bool = True) -> None:
    axes.axhline(target, color="black", linewidth=0.7, linestyle=(0, (1, 1)))
    if not named:
        return
    low, high = axes.get_ylim()
    above = target < low + 0.92 * (high - low)
    axes.annotate(
        f"{what} {target:g}",
        (1.0, target),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2 if above else -2),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
    )
