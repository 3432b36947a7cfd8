"""Run the benchmark: contestants take turns on the same instances, then every answer is measured."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import DEFAULT_OPTIONS
from radioopt.base.status import Status
from validation.bench import machine
from validation.bench.profiles import PROFILE, profile
from validation.bench.results import FOUND_GAP, Results, Row, judge_goal
from validation.bench.streaming import threads
from validation.bench.suite import OURS, Case, Group, Suite, Timed, suite
from validation.bench.timing import QUICK, Plan, Runner, race
from validation.measure import measure
from validation.process import command

#: names of the instances of rows that come from processes of their own: first calls, and large ones
FRESH, ALONE = "fresh process", "process of its own"
#: a process that has not answered by then is ended [s]
APART_LIMIT_S = 600.0

Progress = Callable[[int, int, str], None]


def run(
    families: Iterable[str | Suite],
    *,
    quick: bool = False,
    only: str | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run the benchmark of some families.

    Parameters
    ----------
    families : iterable of str or Suite
        Families of :func:`~validation.bench.timed_families`, or benchmarks themselves.
    quick : bool, default False
        Small instances and few repetitions: a look, not a measurement.
    only : str, optional
        Run only rows whose label (family/instance/solver/what) contains this text, or matches it if it
        holds ``*`` or ``?``; upper and lower case are the same.
    plan : Plan, optional
        How much is measured; chosen by ``quick`` by default.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Results
        Rows, goals, machine.

    Raises
    ------
    OptionError
        If a family has no benchmark, or no row matches ``only``.

    Examples
    --------
    >>> results = run(["feel"], only="K=10/radioopt newton/solve", plan=Plan(1, 0.0, 0.0))
    >>> [(row.what, row.found == row.answered > 0) for row in results.rows]
    [('solve', True)]
    """
    chosen = [suite(family, quick=quick) if isinstance(family, str) else family for family in families]
    plan = plan or (QUICK if quick else Plan())
    results = Results(
        machine=machine.describe(name for one in chosen for name in one.packages),
        plan=dataclasses.asdict(plan) | {"quick": quick, "only": only, "found_gap": FOUND_GAP},
    )
    work = [(one, group, _selected(one, group, only)) for one in chosen for group in one.groups]
    apart = [
        (one, instance, name)
        for one in chosen
        for instance, names in ((FRESH, one.fresh), (ALONE, one.alone))
        for name in names
        if _matches(f"{one.family}/{instance}/{OURS}/{name}", only)
    ]
    profiled = [one for one in chosen if one.profiled and _matches(f"{one.family}/{PROFILE}", only)]
    total = len(apart) + sum(len(cases) for _, _, cases in work) + sum(one.profiled for one in profiled)
    if not total:
        raise OptionError(f"no row of the benchmark matches {only!r}")
    done = 0

    def step(text: str, count: int = 1) -> None:
        nonlocal done
        if progress is not None:
            progress(done, total, text)
        done += count

    for one, instance, name in apart:
        step(f"{one.family}, {instance}: {name}")
        results.rows += (_fresh_rows if instance == FRESH else _alone_rows)(one, name)
    for one, group, cases in work:
        if cases:
            results.instances[f"{one.family}/{group.instance}"] = group.summary
            results.rows += _group_rows(one.family, group, cases, plan, step)
    for one in profiled:
        for number in range(one.profiled):
            step(f"{one.family}: random instance {number}, solver by solver")
            results.profiles += profile(one.family, number)
    for one in chosen:
        results.goals += [judge_goal(one.family, goal, results.rows) for goal in one.goals]
        results.notes[one.family] = list(one.notes)
    results.machine["load_end"] = machine.load()
    if progress is not None:
        progress(total, total, "")
    return results


def _matches(label: str, only: str | None) -> bool:
    if only is None:
        return True
    label, only = label.lower(), only.lower()
    return fnmatch.fnmatchcase(label, only) if set("*?") & set(only) else only in label


def _selected(one: Suite, group: Group, only: str | None) -> list[Case]:
    return [case for case in group.cases if _matches(_row(one.family, group, case).label, only)]


def _row(family: str, group: Group, case: Case) -> Row:
    return Row(family, group.instance, case.solver, case.what, case.tolerance, case.threads)


def _obstacle(case: Case) -> str:
    """Say why a case cannot run here; empty if it can."""
    import numba

    if case.not_run:
        return f"not run: {case.not_run}"
    for module, package in case.modules.items():
        hidden = module in sys.modules and sys.modules[module] is None
        if hidden or importlib.util.find_spec(module) is None:
            return f"missing: {module} is not installed (pip install {package})"
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    if case.threads is not None and case.threads > most:
        return f"missing: {case.threads} threads, and there are {most}"
    return ""


def _group_rows(
    family: str, group: Group, cases: Sequence[Case], plan: Plan, step: Callable[..., None]
) -> list[Row]:
    """Prepare all contestants of a group, let them race, judge their answers."""
    problems = group.make()
    entered: list[tuple[Row, Case, Timed | None, Runner | None]] = []
    for case in cases:
        step(f"{family} {group.instance}: {case.solver}, {case.what}")
        row = _row(family, group, case)
        row.note = _obstacle(case)
        timed, runner = None, None
        if not row.note:
            try:
                timed = case.setup(problems)
                around = None if case.threads is None else functools.partial(threads, case.threads)
                clock = time.process_time if plan.cpu else time.perf_counter
                runner = Runner(timed.call, len(timed.problems), around, timed.parts, clock)
                runner.calibrate(plan)
            except Exception as error:  # whatever it is, the others are to run
                row.note, runner = f"failed: {type(error).__name__}: {error}", None
        entered.append((row, case, timed, runner))
    step(f"{family} {group.instance}: all in turn", 0)
    race([runner for *_, runner in entered if runner is not None], plan)
    rows: list[Row] = []
    for row, case, timed, runner in entered:
        rows.append(row)
        if timed is None or runner is None:
            continue
        if runner.error is not None:
            row.note = f"failed: {type(runner.error).__name__}: {runner.error}"
            continue
        row.problems = max(1, math.prod(timed.problems[0].batch_shape))
        row.devices = timed.problems[0].sizes["device"]
        _enter_times(row, runner.samples, runner.calls)
        with runner._around():
            _judge(row, timed, runner.last, plan)
        for part, samples in runner.part_samples.items():
            rows.append(_part(row, f"{case.what}: {part}", samples, len(samples)))
        if timed.once_s is not None:
            rows.append(_part(row, "model, once", [timed.once_s * row.problems], 1))
    return rows


