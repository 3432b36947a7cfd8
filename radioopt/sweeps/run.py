"""Run a sweep: every point of the grid, here or in several processes, with what is done kept."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import problem_class
from radioopt.base.progress import progress_bar
from radioopt.base.spread import spread
from radioopt.base.status import Status
from radioopt.scenario import Scenario
from radioopt.sweeps.grid import Axis, axes_of, described, points
from radioopt.sweeps.point import Answers, Kept, Question, questions_of, solved
from radioopt.sweeps.result import Sweep, columns_of

#: a point that is not answered yet: its number, its scenario, what is solved
Task = tuple[int, Scenario, tuple[Question, ...]]


def sweep(
    scenario: Scenario | str | os.PathLike[str],
    vary: Mapping[str, Any],
    *,
    draws: int = 100,
    problems: str | Sequence[str] | None = None,
    seed: int = 0,
    options: SolveOptions = DEFAULT_OPTIONS,
    folder: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Sweep:
    """Solve problems over a grid of settings, with many draws of the devices at each point.

    Parameters
    ----------
    scenario : Scenario or path-like
        The cell and its devices; a file, or the name of a scenario that comes with radioopt.
    vary : mapping of str to sequence
        Values by key of the scenario, bare or ``table.key``, as of :meth:`Scenario.replace`; the grid has every
        combination.
    draws : int, default 100
        Independent draws of the devices >= 1 at each point.
    problems : str or sequence of str, optional
        Families that the scenario has a table of, ``"feel"``, or with a method, ``"feel:bisection"``, your own
        included. By default all, by their exact methods.
    seed : int, default 0
        Seed >= 0 of the draws. It is the same at all points, so that those with as many devices have the same places
        and the same fading, and differ in what is varied alone.
    options : SolveOptions, optional
        Tolerances and limits.
    folder : path-like, optional
        Where answers are kept, a file per point and problem. The same sweep goes on from there after an interruption;
        one with other values, or more problems, takes what is there. A method of your own is known by its own source
        text: remove the folder after a change of what it calls.
    jobs : int, default 1
        Processes that share the points, by joblib; -1 takes all cores. All draws of a point are one batched call whose
        kernel takes all cores anyway; processes are for methods that go through a batch one by one, as those of D2D.
    progress : bool, default True
        Show a bar, on a terminal, if it takes longer than a second.

    Returns
    -------
    Sweep
        ``to_frame()``, a row per point, draw and problem; ``summary()``, ``plot()``, ``to_latex()``, ``save()``.

    Raises
    ------
    OptionError
        If nothing is varied, there is no such problem or method, or a number is out of its range.
    ProblemError
        If a key is unknown, or a value is refused; the message says at which point. All points are checked before the
        first one is solved.

    Notes
    -----
    An infeasible draw raises nothing: it is a row whose status says so and whose numbers are NaN.

    Examples
    --------
    >>> from radioopt import sweep
    >>> found = sweep("feel-cpu", {"bandwidth_hz": [5e6, 10e6, 20e6]}, draws=20)
    >>> found.to_frame().shape[0], found.to_frame()["status"].unique().tolist()
    (60, ['OPTIMAL'])
    >>> found.summary("round_latency_s")["mean"].is_monotonic_decreasing
    True
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario)
    for name, value, low in (("draws", draws, 1), ("seed", seed, 0)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
            raise OptionError(f"{name}: expected a whole number >= {low}, got {value!r}")
    if jobs != -1 and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
        raise OptionError(f"jobs: expected a number of processes >= 1, or -1 for all cores, got {jobs!r}")
    if not isinstance(options, SolveOptions):
        raise OptionError(f"options: expected SolveOptions(...), got {options!r}")
    draws, seed = int(draws), int(seed)
    axes, questions = axes_of(scenario, vary), questions_of(scenario, problems)
    _refuse_equal_names(axes, questions)
    kept = None if folder is None else Kept(folder, draws, seed, options)
    grid = list(points(scenario, axes))
    found: dict[tuple[int, str], Answers] = {}
    tasks: list[Task] = []
    for number, (_, _, here) in enumerate(grid):
        missing = []
        for question in questions:
            answers = None if kept is None else kept.read(here, question)
            if answers is None:
                missing.append(question)
            else:
                found[number, question.name] = answers
        if missing:
            tasks.append((number, here, tuple(missing)))
    with progress_bar("sweep", len(grid), enabled=progress) as report:
        done = len(grid) - len(tasks)
        report(done)
        results = _results(tasks, draws, seed, options, jobs)
        for number, here, missing_here in tasks:
            where = described(axes, grid[number][1])
            try:
                answered = next(results)
            except ProblemError as error:
                raise ProblemError(f"sweep: at {where}: {error}") from None
            for question, answers in zip(missing_here, answered, strict=True):
                found[number, question.name] = answers
                if kept is not None:
                    kept.write(here, question, answers)
            done += 1
            report(done, where)
    frames = []
    for number, (at, _, _) in enumerate(grid):
        place = {axis.key: axis.shown[i] for axis, i in zip(axes, at, strict=True)}
        for question in questions:
            frames.append(_rows(place, question, found[number, question.name]))
    frame = pd.concat(frames, ignore_index=True)
    return Sweep(frame, axes, questions, draws, seed, scenario)


def _rows(place: Mapping[str, Any], question: Question, answers: Answers) -> pd.DataFrame:
    codes = answers["status_code"]
    names = {int(code): Status(int(code)).name for code in np.unique(codes)}
    rows = dict(place) | {
        "problem": question.name,
        "draw": np.arange(len(codes)),
        "status": [names[code] for code in codes.tolist()],
    }
    return pd.DataFrame(rows | {name: of for name, of in answers.items() if name != "status_code"})


def _refuse_equal_names(axes: Sequence[Axis], questions: Sequence[Question]) -> None:
    """Refuse an axis that has the name of a result."""
    for question in questions:
        results = {"problem", "draw", "status", *columns_of(problem_class(question.family))}
        for axis in axes:
            if axis.key in results:
                raise OptionError(
                    f"vary: {axis.key} is a result of {question.family} too: write table.{axis.key}"
                )


def _results(
    tasks: Sequence[Task], draws: int, seed: int, options: SolveOptions, jobs: int
) -> Iterator[list[Answers]]:
    """Solve points in order, here or in other processes."""
    work = ((here, questions, draws, seed, options) for _, here, questions in tasks)
    try:
        yield from spread(solved, work, jobs=jobs if len(tasks) > 1 else 1, extra="validation")
    except pickle.PicklingError as error:
        reason = str(error.__cause__ or error).strip('"\n').splitlines()[-1]
        raise OptionError(
            f"jobs: a method cannot be sent to other processes ({reason}): take jobs=1"
        ) from error
