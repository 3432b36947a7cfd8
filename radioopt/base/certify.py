"""The one place that turns objective, bound and residuals into a gap and a status.

    gap = sense * (objective - bound) / max(scale, |objective|)          sense = +1 for min, -1 for max
    OPTIMAL  iff  residual <= feasibility_tol  and  -feasibility_tol <= gap <= gap_tol

Both ends count: a point that beats its bound by more than the tolerance is not better than optimal, it is
infeasible or its bound is wrong. The same rule judges radioopt's methods and every generic solver.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array
from radioopt.base.status import Status


def certify(
    objective: float | Array,
    bound: float | Array,
    residual: float | Array,
    *,
    sense: str,
    scale: float | Array = 0.0,
    options: SolveOptions = DEFAULT_OPTIONS,
) -> tuple[Any, Any]:
    """Judge points by what was measured of them.

    Parameters
    ----------
    objective, bound, residual : float or ndarray (...)
        Objective of the point, bound on the optimum (infinite or NaN where there is none), largest scaled
        constraint violation (0 or less where every constraint holds).
    sense : {"min", "max"}
        Direction of the problem.
    scale : float or ndarray (...), default 0
        Smallest denominator of the gap, for objectives that may be near zero.
    options : SolveOptions, optional
        The tolerances.

    Returns
    -------
    gap : float or ndarray (...)
        Certified relative gap; infinite where there is no bound, NaN where there is no point.
    status : int or ndarray (...) of int64
        Codes of :class:`Status`: OPTIMAL, FEASIBLE or FAILED.

    Examples
    --------
    >>> gap, status = certify(2.0, 1.0, 0.0, sense="min")
    >>> gap, Status(status).name
    (0.5, 'FEASIBLE')
    """
    sign = 1.0 if sense == "min" else -1.0
    feasible, tight = options.feasibility_tol, options.gap_tol
    if isinstance(objective, float) and isinstance(bound, float) and isinstance(residual, float):
        if not math.isfinite(objective):
            return math.nan, int(Status.FAILED)
        objective, bound = float(objective), float(bound)  # NumPy's scalars warn where floats do not
        difference, denominator = sign * (objective - bound), max(float(scale), abs(objective))
        if difference == 0.0:
            gap = 0.0
        elif math.isnan(difference):
            gap = math.inf
        elif math.isinf(difference) or not denominator > 0:
            gap = math.copysign(math.inf, difference)
        else:
            gap = difference / denominator
        if not (residual <= feasible and gap >= -feasible):
            return gap, int(Status.FAILED)
        return gap, int(Status.OPTIMAL if gap <= tight else Status.FEASIBLE)
    objective, bound, residual = np.broadcast_arrays(objective, bound, residual)
    finite = np.isfinite(objective)
    with np.errstate(all="ignore"):
        differences = sign * (objective - bound)
        gaps = differences / np.maximum(scale, np.abs(objective))
    gaps = np.where(np.isinf(differences), differences, gaps)  # no bound, whatever the scale
    gaps = np.where(differences == 0.0, 0.0, np.where(np.isnan(differences), np.inf, gaps))
    gaps = np.where(finite, gaps, np.nan)
    status = np.where(gaps <= tight, np.int64(Status.OPTIMAL), np.int64(Status.FEASIBLE))
    status[~(finite & (residual <= feasible) & (gaps >= -feasible))] = Status.FAILED
    return gaps, status


@dataclass(frozen=True)
class Certificate:
    """What an independent evaluation of a point measured.

    Parameters
    ----------
    objective, bound : float or ndarray (...)
        Objective at the point, and a bound on the optimum computed from the point.
    residuals : mapping of str to float or ndarray (...)
        Scaled violation of each group of constraints, by name; 0 or less where it holds.
    gap : float or ndarray (...)
        Certified relative gap.
    status : Status or ndarray (...) of int64
        Of a single point, or the codes of :class:`Status` of a batch.
    note : str, default ""
        Why there is no bound, where the judge knows.
    """

    objective: Any
    bound: Any
    residuals: Mapping[str, Any]
    gap: Any
    status: Any
    note: str = ""

    def __post_init__(self) -> None:
        """Let the status of a single point print its name."""
        if not np.ndim(self.status):
            object.__setattr__(self, "status", Status(int(self.status)))

    @classmethod
    def judge(
        cls,
        objective: Any,
        bound: Any,
        residuals: Mapping[str, Any],
        *,
        sense: str,
        scale: float | Array = 0.0,
        options: SolveOptions = DEFAULT_OPTIONS,
        note: str = "",
    ) -> Certificate:
        """Build a certificate, gap and status by :func:`certify`; a NaN residual is a violation.

        Parameters
        ----------
        objective, bound : float or ndarray (...)
            Objective of the point, and a bound on the optimum.
        residuals : mapping of str to float or ndarray (...)
            Scaled violation of each group of constraints, by name.
        sense : {"min", "max"}
            Direction of the problem.
        scale : float or ndarray (...), default 0
            Smallest denominator of the gap.
        options : SolveOptions, optional
            The tolerances.
        note : str, default ""
            Why there is no bound.

        Returns
        -------
        Certificate
            What was given, with gap and status.
        """
        worst = np.maximum.reduce([np.asarray(value, np.float64) for value in residuals.values()])
        gap, status = certify(np.asarray(objective), bound, worst, sense=sense, scale=scale, options=options)
        objective, bound, status = (np.asarray(each)[()] for each in (objective, bound, status))
        return cls(objective, bound, dict(residuals), gap[()], status, note)

    @property
    def residual(self) -> Any:
        """Largest scaled violation over all groups of constraints."""
        return np.maximum.reduce([np.asarray(value, np.float64) for value in self.residuals.values()])[()]

    def __str__(self) -> str:
        """One line per measurement; a batch shows its worst. A constraint that holds is violated by 0."""
        codes, counts = np.unique(self.status, return_counts=True)
        words = ", ".join(
            Status(int(code)).name + (f" x {count}" if np.ndim(self.status) else "")
            for code, count in zip(codes, counts, strict=True)
        )
        lines = [f"certificate: {words}"]
        if not np.ndim(self.status):
            lines += [f"  objective  {self.objective:.12g}", f"  bound      {self.bound:.12g}"]
        lines += [f"  gap        {np.max(self.gap):.3g}", "  largest violation"]
        width = max(map(len, self.residuals))
        lines += [
            f"    {name:<{width}}  {np.maximum(0.0, np.max(value)):.3g}"
            for name, value in self.residuals.items()
        ]
        return "\n".join([*lines, *([f"  not proven: {self.note}"] if self.note else [])])

    def __repr__(self) -> str:
        """Say the same on one line of a single point."""
        if np.ndim(self.status):
            return f"<{self}>".replace("\n", "\n ")
        numbers = f"objective {self.objective:.6g}, bound {self.bound:.6g}, gap {self.gap:.3g}"
        worst = np.maximum(0.0, self.residual)
        return f"<certificate: {Status(int(self.status)).name}, {numbers}, largest violation {worst:.3g}>"
