"""Any problem by any method: an answer that plain NumPy and the other methods do not deny, or words of ours."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from radioopt import RadioOptError, Solution, SolveError, SolveOptions, Status, load
from radioopt.base.certify import Certificate
from radioopt.base.problem import Problem
from radioopt.base.solution import ROUNDING
from validation.fuzz import draw

FAMILIES = ("feel", "fimi", "dtkd", "d2d", "mix2fld")
#: options with which a method takes milliseconds
QUICK: dict[tuple[str, str], dict[str, Any]] = {
    ("fimi", "cross-entropy"): {"rounds": 3, "draws": 20, "elite": 3},
    ("d2d", "q-learning"): {"iterations": 60},
    ("dtkd", "q-learning"): {"episodes": 200},
    ("dtkd", "q-learning-only"): {"episodes": 200},
    ("dtkd", "exact"): {"node_limit": 2_000},
    ("d2d", "enumerate"): {"max_graphs": 20_000},
}
#: one in so many infeasible answers of a trial says why, which takes FIMI longer than all the rest together
EXPLAINED = 8
#: by how much an objective may differ between two evaluations, relative to its size
AGREE = 1e-6


class DeniedError(AssertionError):
    """Something claimed that is not so."""


def trial(seed: int) -> str:
    """Draw a problem, solve it by a method, and look at all that a user would.

    Parameters
    ----------
    seed : int
        The same seed makes the same trial.

    Returns
    -------
    str
        What came of it: ``"refused"``, or the names of the statuses.

    Raises
    ------
    DeniedError
        If a claim is not so. Any other error or warning that gets out is a fault as well.
    """
    rng = np.random.default_rng([seed, 1])
    family = str(rng.choice(FAMILIES))
    try:
        problem = draw.problem(family, rng)
    except RadioOptError:
        return "refused"
    method = str(
        rng.choice([name for name in problem.methods if name != "q-learning-only" or rng.random() < 0.3])
    )
    extra = dict(QUICK.get((family, method), {}))
    if rng.random() < 0.2 and "integer" in problem.methods[method].options:
        extra["integer"] = True
        if "node_limit" in problem.methods[method].options:
            extra["node_limit"] = 200
    options = SolveOptions(
        gap_tol=float(rng.choice([1e-9, 1e-9, 1e-6, 0.0])), max_iterations=int(rng.choice([500, 500, 20, 1]))
    )
    try:
        solution = problem.solve(method, options, throw=False, **extra)
    except RadioOptError:
        return "refused"
    look_at(solution, rng, explain=seed % EXPLAINED == 0)
    judge(solution, options, whole=bool(extra.get("integer")) or method in ("integer", "round-up"))
    if rng.random() < 0.3:
        compare(problem, solution, method)
    return ", ".join(sorted({Status(int(code)).name for code in np.atleast_1d(solution.status_code)}))


def look_at(solution: Solution, rng: np.random.Generator, *, explain: bool = True) -> None:
    """Print, tabulate, raise, save and load: none of it may fail."""
    repr(solution), repr(solution.problem)
    solution.to_frame(), solution.to_frame(())
    if explain or not (solution.status_code == Status.INFEASIBLE).any():
        try:
            solution.raise_for_status()
        except SolveError as error:
            str(error)
    if not solution.batch_shape:
        json.dumps(solution.summary())
    if rng.random() < 0.02:
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("npz", "json"):
                path = solution.save(Path(folder) / f"answer.{suffix}")
                if load(path) != solution:
                    raise DeniedError(f"{path.suffix}: another solution after loading")


def judge(solution: Solution, options: SolveOptions, *, whole: bool) -> Certificate:
    """Deny what plain NumPy does; return what it finds.

    That is an optimum that violates a constraint, beats its bound, or has another objective, and two statuses for one
    answer.
    """
    check = solution.verify(options)
    str(check), repr(check)
    claimed = np.atleast_1d(solution.status_code)
    objective = np.atleast_1d(np.asarray(solution.objective, np.float64))
    found, codes = np.atleast_1d(np.asarray(check.objective)), np.atleast_1d(check.status)
    residual = np.atleast_1d(check.residual)
    other = claimed != codes
    if other.any() and not check.note:
        raise DeniedError(f"statuses {claimed}, and of the same answer {codes}, without a reason")
    settled = (claimed == Status.FEASIBLE) & ~(np.atleast_1d(solution.gap) <= ROUNDING)
    if solution.problem.methods[solution.method].exact and (settled & (codes == Status.OPTIMAL)).any():
        raise DeniedError(f"statuses {claimed}, and of the same answer {codes}, which proves more")
    for i in np.flatnonzero(claimed == Status.OPTIMAL):
        if not np.isfinite(objective[i]):
            raise DeniedError(f"instance {i}: OPTIMAL with objective {objective[i]}")
        scale = np.maximum(np.broadcast_to(solution.problem.scale, objective.shape)[i], abs(objective[i]))
        if not abs(found[i] - objective[i]) <= AGREE * scale:
            raise DeniedError(f"instance {i}: OPTIMAL with {objective[i]!r}, plain NumPy says {found[i]!r}")
        if codes[i] == Status.FAILED and not (whole and residual[i] <= options.feasibility_tol):
            raise DeniedError(f"instance {i}: OPTIMAL, and plain NumPy: {check}")
    return check


def compare(problem: Problem[Any], solution: Solution, method: str) -> None:
    """Deny an optimum that another method's point beats."""
    claimed = np.atleast_1d(solution.status_code)
    if not (claimed == Status.OPTIMAL).any():
        return
    sign = 1.0 if problem.sense == "min" else -1.0
    mine = np.atleast_1d(np.asarray(solution.objective, np.float64))
    scale = np.maximum(
        np.broadcast_to(np.asarray(problem.scale, np.float64), problem.batch_shape or (1,)), abs(mine)
    )
    for other in problem.methods:
        if other in (method, "q-learning", "q-learning-only", "integer", "cross-entropy", "round-up"):
            continue
        try:
            rival = problem.solve(other, throw=False, **QUICK.get((problem.family, other), {}))
        except RadioOptError:
            continue
        theirs = np.atleast_1d(np.asarray(rival.objective, np.float64))
        usable = np.atleast_1d(rival.status_code) <= Status.ITERATION_LIMIT
        beaten = (claimed == Status.OPTIMAL) & usable & (sign * (mine - theirs) > AGREE * scale)
        whole = solution.decisions[0] in ("batchsize", "synthetic_samples") and method == "newton"
        if beaten.any() and not whole:
            i = int(np.argmax(beaten))
            raise DeniedError(f"instance {i}: {method} OPTIMAL with {mine[i]!r}, {other} has {theirs[i]!r}")
