"""References: the same problem as the paper writes it, handed to a generic solver, and what came back."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from radioopt.base.errors import OptionError, RadioOptError, require
from radioopt.base.problem import families, home_of
from radioopt.base.quantity import Array


@dataclass(frozen=True)
class Answer:
    """What a generic solver returned, in the units of the problem and not yet judged.

    Parameters
    ----------
    decisions : dict of str to ndarray
        The decisions by the names that ``problem.certificate`` and ``problem.repair`` take.
    objective : float
        The objective that the solver reports, in the problem's unit.
    seconds, modelling_seconds : float
        Wall time of the whole call, and the part of it that built the model [s].
    status : str
        The solver's own word.
    version : str
        Name and version of the modelling language and of the solver.
    """

    decisions: dict[str, Array]
    objective: float
    seconds: float
    modelling_seconds: float
    status: str
    version: str


class NoAnswerError(RadioOptError, RuntimeError):
    """A generic solver ended without a point; the message is its status."""


@dataclass(frozen=True)
class Reference:
    """A generic solver with a model of one family.

    Parameters
    ----------
    name : str
        What ``cross_check(references=...)`` takes.
    solve : callable
        ``(problem, time_limit_s) -> Answer``; raises :class:`NoAnswerError` if there is no point.
    modules : tuple of str
        Optional dependencies; :func:`references` refuses with the command that installs them.
    max_devices : int or None
        Largest instance that it is asked by default; None for no limit.
    summary : str
        One line for tables.
    """

    name: str
    solve: Callable[[Any, float], Answer]
    modules: tuple[str, ...]
    max_devices: int | None
    summary: str


_REGISTRY: dict[str, dict[str, Reference]] = {}


def reference(
    family: str, name: str, *, modules: tuple[str, ...], max_devices: int | None = None
) -> Callable[[Callable[[Any, float], Answer]], Callable[[Any, float], Answer]]:
    """Register a function ``(problem, time_limit_s) -> Answer`` as a reference of a family.

    Parameters
    ----------
    family : str
        The problem family.
    name : str
        Name of the reference.
    modules : tuple of str
        Its optional dependencies.
    max_devices : int, optional
        Largest instance that it is asked by default.

    Returns
    -------
    callable
        The decorator; it returns the function unchanged.
    """

    def register(function: Callable[[Any, float], Answer]) -> Callable[[Any, float], Answer]:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        _REGISTRY.setdefault(family, {})[name] = Reference(name, function, modules, max_devices, summary)
        return function

    return register


def checked_families() -> tuple[str, ...]:
    """Families that can be validated: those with a package of the same name in ``validation``.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> "feel" in checked_families()
    True
    """
    return tuple(f for f in families() if importlib.util.find_spec(f"validation.{home_of(f)}") is not None)


def room(family: str, name: str = "") -> ModuleType:
    """Import ``validation.<family>``, or a module of it; an unknown family raises ``OptionError``."""
    if family not in checked_families():
        raise OptionError(f"no validation of problem {family!r}, choose from {', '.join(checked_families())}")
    return importlib.import_module(f"validation.{home_of(family)}" + (f".{name}" if name else ""))


def references(family: str) -> dict[str, Reference]:
    """All references of a family, installed or not.

    Parameters
    ----------
    family : str
        One of :func:`checked_families`.

    Returns
    -------
    dict of str to Reference
        By name.

    Raises
    ------
    OptionError
        If there is no validation of this family.
    """
    room(family)
    return dict(_REGISTRY.get(family, {}))


def installed(chosen: Reference) -> Reference:
    """Return the reference if its dependencies can be imported; raise ``MissingExtraError`` otherwise."""
    for module in chosen.modules:
        require(module, "validation")
    return chosen
