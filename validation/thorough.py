"""Thousands of random instances of every problem: through every method and generic solver, and through the certificate.

Two kinds of checks, in chunks that are kept in a folder, so that a run which was ended goes on where it was:

- "references": an instance goes to every method and to all generic solvers that take its size; every answer is repaired
  to feasibility and judged by the certificate.
- "certificates": an instance goes to every exact method, and plain NumPy looks at what the answer claims.

``python -m validation.thorough`` writes docs/validation.md from the counts that are stored beside this file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import OptionError, RadioOptError
from radioopt.base.files import write_whole
from radioopt.base.options import DEFAULT_OPTIONS
from radioopt.base.problem import problem_class
from radioopt.base.spread import spread
from radioopt.base.status import Status
from validation.cross_check import cross_check
from validation.fuzz.solving import DeniedError, judge
from validation.reference import references, room

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("references", "certificates")
#: instances of a chunk
CHUNK = {"references": 20, "certificates": 500}
#: most devices, where a reference or the judge tries every choice
MOST = {
    "references": {"d2d": 5, "d2d-clusters": 5, "d2d-sparse": 5, "dtkd": 4},
    "certificates": {"d2d": 4, "d2d-clusters": 3, "d2d-sparse": 4, "dtkd": 4},
}
#: by how much a reference may report a better objective than it has, relative to its size: its own accuracy
ACCURACY = 1e-4
#: the same of what plays rounds: its estimates of 150 instances have a standard error of 6e-4
ESTIMATES = {"simulation": 1e-2}
#: generic solvers that take an instance only with the choices given that `zoo.given` gives
GIVEN = {"dtkd": ("cvxpy", "ipopt")}
STORED = Path(__file__).with_name("thorough.json")
PAGE = Path(__file__).parents[1] / "docs" / "validation.md"

#: what is counted of a solver
COUNTED = ("instances", "answered", "optimal", "infeasible", "refused", "unproven", "denied")
#: what a method may answer to an instance that it is not made for
REFUSALS = ("OptionError", "ProblemError")
WORST = ("difference", "residual", "gap")


def campaign(
    family: str,
    kind: str,
    count: int,
    *,
    folder: Path,
    seed: int = 0,
    jobs: int = 1,
    seconds: float = math.inf,
    names: Iterable[str] | None = None,
    time_limit_s: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Check random instances of a family, those that the folder does not have yet.

    Parameters
    ----------
    family, kind : str
        Problem, and "references" or "certificates".
    count, seed : int
        Number of instances, and the seed of the first.
    folder : pathlib.Path
        Where chunks are kept.
    jobs : int, default 1
        Processes.
    seconds : float, default inf
        No chunk is begun after so many seconds; those that are kept are read all the same.
    names : iterable of str, optional
        Generic solvers; all that take the size by default.
    time_limit_s : float, default 1
        Limit for a generic solver on an instance [s].
    progress : callable, optional
        Called with the instances that are done, and how many there are.

    Returns
    -------
    dict
        "family", "kind", "instances" done, "solvers" (a dictionary per solver) and "disagreements" (a list).

    Raises
    ------
    OptionError
        If a name or a number cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     found = campaign("feel", "certificates", 20, folder=Path(name))
    >>> found["instances"], found["disagreements"], found["solvers"]["newton"]["optimal"]
    (20, [], 20)
    """
    if kind not in KINDS:
        raise OptionError(f"thorough: unknown kind {kind!r}, choose from {', '.join(KINDS)}")
    if count < 1 or jobs < 1 or not seconds > 0:
        raise OptionError("thorough: expected instances >= 1, jobs >= 1 and seconds > 0")
    chosen = None if names is None else tuple(names)
    for name in chosen or ():
        if name not in references(family):
            raise OptionError(f"--references: unknown {name!r}, choose from {', '.join(references(family))}")
    end, size = time.monotonic() + seconds, CHUNK[kind]
    firsts = range(seed, seed + count, size)
    setting = (chosen, time_limit_s) if kind == "references" else (None, 0.0)

    def calls() -> Iterator[tuple[Any, ...]]:
        for first in firsts:
            length = min(size, seed + count - first)
            if time.monotonic() <= end or file_of(folder, family, kind, first, length).exists():
                yield family, kind, first, length, folder, *setting

    whole: dict[str, Any] = {
        "family": family,
        "kind": kind,
        "instances": 0,
        "solvers": {},
        "disagreements": [],
    }
    for part in spread(chunk, calls(), jobs=jobs, extra="validation"):
        add(whole, part)
        if progress is not None:
            progress(whole["instances"], count)
    return whole


