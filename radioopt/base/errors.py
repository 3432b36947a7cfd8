"""One hierarchy of errors: a bad question, a bad option, an answer that cannot be used, a missing extra.

A malformed input is a ``ProblemError`` at construction, before anything is computed. A well-formed problem
without a usable answer is a ``SolveError`` that carries the answer. Both are also the built-in error a caller
would guess (``ValueError``, ``RuntimeError``), so generic code need not import radioopt to catch them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from radioopt.base.solution import Solution


class RadioOptError(Exception):
    """Every error that radioopt raises on purpose."""


class ProblemError(RadioOptError, ValueError):
    """A malformed input; the message names the field, the index and the value."""


class ArgumentError(ProblemError, TypeError):
    """A name that a constructor does not know, or one that is missing; the message has the nearest one."""


class OptionError(RadioOptError, ValueError):
    """An unknown method or option, or an option outside its range; the message lists what is accepted."""


class InputWarning(UserWarning):
    """An input taken as it is that looks like a slip; the message names field, index, value and the likely mistake."""


class SolveError(RadioOptError, RuntimeError):
    """A well-formed problem without a usable answer.

    Attributes
    ----------
    solution : Solution
        The answer as far as it goes, with its status, objective, bound and gap.
    """

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution

    def __reduce__(self) -> tuple[type[SolveError], tuple[str, Solution]]:
        """Go from process to process: a pool waits for ever for an error that cannot be pickled."""
        return type(self), (str(self), self.solution)


class SolveWarning(RuntimeWarning):
    """A batch some of whose instances have no answer that the method stands by; ``SolveOptions(warn=False)``: none."""


class CompileWarning(UserWarning):
    """Kernels cannot be kept or compiled as they should be; answers are right, and later. Said once in a process."""


class MissingExtraError(RadioOptError, ImportError):
    """A feature whose optional dependencies are not installed; the message is the pip command to run."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say how to install it.

    Parameters
    ----------
    module : str
        Dotted name of the module to import.
    extra : str
        The extra of the radioopt distribution that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    OptionError
        If a file of the user's has the name of radioopt's own package.

    Examples
    --------
    >>> require("math", "plot").sqrt(4.0)
    2.0
    >>> require("no_such_module", "plot")
    Traceback (most recent call last):
        ...
    radioopt.base.errors.MissingExtraError: no_such_module is not installed: pip install 'radioopt[plot]'
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        from radioopt.base.shadow import PACKAGES, complaint, found_instead

        missing = error.name or module
        package = missing.partition(".")[0]
        if package in PACKAGES and (file := found_instead(package)) is not None:
            raise OptionError(complaint(package, file)) from error
        raise MissingExtraError(f"{missing} is not installed: pip install 'radioopt[{extra}]'") from error


def suggestion(given: object, known: Iterable[str]) -> str:
    """Words that end a message about an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(str(given), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
