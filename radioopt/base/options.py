"""Options that every method takes; what only one method knows is a keyword of that method."""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass

from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten

#: the largest count, and the largest number that is not one
MOST, LARGEST = 2**63 - 1, sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """Tolerances and limits, the same for every problem and method.

    Parameters
    ----------
    gap_tol : float, default 1e-9
        Largest certified relative gap that counts as optimal.
    feasibility_tol : float, default 1e-9
        Largest scaled constraint violation that counts as feasible.
    max_iterations : int, default 500
        Outer iterations after which a method stops and returns what it has.
    warn : bool, default True
        Whether a batch with instances that have no answer, or none that an exact method could prove, says so in one
        :class:`~radioopt.SolveWarning` per call.

    Raises
    ------
    OptionError
        If a tolerance is negative or not finite, the limit is below one, or ``warn`` is neither True nor False.

    Examples
    --------
    >>> SolveOptions(gap_tol=1e-6).gap_tol
    1e-06
    >>> SolveOptions(gap_tol=-1.0)
    Traceback (most recent call last):
        ...
    radioopt.base.errors.OptionError: SolveOptions.gap_tol: expected a finite number >= 0, got -1.0
    """

    gap_tol: float = 1e-9
    feasibility_tol: float = 1e-9
    max_iterations: int = 500
    warn: bool = True

    def __post_init__(self) -> None:
        for name in ("gap_tol", "feasibility_tol"):
            value = getattr(self, name)
            number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not (number and 0 <= value <= LARGEST):
                raise OptionError(f"SolveOptions.{name}: expected a finite number >= 0, got {shorten(value)}")
        limit = self.max_iterations
        whole = isinstance(limit, numbers.Integral) and not isinstance(limit, bool)
        if not (whole and 1 <= limit <= MOST):
            expected = "< 2**63" if whole and limit > MOST else ">= 1"
            raise OptionError(
                f"SolveOptions.max_iterations: expected an integer {expected}, got {shorten(limit)}"
            )
        if not isinstance(self.warn, bool):
            raise OptionError(f"SolveOptions.warn: expected True or False, got {shorten(self.warn)}")


DEFAULT_OPTIONS = SolveOptions()