def _enter_times(row: Row, samples: Sequence[float], calls: int) -> None:
    times = np.asarray(samples) / row.problems
    row.samples, row.calls = len(times), calls
    row.minimum_s, row.median_s = float(times.min()), float(np.median(times))
    if len(times) >= 4:
        low, high = np.quantile(times, [0.25, 0.75])
        row.spread = float((high - low) / row.median_s)


def _part(row: Row, what: str, samples: Sequence[float], calls: int) -> Row:
    part = Row(row.family, row.instance, row.solver, what, row.tolerance, row.threads)
    part.problems, part.devices = row.problems, row.devices
    _enter_times(part, samples, calls)
    return part


def _judge(row: Row, timed: Timed, last: tuple[int, Any], plan: Plan) -> None:
    """Measure the last answer, and ask for the others once more; where calls are long for one or a few only."""
    if timed.error is not None:
        row.error = timed.error(*last) if last[0] == 0 else timed.error(0, timed.call(0))
    if timed.decisions is None:
        return
    start, residuals, gaps, claims = time.perf_counter(), [], [], set()
    for i in sorted(range(len(timed.problems)), key=lambda i: i != last[0]):
        if row.answered and time.perf_counter() - start + row.median_s * row.problems > plan.cap_s:
            break
        row.answered += row.problems
        try:
            raw = timed.call(i) if row.answered > row.problems else last[1]
            returned, repaired = measure(timed.problems[i], timed.decisions(i, raw), DEFAULT_OPTIONS)
        except Exception as error:
            claims.add(f"{type(error).__name__}: {error}")
            continue
        if timed.claim is not None:
            claims.add(timed.claim(raw))
        gap, status = np.asarray(repaired.gap), np.asarray(repaired.status)
        residuals.append(np.where(np.isnan(returned.residual), np.inf, returned.residual))
        gaps.append(np.where(np.isnan(gap), np.inf, gap))
        row.found += int(np.count_nonzero((status != Status.FAILED) & (gap <= FOUND_GAP)))
        row.optimal += int(np.count_nonzero(status == Status.OPTIMAL))
    row.claim = ", ".join(sorted(claims))
    if gaps:
        row.residual = max(0.0, float(np.max([np.max(value) for value in residuals])))
        row.gap = float(np.max([np.max(value) for value in gaps]))


def uncertified(results: Results) -> list[Row]:
    """Rows of radioopt that failed, or whose answers are not all certified optimal.

    Parameters
    ----------
    results : Results
        What a run measured.

    Returns
    -------
    list of Row
        Empty if all is well. A row that this machine cannot run is not among them.
    """
    ours = [row for row in results.rows if row.solver.split()[0] == OURS]
    return [row for row in ours if row.note.startswith("failed") or row.optimal < row.answered]


def _fresh_rows(one: Suite, name: str) -> list[Row]:
    """First call of a new installation, then in one with an empty cache, then in others that find it filled."""
    rows = []
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as cache:
        for what, repeat, folder, compiling in (
            ("first answer of an installation", 1, empty, "background"),
            ("first call ever (compiles)", 1, cache, "wait"),
            ("first call of a process", 3, cache, "wait"),
        ):
            row = Row(one.family, FRESH, OURS, f"{name}: {what}")
            told = []
            for _ in range(repeat):
                told.append(_ask("first", one.family, name, folder, compiling))
                if "error" in told[-1]:
                    row.note = f"failed: {told[-1]['error']}"
                    break
            rows.append(row)
            if row.note:
                break
            _enter_apart(row, told)
    return rows


def _alone_rows(one: Suite, name: str) -> list[Row]:
    """Large calls of a process that finds its kernels compiled."""
    row = Row(one.family, ALONE, OURS, name)
    told = _ask("alone", one.family, name, None, "wait")
    if "error" in told:
        row.note = f"failed: {told['error']}"
    else:
        _enter_apart(row, [told])
    return [row]


def _enter_apart(row: Row, told: Sequence[dict[str, Any]]) -> None:
    _enter_times(row, seconds := [one for answer in told for one in answer["seconds"]], len(seconds))
    row.memory_bytes = max(float(answer["memory_bytes"]) for answer in told)


def _ask(kind: str, family: str, name: str, cache: str | None, compiling: str) -> dict[str, Any]:
    where = (
        os.environ | {"RADIOOPT_COMPILE": compiling} | ({} if cache is None else {"NUMBA_CACHE_DIR": cache})
    )
    asked = command("validation.bench.fresh", kind, family, name)
    with subprocess.Popen(
        asked, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        try:
            answer, trouble = started.communicate(timeout=APART_LIMIT_S)
        except subprocess.TimeoutExpired:
            started.kill()
            return {"error": f"no answer within {APART_LIMIT_S:g} s"}
    if started.returncode:
        return {"error": (trouble.strip().splitlines() or [f"exit code {started.returncode}"])[-1]}
    told: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return told
