"""Status of an answer: what was proven about it, and what to change if that is not enough."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What is known about an answer.

    A batch stores the integer codes (``solution.status == Status.OPTIMAL`` is then an array of booleans).

    Examples
    --------
    >>> print(Status.OPTIMAL)
    OPTIMAL
    >>> Status.OPTIMAL.ok, Status.ITERATION_LIMIT.ok
    (True, False)
    >>> print(Status.ITERATION_LIMIT.message)
    stopped at max_iterations before the gap was proven: raise max_iterations, or gap_tol if that will do
    """

    OPTIMAL = 0
    FEASIBLE = 1
    NODE_LIMIT = 2
    ITERATION_LIMIT = 3
    INFEASIBLE = 4
    FAILED = 5

    def __str__(self) -> str:
        """Print the name."""
        return self.name

    def __format__(self, spec: str) -> str:
        """Write the name, or the code where a number is asked for."""
        return format(int(self), spec) if spec[-1:] in {*"bcdeEfFgGnoxX%"} - {""} else format(self.name, spec)

    @property
    def message(self) -> str:
        """A sentence: what was proven, and what to change."""
        return _MESSAGES[self]

    @property
    def ok(self) -> bool:
        """Whether the answer is proven optimal."""
        return self is Status.OPTIMAL

    @property
    def usable(self) -> bool:
        """Whether the answer is a feasible point, proven optimal or not."""
        return self <= Status.ITERATION_LIMIT


_MESSAGES = {
    Status.OPTIMAL: "proven optimal: feasible within feasibility_tol, certified gap within gap_tol",
    Status.FEASIBLE: (
        "feasible, but not proven optimal: the certified gap is wider than gap_tol or there is no bound"
    ),
    Status.NODE_LIMIT: (
        "stopped at the node limit with the best point found and its certified gap: "
        "raise the node limit, or gap_tol if that will do"
    ),
    Status.ITERATION_LIMIT: (
        "stopped at max_iterations before the gap was proven: "
        "raise max_iterations, or gap_tol if that will do"
    ),
    Status.INFEASIBLE: "no feasible point exists",
    Status.FAILED: (
        "the point returned violates a constraint or is not finite: "
        "check the units and the ranges of the inputs (print the problem to see them)"
    ),
}
