"""Pictures of a benchmark: times over the number of devices, and performance profiles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.files import write_whole
from radioopt.base.pictures import Look, canvas, drawn, key, line
from validation.bench.profiles import shares
from validation.bench.results import Results, Row
from validation.bench.suite import OURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: names of the files
SCALING, PROFILES = "bench_scaling.png", "bench_profiles.png"
#: what is timed of an instance that is posed and modelled already
SOLVES = ("solve", "update + solve", "parameters + solve", "one start", "3000 steps")
#: what the problems are called
TITLES = {"d2d": "D2D", "dtkd": "DT-KD", "feel": "FEEL", "fimi": "FIMI"}
#: a line needs so many sizes
LEAST_SIZES = 2


def scaling(results: Results, **look: Unpack[Look]) -> Figure:
    """Draw the least time of a solve over the number of devices, a panel for each problem.

    Parameters
    ----------
    results : Results
        What a run measured.
    **look
        As of :class:`radioopt.base.pictures.Look`.

    Returns
    -------
    matplotlib.figure.Figure
        A line for each solver with several sizes. Where nothing proves an optimum, all answers count.
    """
    lines: dict[str, dict[str, dict[int, float]]] = {}
    for row in results.rows:
        if row.measured and row.devices and row.what in SOLVES and row.threads in (None, 1):
            if row.found < row.answered:
                continue
            sizes = lines.setdefault(row.family, {}).setdefault(_label(row), {})
            sizes[row.devices] = min(row.minimum_s, sizes.get(row.devices, np.inf))
    shown = {
        family: {label: sizes for label, sizes in solvers.items() if len(sizes) >= LEAST_SIZES}
        for family, solvers in lines.items()
    }
    shown = {family: solvers for family, solvers in shown.items() if solvers}
    with canvas(len(shown), look, title="Time of a solve", least=3.0, height=3.0) as (figure, panels):
        for panel, (family, solvers) in zip(panels, shown.items(), strict=True):
            for i, (label, sizes) in enumerate(sorted(solvers.items(), key=lambda item: OURS not in item[0])):
                x = sorted(sizes)
                panel.loglog(x, [sizes[devices] for devices in x], label=label, **line(i))
            panel.set(xlabel=f"devices ({TITLES.get(family, family)})", ylabel="time of a solve [s]")
            panel.grid()
            key(panel)
    return figure


def _label(row: Row) -> str:
    special = row.instance.partition(", ")[2]
    return row.solver + (", in a batch" if row.problems > 1 else "") + (f", {special}" if special else "")


def profiles(results: Results, **look: Unpack[Look]) -> Figure:
    """Draw on which share of random instances a solver is at most so many times slower than the fastest.

    Parameters
    ----------
    results : Results
        What a run measured.
    **look
        As of :class:`radioopt.base.pictures.Look`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each problem, a line for each solver.
    """
    families = list(dict.fromkeys(row["family"] for row in results.profiles))
    with canvas(len(families), look, title="Performance profiles", least=3.0, height=3.0) as (figure, panels):
        for panel, family in zip(panels, families, strict=True):
            times = shares(results.profiles, family)
            ends = [
                found[np.isfinite(found)].max() for found in times.values() if np.isfinite(found[:1]).any()
            ]
            last = 2.0 * max(ends, default=1.0)
            for i, (solver, found) in enumerate(times.items()):
                x = found[np.isfinite(found)]
                if not len(x):
                    continue
                share = np.arange(1, len(x) + 1) / len(found)
                asked = sum((row["family"], row["solver"]) == (family, solver) for row in results.profiles)
                label = solver if asked == len(found) else f"{solver} (asked {asked} of {len(found)})"
                curve = [1.0, *x, last], [0.0, *share, share[-1]]
                panel.step(*curve, where="post", label=label, **line(i, marker=False))
            panel.set(xscale="log", xlim=(1.0, last), ylim=(0.0, 1.03))
            panel.set(xlabel=f"times the fastest ({TITLES.get(family, family)})", ylabel="share of instances")
            panel.grid()
            key(panel)
    return figure


def draw_pictures(results: Results, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw both pictures into a folder, each file whole or not at all.

    Parameters
    ----------
    results : Results
        What a run measured.
    folder : path-like
        Where.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    made = {SCALING: scaling(results)} | ({PROFILES: profiles(results)} if results.profiles else {})
    return [write_whole(Path(folder) / name, drawn(figure, "png")) for name, figure in made.items()]
