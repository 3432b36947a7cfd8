"""A picture of an allocation: where each user's delay goes, and its shares of the server and of the band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.pictures import Look, canvas, drawable, drawn_name, fill, key, rows_of, shown_rows
from radioopt.dtkd.pricing import actions_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.dtkd.solution import DistillationSolution


def plot_allocation(solution: DistillationSolution, **look: Unpack[Look]) -> Figure:
    """Draw the delay of every user by its parts, beside the shares of server CPU and band.

    Parameters
    ----------
    solution : DistillationSolution
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
    names = [
        f"{drawn_name(solution.label('device', user))}: {drawn_name(solution.model_names[user])}"
        + ", local" * bool(solution.trains_locally[user])
        for user in shown
    ]
    title = (
        f"cost {float(solution.objective):.5g} at a mean delay of {float(solution.delay_s.mean()):.4g} s; "
        f"{solution.status.name.lower()}, certified gap {max(0.0, float(solution.gap)):.1e}"
    )
    height = 0.75 + 0.19 * shown.size
    with canvas(2, look, title=title, height=height, ratios=(2, 1)) as (figure, (delay, shares)):
        start = np.zeros(shown.size)
        for i, (phase, seconds) in enumerate(parts.items()):
            delay.barh(rows, seconds[shown], left=start, height=0.75, label=phase, **fill(i))
            start = start + seconds[shown]
        limited = np.isfinite(problem.max_delay_s[shown])
        if limited.any():
            limits = problem.max_delay_s[shown][limited]
            delay.plot(limits, rows[limited], "k|", markersize=6, label="deadline")
        delay.set_xlabel("delay of an epoch [s]")
        for i, (name, total) in enumerate(
            (("server_cpu_frequency_hz", "server CPU"), ("bandwidth_hz", "band"))
        ):
            share = 100 * getattr(solution, name)[shown] / getattr(problem, name)
            shares.barh(rows - 0.19 + 0.38 * i, share, height=0.36, label=total, **fill(i))
        shares.set_xlabel("share [%]")
        rows_of((delay, shares), names, "user")
        key(delay)
        key(shares)
    return figure
