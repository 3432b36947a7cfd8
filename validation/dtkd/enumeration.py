"""DT-KD by trying every vector of models and places: the oracle for small instances."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np

from radioopt.base.quantity import Array
from radioopt.dtkd.problem import DistillationProblem
from validation.dtkd.scaling import Scaling
from validation.reference import Answer, NoAnswerError, reference

#: vectors tried at most, and how many at once
MOST, AT_ONCE = 300_000, 256


@reference("dtkd", "enumeration", modules=(), max_devices=4)
def solve(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """Every vector of models and places: a formula each, or with bounds and deadlines Problem 3 each.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of few users.
    time_limit_s : float
        For instances with bounds, deadlines or a noise density; for others the number of vectors is what is limited.

    Returns
    -------
    Answer
        The best vector with its shares.

    Raises
    ------
    NoAnswerError
        If there are too many vectors for the time, or none is feasible.
    """
    start = time.perf_counter()
    scale = Scaling.of(problem)
    actions = vectors(scale.allowed)
    if problem.is_plain:
        costs = plain_costs(scale, actions)
        best = int(costs.argmin())
        decisions, objective = scale.chosen(problem, actions[best]), float(costs[best])
    else:
        objective, decisions = math.inf, {}
        for first in range(0, len(actions), AT_ONCE):
            if time.perf_counter() - start > time_limit_s:
                raise NoAnswerError(f"time limit: {first} of {len(actions)} vectors tried")
            some = actions[first : first + AT_ONCE]
            solution = problem.fix(some // 2, some % 2).solve(throw=False)
            costs = np.where(np.isfinite(solution.objective), solution.objective, np.inf)
            best = int(costs.argmin())
            if costs[best] < objective:
                objective = float(costs[best])
                decisions = {name: getattr(solution[best], name) for name in solution.decisions}
        if not decisions:
            raise NoAnswerError("infeasible")
    seconds = time.perf_counter() - start
    return Answer(decisions, objective, seconds, 0.0, f"{len(actions)} vectors", "numpy")


def vectors(allowed: Array) -> Array:
    """All action vectors, shape (vectors, K); more than :data:`MOST` raise ``NoAnswerError``."""
    choices = [np.flatnonzero(row) for row in allowed]
    count = math.prod(len(choice) for choice in choices)
    if count > MOST:
        raise NoAnswerError(f"{count} vectors of actions, more than {MOST}")
    return np.array(list(itertools.product(*choices)))


def plain_costs(scale: Scaling, actions: Array) -> Array:
    """Cost of action vectors in the paper's problem, shares eliminated: (sum sqrt c)^2 and its like."""
    own = np.arange(actions.shape[-1]), actions
    cpu = np.sqrt(scale.weight * scale.compute_s[own]).sum(-1)
    width = np.sqrt(scale.weight * scale.send_s[own]).sum(-1)
    full = width**2 + scale.price
    part = 2 * math.sqrt(scale.price) * width
    constant = (scale.constant[own] + scale.weight * scale.local_s[own]).sum(-1)
    return np.asarray(constant + cpu**2 + np.where(width**2 >= scale.price, full, part))
