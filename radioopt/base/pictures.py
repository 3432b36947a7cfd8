"""What all pictures of solutions ask and choose before they draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.status import Status

if TYPE_CHECKING:
    from radioopt.base.solution import Solution

#: devices that a picture with a row for each shows at most
MOST_ROWS = 40
#: letters of a device's name that a picture shows at most
MOST_LETTERS = 24


def no_path(path: tuple[Any, ...]) -> None:
    """Refuse what is given to ``plot`` by position: a path, which it does not take."""
    if path:
        given = ", ".join(map(repr, path))
        raise OptionError(f"plot: takes no path; draw and save: solution.plot().savefig({given})")


def single(solution: Solution, what: str = "plot") -> None:
    """Refuse a batch."""
    if solution.batch_shape:
        raise ProblemError(
            f"{what}: expected a single instance, got a batch {solution.batch_shape}: use solution[i]"
        )


def drawable(solution: Solution) -> None:
    """Refuse a batch, and a solution without a point; say why there is none."""
    single(solution)
    if not solution.status.usable:
        infeasible = solution.status is Status.INFEASIBLE
        reason = solution.why_infeasible() if infeasible else solution.status.message
        raise ProblemError(f"plot: {solution.status.name}: {reason}")


def shown_rows(count: int) -> NDArray[np.int64]:
    """Choose the devices that have a row: all, or :data:`MOST_ROWS` evenly over their numbers."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(np.int64))


def drawn_name(name: object) -> str:
    r"""Return a name as a picture shows it: cut where it is long, and never read as a formula.

    Examples
    --------
    >>> print(drawn_name("a device at the end of a long street"), drawn_name("$x$"))
    a device at the end of … \$x\$
    """
    text = str(name)
    cut = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
    return cut.replace("$", r"\$")
