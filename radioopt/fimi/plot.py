"""Pictures of FIMI: one round's allocation, and energy against what a user may relax, with prices as slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.pictures import Look, canvas, drawable, drawn_name, fill, key, line, rows_of, shown_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.fimi.problem import SynthesisProblem
    from radioopt.fimi.solution import SynthesisSolution

#: what a user may relax: its label and unit, and the range around its value that is drawn
AXES: dict[str, tuple[str, float, float, float]] = {
    "max_round_latency_s": ("deadline of the round [s]", 1.0, 0.4, 2.5),
    "max_global_error": ("largest global error", 1.0, 0.7, 1.4),
    "bandwidth_hz": ("bandwidth [MHz]", 1e6, 0.25, 4.0),
}


def plot_round(solution: SynthesisSolution, **look: Unpack[Look]) -> Figure:
    """Draw, per device, how it splits the round, its samples, its energy and its share of the band.

    Parameters
    ----------
    solution : SynthesisSolution
        A single instance.
    **look
        As of :class:`radioopt.base.pictures.Look`; four panels.

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
    shown = shown_rows(solution.sizes["device"])
    rows = np.arange(shown.size)
    title = (
        f"{float(solution.objective):.5g} J per round with {float(solution.synthetic_samples.sum()):.6g} synthetic "
        f"samples; {solution.status.name.lower()}, certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    stacks = {
        "time in the round [s]": {"compute": solution.compute_time_s, "upload": solution.upload_time_s},
        "samples": {"local": solution.problem.local_samples, "synthetic": solution.synthetic_samples},
        "energy [J]": {"compute": solution.compute_energy_j, "upload": solution.upload_energy_j},
        "bandwidth [MHz]": {"": solution.bandwidth_hz / 1e6},
    }
    height = 0.75 + 0.15 * shown.size
    with canvas(4, look, title=title, height=height, ratios=(1.4, 1.2, 1.2, 1)) as (figure, axes):
        for panel, (label, parts) in zip(axes, stacks.items(), strict=True):
            start = np.zeros(shown.size)
            for i, (part, values) in enumerate(parts.items()):
                panel.barh(rows, values[shown], left=start, height=0.75, label=part or None, **fill(i))
                start = start + values[shown]
            panel.set_xlabel(label)
        deadline = float(solution.problem.max_round_latency_s)
        axes[0].axvline(deadline, color="black", linewidth=0.8, linestyle="--")
        rows_of(axes, [drawn_name(solution.label("device", k)) for k in shown], "device")
        for panel in axes:
            key(panel)
    return figure


def plot_tradeoffs(problem: SynthesisProblem, *, points: int = 81, **look: Unpack[Look]) -> Figure:
    """Draw the least energy against the deadline, the error and the bandwidth, with the prices as slopes.

    Parameters
    ----------
    problem : SynthesisProblem
        A single, feasible instance.
    points : int, default 81
        Problems solved per curve; what is infeasible is shaded.
    **look
        As of :class:`radioopt.base.pictures.Look`; three panels.

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
    solution = problem.solve()
    worth, energy = solution.sensitivity(), float(solution.objective)
    highest = energy
    title = f"least energy {energy:.5g} J per round"
    with canvas(len(AXES), look, title=title, least=2.2, sharey=True) as (figure, axes):
        for panel, (name, (label, unit, low, high)) in zip(axes, AXES.items(), strict=True):
            value, slope = float(getattr(problem, name)), float(getattr(worth, name))
            grid = value * np.geomspace(low, high, points)
            if name == "max_global_error":
                grid = grid[grid <= 1.0]
            curve = np.asarray(problem.replace(**{name: grid}).solve(throw=False).objective)
            panel.plot(grid / unit, curve, label="least energy", **line(0, marker=False))
            near = value * np.array([0.85, 1.15])
            price = energy * (1 + slope * (near / value - 1))
            told = f"{slope:+.2g} % per % more"
            panel.plot(near / unit, price, label=told, **line(1, marker=False))
            panel.plot([value / unit], [energy], "o", color=line(1)["color"])
            missing = grid[np.isnan(curve)]
            if missing.size:
                ends = missing.min(), grid[grid > missing.max()].min(initial=grid.max())
                none: Any = {"facecolor": "0.92", "edgecolor": "0.7", "hatch": "///", "label": "infeasible"}
                panel.axvspan(ends[0] / unit, ends[1] / unit, **none)
            panel.set_xlabel(label)
            key(panel)
            highest = max(highest, float(np.nanmax(curve)))
        for panel in axes:
            if panel.get_position().x0 == min(each.get_position().x0 for each in axes):
                panel.set_ylabel("energy per round [J]")
        axes[0].set_ylim(0.0, min(1.05 * highest, 3 * energy))
    return figure
