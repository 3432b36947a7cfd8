"""What a change of each field costs, and from where on nothing is feasible, by solving again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.options import SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import Array, Quantity
from radioopt.base.solution import Solution
from radioopt.base.status import Status

#: factors that fields are multiplied by: 1/64 to 64, half an octave apart, with 1 in the middle
FACTORS = 2.0 ** np.linspace(-6.0, 6.0, 25)
_HERE = len(FACTORS) // 2
#: points between two neighbours, twice: an edge is found to 0.04 %
_FINER = 32
#: devices up to which problems are solved again
MOST_DEVICES = 1000


@dataclass(frozen=True, eq=False)
class Change:
    """What the objective becomes when a field of a problem is multiplied by a factor, all its numbers alike.

    Parameters
    ----------
    name : str
        The field.
    objective : ndarray, shape (25,)
        For each of :data:`FACTORS`; NaN where there is no answer.
    low, high : float
        Factors next to 1 beyond which nothing is feasible, below and above; 0 and inf where there is no such edge
        in reach. Of an infeasible problem: the nearest factors at which something is, NaN where none is.
    """

    name: str
    objective: Array
    low: float
    high: float

    @property
    def effect(self) -> float:
        """Largest change of the objective within half and twice the field."""
        near = self.objective[_HERE - 2 : _HERE + 3]
        known = near[np.isfinite(near)]
        return float(np.ptp(known)) if known.size else 0.0

    def at(self, factor: float) -> float:
        """Return the objective at one of the factors."""
        return float(self.objective[int(np.argmin(np.abs(FACTORS - factor)))])


def changes(solution: Solution) -> list[Change]:
    """Multiply each field in turn and solve again.

    Parameters
    ----------
    solution : Solution
        A single instance, solved or infeasible, whose family has an exact method.

    Returns
    -------
    list of Change
        Fields that change the objective or where nothing is feasible, those that change it most first.

    Notes
    -----
    All factors of a field are one batched call. Only factors that the problem accepts are tried. An edge is looked for
    between the first two neighbours of which one has an answer, twice 32 points finer.
    """
    problem, found = solution.problem, []
    feasible = solution.status is not Status.INFEASIBLE
    for name, declared in problem.quantities.items():
        if not _scalable(problem, name, declared):
            continue
        objective, states = _solved(problem, name, FACTORS)
        low, high = (
            _edge(problem, name, states[_HERE::-1], FACTORS[_HERE::-1], feasible),
            _edge(problem, name, states[_HERE:], FACTORS[_HERE:], feasible),
        )
        change = Change(name, objective, low, high)
        matters = change.effect > 1e-9 * abs(float(solution.objective)) if feasible else False
        edges = (low > 0 or high < math.inf) if feasible else not (math.isnan(low) and math.isnan(high))
        if matters or edges:
            found.append(change)
    return sorted(found, key=lambda change: -change.effect)


def _scalable(problem: Problem[Any], name: str, declared: Quantity) -> bool:
    """Whether a field is one whose numbers can be multiplied: positive where they are not 0 or unlimited."""
    if declared.dtype.kind != "f" or not set(declared.axes) <= {"device"}:
        return False
    value = np.asarray(getattr(problem, name))
    known = value[np.isfinite(value)]
    return bool(known.size) and bool((known >= 0).all()) and bool((known > 0).any())


def _solved(problem: Problem[Any], name: str, factors: Array) -> tuple[Array, Array]:
    """Solve at some factors: objectives, and 1 where there is an answer, 0 where nothing is feasible, -1 else."""
    value = np.asarray(getattr(problem, name))
    objective, states = np.full(len(factors), np.nan), np.full(len(factors), -1)
    taken = np.array([_accepted(problem, name, value * factor) for factor in factors])
    if taken.any():
        many = factors[taken].reshape(-1, *(1,) * value.ndim) * value
        answer = problem.replace(**{name: many}, strict=None).solve(
            options=SolveOptions(warn=False), throw=False
        )
        good = np.array([Status(int(code)).usable for code in answer.status_code])
        objective[taken] = np.where(good, answer.objective, np.nan)
        states[taken] = np.where(good, 1, np.where(answer.status_code == Status.INFEASIBLE, 0, -1))
    return objective, states


def _accepted(problem: Problem[Any], name: str, value: Array) -> bool:
    try:
        problem.replace(**{name: value}, strict=None)
    except ProblemError:
        return False
    return True


def _edge(problem: Problem[Any], name: str, states: Array, factors: Array, feasible: bool) -> float:
    """Find the factor nearest to 1 on one side at which answers end or, of an infeasible problem, begin."""
    away = float(factors[-1]) > 1
    none = (math.inf if away else 0.0) if feasible else math.nan
    other = np.flatnonzero(states == (0 if feasible else 1))
    if not other.size:
        return none
    at = int(other[0])
    if at == 0 or states[at - 1] != (1 if feasible else 0):
        return none
    inner, outer = float(factors[at - 1]), float(factors[at])
    for _ in range(2):
        between = np.geomspace(inner, outer, _FINER + 1)
        _, finer = _solved(problem, name, between)
        at = int(np.flatnonzero(finer == (0 if feasible else 1))[0])
        inner, outer = float(between[at - 1]), float(between[at])
    return inner if feasible else outer
