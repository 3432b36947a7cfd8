"""The verdict of :func:`radioopt.base.certify.certify` for one point, for kernels that hand over a status."""

from __future__ import annotations

import math

from radioopt.numerics.jit import kernel

# codes of radioopt.base.status.Status
OPTIMAL, FEASIBLE, NODE_LIMIT, ITERATION_LIMIT, INFEASIBLE, FAILED = range(6)


@kernel
def judge(objective, bound, residual, sign, scale, feasibility_tol, gap_tol):
    """Return the gap and the status of one point; ``sign`` is 1 for a minimum and -1 for a maximum."""
    if not math.isfinite(objective):
        return math.nan, FAILED
    difference, denominator = sign * (objective - bound), max(scale, abs(objective))
    if difference == 0.0:
        gap = 0.0
    elif math.isnan(difference):
        gap = math.inf
    elif denominator > 0.0:
        gap = difference / denominator
    else:
        gap = math.copysign(math.inf, difference)
    if not (residual <= feasibility_tol and gap >= -feasibility_tol):
        return gap, FAILED
    return gap, OPTIMAL if gap <= gap_tol else FEASIBLE