def chunk(
    family: str,
    kind: str,
    first: int,
    count: int,
    folder: Path,
    names: tuple[str, ...] | None = None,
    time_limit_s: float = 1.0,
) -> dict[str, Any]:
    """Check some instances, unless the folder has them: those of seeds ``first`` to ``first + count - 1``."""
    path = file_of(folder, family, kind, first, count)
    most = MOST[kind].get(family)
    setting = [None if names is None else list(names), time_limit_s, most]
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        if kept["setting"] == setting:
            return kept
    check = by_references if kind == "references" else by_certificate
    found: dict[str, Any] = {
        "family": family,
        "kind": kind,
        "instances": 0,
        "solvers": {},
        "disagreements": [],
    }
    zoo, limit = room(family), {} if most is None else {"max_devices": most}
    given = GIVEN.get(family, ()) if kind == "references" else ()
    for seed in range(first, first + count):
        problem = zoo.random(seed, **limit)
        posed = [("", problem, given)]
        if given:
            posed.append((", choices given", zoo.given(problem, seed), ()))
        for words, one, passed_over in posed:
            rows, denied = check(one, names, time_limit_s)
            solvers = {row.pop("solver"): row for row in rows if row["solver"] not in passed_over}
            said = [f"{family}, seed {seed}{words}: {text}" for text in denied]
            add(found, {"instances": int(one is problem), "solvers": solvers, "disagreements": said})
    write_whole(path, json.dumps(found | {"setting": setting}).encode())
    return found


def file_of(folder: Path, family: str, kind: str, first: int, count: int) -> Path:
    """Say where a chunk is kept."""
    return folder / f"{family}-{kind}-{first}-{count}.json"


