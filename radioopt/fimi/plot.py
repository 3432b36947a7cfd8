"""Pictures of FIMI: one round's allocation, and energy against what a user may relax, with prices as slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError, require
from radioopt.base.pictures import drawable, drawn_name, shown_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.base.quantity import Array
    from radioopt.fimi.problem import SynthesisProblem
    from radioopt.fimi.solution import SynthesisSolution


COLOURS = {"compute": "#4477aa", "upload": "#ee6677", "local": "#bbbbbb", "synthetic": "#228833"}
#: what a user may relax: its label and unit, and the range around its value that is drawn
AXES: dict[str, tuple[str, float, float, float]] = {
    "max_round_latency_s": ("deadline of the round [s]", 1.0, 0.4, 2.5),
    "max_global_error": ("largest global error", 1.0, 0.7, 1.4),
    "bandwidth_hz": ("bandwidth [MHz]", 1e6, 0.25, 4.0),
}


def plot_round(solution: SynthesisSolution) -> Figure:
    """Draw, per device, how it splits the round, its samples, its energy and its share of the band.

    Parameters
    ----------
    solution : SynthesisSolution
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
    count = solution.sizes["device"]
    shown = shown_rows(count)
    rows = np.arange(shown.size)
    figure: Figure = figure_module.Figure(figsize=(12, 1.8 + 0.26 * shown.size), layout="constrained")
    times, samples, energies, band = figure.subplots(1, 4, sharey=True, width_ratios=(2, 1.4, 1.4, 1))

    def stack(axis: Any, label: str, parts: dict[str, Array]) -> None:
        start = np.zeros(shown.size)
        for part, values in parts.items():
            axis.barh(rows, values[shown], left=start, color=COLOURS[part], height=0.75, label=part)
            start = start + values[shown]
        axis.set_xlabel(label)
        axis.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)

    stack(
        times,
        "time in the round [s]",
        {"compute": solution.compute_time_s, "upload": solution.upload_time_s},
    )
    times.axvline(float(solution.problem.max_round_latency_s), color="black", linewidth=0.8, linestyle="--")
    stack(
        samples, "samples", {"local": solution.problem.local_samples, "synthetic": solution.synthetic_samples}
    )
    stack(
        energies,
        "energy [J]",
        {"compute": solution.compute_energy_j, "upload": solution.upload_energy_j},
    )
    band.barh(rows, solution.bandwidth_hz[shown] / 1e6, color=COLOURS["upload"], height=0.75)
    band.set_xlabel("bandwidth [MHz]")
    times.set(
        ylabel="device", yticks=rows, yticklabels=[drawn_name(solution.label("device", k)) for k in shown]
    )
    times.invert_yaxis()
    figure.suptitle(
        f"{float(solution.objective):.5g} J per round with {float(solution.synthetic_samples.sum()):.6g} synthetic "
        f"samples; {solution.status.name.lower()}, certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    return figure


def plot_tradeoffs(problem: SynthesisProblem, *, points: int = 81) -> Figure:
    """Draw the least energy against the deadline, the error and the bandwidth, with the prices as slopes.

    Parameters
    ----------
    problem : SynthesisProblem
        A single, feasible instance.
    points : int, default 81
        Problems solved per curve; what is infeasible is shaded.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``.

    Raises
    ------
    ProblemError
        If the problem is a batch, or ``points`` is below two.
    SolveError
        If the problem is infeasible.
    MissingExtraError
        If matplotlib is not installed.

    Notes
    -----
    The tangents need no second solution: their slopes are the elasticities of
    :func:`radioopt.fimi.sensitivity.sensitivity`.
    """
    if problem.batch_shape:
        raise ProblemError(
            f"plot: expected a single instance, got a batch {problem.batch_shape}: use problem[i]"
        )
    if points < 2:
        raise ProblemError(f"plot: points: expected at least 2, got {points}")
    figure_module = require("matplotlib.figure", "plot")
    solution = problem.solve()
    worth, energy = solution.sensitivity(), float(solution.objective)
    figure: Figure = figure_module.Figure(figsize=(12, 3.8), layout="constrained")
    axes = figure.subplots(1, len(AXES), sharey=True)
    highest = energy
    for axis, (name, (label, unit, low, high)) in zip(axes, AXES.items(), strict=True):
        value, slope = float(getattr(problem, name)), float(getattr(worth, name))
        grid = value * np.geomspace(low, high, points)
        if name == "max_global_error":
            grid = grid[grid <= 1.0]
        curve = np.asarray(problem.replace(**{name: grid}).solve(throw=False).objective)
        axis.plot(grid / unit, curve, color=COLOURS["compute"], label="least energy")
        near = value * np.array([0.85, 1.15])
        axis.plot(
            near / unit, energy * (1 + slope * (near / value - 1)), color=COLOURS["upload"], label="price"
        )
        axis.plot([value / unit], [energy], "o", color=COLOURS["upload"], markersize=5)
        missing = grid[np.isnan(curve)]
        if missing.size:
            axis.axvspan(missing.min() / unit, missing.max() / unit, color="0.9", label="infeasible")
        per_cent = f"{slope:+.2g} % energy per % more"
        axis.set(xlabel=label, title=per_cent)
        axis.legend(frameon=False)
        highest = max(highest, float(np.nanmax(curve)))
    axes[0].set(ylabel="energy per round [J]")
    axes[0].set_ylim(0.0, min(1.05 * highest, 3 * energy))
    return figure
