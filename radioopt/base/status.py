"""Status of an answer: what was proven about it, and what to change if that is not enough."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What is known about an answer; ``message`` is a sentence that says what to change.

    A batch stores the integer codes (``solution.status == Status.OPTIMAL`` is then an array of booleans).

    Examples
    --------
    >>> Status.OPTIMAL.ok, Status.ITERATION_LIMIT.ok
    (True, False)
    >>> print(Status.ITERATION_LIMIT.message)
    stopped at max_iterations before the gap was proven: raise max_iterations, or gap_tol if the gap is good enough
    """

    message: str

    def __new__(cls, code: int, message: str) -> Status:
        """Attach the sentence to the code."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    OPTIMAL = 0, "proven optimal: feasible within feasibility_tol and the certified gap is within gap_tol"
    FEASIBLE = 1, (
        "feasible, but not proven optimal: the certified gap is wider than gap_tol or there is no bound; "
        "use an exact method, or raise gap_tol if the gap is good enough"
    )
    NODE_LIMIT = 2, (
        "stopped at the node limit with the best point found and its certified gap: "
        "raise the node limit, or gap_tol if the gap is good enough"
    )
    ITERATION_LIMIT = 3, (
        "stopped at max_iterations before the gap was proven: "
        "raise max_iterations, or gap_tol if the gap is good enough"
    )
    INFEASIBLE = 4, "no feasible point exists: relax the quantity that the message names"
    FAILED = 5, (
        "the point returned violates a constraint or is not finite: "
        "check the units and the ranges of the inputs (print the problem to see them)"
    )

    @property
    def ok(self) -> bool:
        """Whether the answer is proven optimal."""
        return self is Status.OPTIMAL

    @property
    def usable(self) -> bool:
        """Whether the answer is a feasible point, proven optimal or not."""
        return self <= Status.ITERATION_LIMIT