def add(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add the counts of a part, and keep the worst of both."""
    whole["instances"] += part["instances"]
    whole["disagreements"] += part["disagreements"]
    for solver, row in part["solvers"].items():
        mine = whole["solvers"].setdefault(
            solver, {"kind": row["kind"]} | dict.fromkeys((*COUNTED, *WORST, "seconds"), 0)
        )
        for name in (*COUNTED, "seconds"):
            mine[name] += row[name]
        for name in WORST:
            mine[name] = max(mine[name], row[name])


def by_references(
    problem: Any, names: tuple[str, ...] | None, time_limit_s: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Put an instance to every method and generic solver; say who is denied by whom."""
    table = cross_check(problem, references=names, time_limit_s=time_limit_s)
    sign = 1.0 if problem.sense == "min" else -1.0
    rows, denied = [], []
    answers = {str(solver): row for solver, row in table.iterrows() if np.isfinite(row["objective"])}
    points = [name for name, row in answers.items() if row["verdict"] != Status.FAILED.name]
    # a claim is as good as its gap, and a point that breaks a constraint by as much as may be can be better by that
    tolerance = DEFAULT_OPTIONS.gap_tol + DEFAULT_OPTIONS.feasibility_tol
    for solver, row in table.iterrows():
        mine = _counted(str(solver), row["kind"], float(row["seconds"]))
        answered, optimal = bool(np.isfinite(row["objective"])), row["verdict"] == Status.OPTIMAL.name
        mine |= {"answered": int(answered), "optimal": int(optimal)}
        if answered:
            mine |= {name: _finite(row[name]) for name in WORST}
        words = []
        if row["kind"] != "reference":
            claimed = row["status"]
            mine["infeasible"] = int(claimed == Status.INFEASIBLE.name)
            mine["refused"] = int(claimed.partition(":")[0] in REFUSALS)
            mine["unproven"] = int(row["kind"] == "method" and not optimal and not mine["infeasible"])
            if claimed == Status.OPTIMAL.name and row["verdict"] == Status.FAILED.name:
                words.append(f"{solver} claims an optimum that plain NumPy denies")
            if claimed == Status.OPTIMAL.name and not row["difference"] <= tolerance:
                words.append(f"{solver} claims an optimum that is beaten by {row['difference']:.2g}")
            if mine["infeasible"] and row["kind"] == "method" and points:
                words.append(f"{solver} finds it infeasible, {', '.join(points)} a point")
            if claimed not in Status.__members__ and not mine["refused"]:
                words.append(f"{solver} ended with {claimed}")
            words += _beyond(str(solver), row, answers, sign, float(problem.scale))
        mine["denied"] = int(bool(words))
        denied += words
        rows.append(mine)
    return rows, denied


def _beyond(
    solver: str, row: pd.Series[Any], answers: Mapping[str, pd.Series[Any]], sign: float, scale: float
) -> list[str]:
    """Say which points and reports of others are better than a bound allows.

    A report counts where the point as returned keeps the constraints, though its repair may not.
    """
    bound: float = row["bound"]
    words: list[str] = []
    if not np.isfinite(bound):
        return words
    for name, other in answers.items():
        size, feasible = max(scale, abs(other["objective"])), other["verdict"] != Status.FAILED.name
        if feasible and sign * (bound - other["objective"]) > DEFAULT_OPTIONS.gap_tol * size:
            words.append(f"{name} has a point beyond the bound of {solver}")
        near = other["kind"] == "reference" and other["residual"] <= 1e-6 and np.isfinite(other["reported"])
        if near and sign * (bound - other["reported"]) > ESTIMATES.get(name, ACCURACY) * size:
            words.append(f"{name} reports more than the bound of {solver} allows")
    return words


def by_certificate(
    problem: Any, names: tuple[str, ...] | None = None, time_limit_s: float = 0.0
) -> tuple[list[dict[str, Any]], list[str]]:
    """Solve an instance by every exact method, and let plain NumPy look at each answer."""
    rows: list[dict[str, Any]] = []
    denied: list[str] = []
    objectives: dict[str, float] = {}
    for name, method in problem.methods.items():
        if not method.exact:
            continue
        start = time.process_time()
        mine = _counted(name, "method", 0.0)
        try:
            solution = problem.solve(name, throw=False)
            mine["seconds"] = time.process_time() - start
            check = judge(solution, DEFAULT_OPTIONS, whole=name == "integer")
        except (RadioOptError, DeniedError) as error:
            denied.append(f"{name}: {error}")
            rows.append(mine | {"denied": 1})
            continue
        claimed, infeasible = solution.status is Status.OPTIMAL, solution.status is Status.INFEASIBLE
        optimal = claimed and int(check.status) == Status.OPTIMAL
        mine |= {"answered": int(np.isfinite(solution.objective)), "optimal": int(optimal)}
        mine |= {"infeasible": int(infeasible), "unproven": int(not optimal and not infeasible)}
        if not infeasible:
            mine |= {"residual": _finite(check.residual), "gap": _finite(check.gap)}
        if claimed:
            objectives[name] = float(solution.objective)
        rows.append(mine)
    if objectives:
        sign = 1.0 if problem.sense == "min" else -1.0
        best = min(objectives.values(), key=lambda value: sign * value)
        size = max(float(problem.scale), abs(best), np.finfo(float).tiny)
        for row in rows:
            if row["solver"] in objectives:
                row["difference"] = sign * (objectives[row["solver"]] - best) / size
                if row["difference"] > 2 * DEFAULT_OPTIONS.gap_tol:
                    denied.append(
                        f"{row['solver']} claims an optimum that is {row['difference']:.2g} off another"
                    )
                    row["denied"] = 1
    return rows, denied


def _counted(solver: str, kind: str, seconds: float) -> dict[str, Any]:
    zeros = dict.fromkeys((*COUNTED, *WORST), 0)
    return {"solver": solver, "kind": kind, **zeros, "instances": 1, "seconds": seconds}


def _finite(value: Any) -> float:
    """Return a number, and 0 for what is not there: a baseline has no gap where there is no bound."""
    return float(value) if np.isfinite(value) else 0.0


def table(found: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate what a campaign found.

    Parameters
    ----------
    found : mapping
        Result of :func:`campaign`.

    Returns
    -------
    pandas.DataFrame
        A row per solver: how many instances it was asked, answered, is certified optimal on, finds infeasible, refuses,
        leaves unproven, is denied on; the worst difference to the best objective, residual and gap; mean seconds.
    """
    import pandas as pd

    rows = [
        {"solver": solver, **row, "seconds": row["seconds"] / max(row["instances"], 1)}
        for solver, row in found["solvers"].items()
    ]
    return pd.DataFrame(rows).set_index("solver").rename(columns={name: f"worst_{name}" for name in WORST})


def families(problem: str | None) -> tuple[str, ...]:
    """Return one family, or all that can be checked."""
    from validation.reference import checked_families

    if problem is None:
        return checked_families()
    problem_class(problem)
    return (problem,)


def page(documents: Iterable[Mapping[str, Any]]) -> str:
    """Write docs/validation.md.

    Parameters
    ----------
    documents : iterable of mapping
        Results of :func:`campaign`.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> page([]).splitlines()[0]
    '# Validation at scale'
    """
    documents = list(documents)
    lines = [
        "# Validation at scale",
        "",
        "`radioopt validate --thorough --folder runs/thorough --jobs 2` checks 1,000 random instances of every",
        "problem against all generic solvers and 100,000 by certificate. It can be interrupted and goes on where it",
        "was. Generic solvers' points are repaired to feasibility before they are compared. The command ends with an",
        "error if any claim is denied. A claim is denied if",
        "",
        "- plain NumPy or a generic solver's point shows that an optimum is none;",
        "- a point, or an objective that a solver reports, is better than a bound;",
        "- a problem that is called infeasible has a feasible point.",
        "",
        f"`python -m validation.thorough` writes this page from the counts stored in `validation/{STORED.name}`.",
        "The column `instances` says how many were checked in that run.",
        "",
        "- Instances are small where every choice is tried: at most "
        f"{MOST['references']['d2d']} devices of D2D and {MOST['references']['dtkd']} of DT-KD.",
        "- Each instance of DT-KD is posed twice to generic solvers: as it is, and with models and places given.",
        f"  `{'` and `'.join(GIVEN['dtkd'])}` take it only with both given.",
        "- A generic solver has a second for an instance. `answered` leaves out what it does not answer in that",
        "  time, what its model does not express, and what has no point. `enumeration` takes longer where there are",
        "  thousands of choices.",
        f"- An objective that a solver reports may be off by {ACCURACY:g}, relative: the solver's own accuracy. That",
        f"  of the simulation is an estimate and may be off by {ESTIMATES['simulation']:g}.",
    ]
    for kind, words in zip(KINDS, ("Against generic solvers", "By certificate"), strict=True):
        lines += ["", f"## {words}", ""]
        lines += [
            "| problem | solver | " + " | ".join((*COUNTED, *WORST, "seconds")) + " |",
            "|" + "---|" * (3 + len(COUNTED) + len(WORST)),
        ]
        for found in documents:
            if found["kind"] != kind:
                continue
            for solver, row in table(found).iterrows():
                counts = " | ".join(str(row[name]) for name in COUNTED)
                worst = " | ".join(f"{row[f'worst_{name}']:.1e}" for name in WORST)
                lines.append(f"| {found['family']} | {solver} | {counts} | {worst} | {row['seconds']:.2g} |")
    total = sum(len(found["disagreements"]) for found in documents)
    lines += ["", f"Disagreements: {total}."]
    lines += [f"- {text}" for found in documents for text in found["disagreements"]]
    lines += [
        "",
        "- `answered`: a point came back.",
        "- `optimal`: the certificate proves it. `infeasible`: the method says that there is no point.",
        "- `refused`: the method does not take such instances.",
        "- `unproven`: an exact method's answer that is neither proven nor infeasible. `denied`: a wrong claim.",
        "- `difference`: to the best objective of all, relative. `gap`: to the bound, relative.",
        "- `residual`: violation of a constraint. This and the two before are the worst of all answers.",
        "- `seconds`: the mean; by certificate, of CPU time to solve.",
        "",
        "Methods that do not claim an optimum, such as the papers' searches and baselines, may be far from it.",
        "So may generic solvers that end at their time limit.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_whole(PAGE, page(json.loads(STORED.read_text())["campaigns"]).encode())
    print(f"written: {PAGE}")
