"""Methods that a user registered, taken along to other processes, which know only radioopt's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from radioopt.base.problem import Problem


class Carried:
    """A function that brings the user's methods to the process that calls it.

    Parameters
    ----------
    function : callable
        What is to be called. Together with the methods it must be picklable, as joblib's pickles also take functions
        of a script or a notebook.

    Examples
    --------
    >>> Carried(max)(1, 2)
    2
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.methods = own_methods()

    def __call__(self, *arguments: Any, **given: Any) -> Any:
        """Register what is not registered here, then call."""
        for problem, name, solve, exact in self.methods:
            if name not in problem.methods:
                problem.method(name, exact=exact)(solve)
        return self.function(*arguments, **given)


def own_methods() -> list[tuple[type[Problem[Any]], str, Callable[..., Any], bool]]:
    """List the methods of radioopt's problems that are not radioopt's: problem, name, function, whether exact."""
    return [
        (problem, name, method.solve, method.exact)
        for problem in Problem.registry.values()
        if problem.__module__.partition(".")[0] == "radioopt"
        for name, method in problem.methods.items()
        if method.solve.__module__.partition(".")[0] != "radioopt"
    ]
