"""Write a report of whatever there is to report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radioopt
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten
from radioopt.base.solution import Solution
from radioopt.reports import allocation
from radioopt.reports.page import Chapter, page_path, write

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.scenario import Scenario


def report(
    path: str | os.PathLike[str],
    *subjects: Any,
    scenario: Scenario | None = None,
    checked: pd.DataFrame | str | Mapping[str, pd.DataFrame | str] | None = None,
    title: str | None = None,
) -> Path:
    """Write one HTML page on allocations, training runs or sweeps; it opens anywhere, without a network.

    Parameters
    ----------
    path : path-like
        Ends in ".html"; an existing file is replaced.
    *subjects : Solution, Sweep, TrainingResult, TrainingSweep, Comparison or RunComparison
        What to tell of, a chapter each: at least one. A solution is a single instance, and may be infeasible.
    scenario : Scenario, optional
        What the solutions were drawn from, whose keys are then listed.
    checked : pandas.DataFrame or mapping of str to DataFrame, optional
        What ``validation.cross_check`` returned for the problem, or by family; a text in its place says why there is
        none.
    title : str, optional
        Of the page; by default that of the scenario or of the subjects.

    Returns
    -------
    pathlib.Path
        The file, the same for the same subjects, but for the seconds that other solvers took.

    Raises
    ------
    OptionError
        If there is nothing to tell of, a subject is something else or a batch, or the path does not end in ".html".
    MissingExtraError
        If matplotlib or Jinja is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import radioopt as ro
    >>> scenario = ro.Scenario.load("feel-cpu")
    >>> solution = scenario.draw(seed=1).problem("feel").solve()
    >>> file = ro.report(f"{mkdtemp()}/cell.html", solution, scenario=scenario)
    >>> "proven optimal" in file.read_text()
    True
    """
    page_path(path)
    if not subjects:
        raise OptionError("report: expected a solution or runs to tell of, got none")
    alone = len(subjects) == 1
    chapters = [_chapter(each, f"f{i}", scenario, checked, alone) for i, each in enumerate(subjects, start=1)]
    named = title or (scenario.name if scenario is not None else chapters[0].title)
    foot = f"Written by radioopt {radioopt.__version__}. The file holds all it shows and loads nothing."
    return write(path, named, chapters, foot)


def _chapter(
    subject: Any,
    name: str,
    scenario: Scenario | None,
    checked: pd.DataFrame | str | Mapping[str, pd.DataFrame | str] | None,
    alone: bool,
) -> Chapter:
    """Tell of a subject: a solution, or what tells of itself."""
    if isinstance(subject, Solution):
        family = subject.problem.family
        own = checked.get(family) if isinstance(checked, Mapping) else checked
        return allocation.chapter(subject, name, scenario=scenario, checked=own, alone=alone)
    tell = getattr(subject, "chapter", None)
    if tell is None or isinstance(subject, type):
        raise OptionError(
            f"report: expected a solution, a sweep or runs, got {shorten(subject)}: solve a problem, or take "
            "learning.compare_runs(folders) for saved runs; radioopt report takes folders of sweeps, too"
        )
    told: Chapter = tell(name)
    return told
