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

#: vectors tried at most
MOST = 300_000


@reference("dtkd", "enumeration", modules=(), max_devices=4)
def solve(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """Every vector of models and places: a formula each, or with bounds and deadlines Problem 3 each.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of few users.
    time_limit_s : float
        Unused: the number of vectors is what is limited.

    Returns
    -------
    Answer
        The best vector with its shares.

    Raises
    ------
    NoAnswerError
        If there are too many vectors, or none is feasible.
    """
    start = time.perf_counter()
    scale = Scaling.of(problem)
    actions = vectors(scale.allowed)
    if problem.is_plain:
        costs = plain_costs(scale, actions)
        best = int(costs.argmin())
        decisions, objective = scale.chosen(problem, actions[best]), float(costs[best])
    else:
        solution = problem.fix(actions // 2, actions % 2).solve(throw=False)
        costs = np.where(np.isfinite(solution.objective), solution.objective, np.inf)
        best = int(costs.argmin())
        objective = float(costs[best])
        if not math.isfinite(objective):
            raise NoAnswerError("infeasible")
        decisions = {name: getattr(solution[best], name) for name in solution.decisions}
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
