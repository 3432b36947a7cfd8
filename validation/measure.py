"""Measuring an answer, whoever gave it: the certificate of the point as returned, and of the point repaired."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem


def measure(
    problem: Problem[Any],
    decisions: dict[str, Any],
    options: SolveOptions = DEFAULT_OPTIONS,
    returned: Certificate | None = None,
) -> tuple[Certificate, Certificate]:
    """Measure an answer as returned and repaired.

    Parameters
    ----------
    problem : Problem
        An instance or a batch.
    decisions : dict of str to ndarray
        The answer.
    options : SolveOptions, optional
        Tolerances to judge by.
    returned : Certificate, optional
        Of the answer as it is, if it is known already.

    Returns
    -------
    returned, repaired : Certificate
        The same one where there is nothing to repair, or where a point that violates nothing is better as it is.

    Examples
    --------
    >>> from validation.feel.zoo import named
    >>> solution = named()["paper_gpu"].solve()
    >>> point = {name: getattr(solution, name) for name in solution.decisions}
    >>> returned, repaired = measure(solution.problem, point)
    >>> bool(returned.residual < 1e-9), bool(repaired.gap < 1e-9)
    (True, True)
    """
    if returned is None:
        returned = problem.certificate(options, **decisions)
    repaired = problem.repair(**decisions)
    if all(np.array_equal(repaired[name], decisions[name]) for name in repaired):
        return returned, returned
    mended = problem.certificate(options, **repaired)
    sign = 1.0 if problem.sense == "min" else -1.0
    if np.all((returned.residual == 0) & (sign * (returned.objective - mended.objective) < 0)):
        return (
            returned,
            returned,
        )  # a repair may drop more than it has to, as links that carry nothing into a cluster
    return returned, mended
