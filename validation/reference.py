"""References: the same problem as the paper writes it, handed to a generic solver, and what came back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from radioopt.base import rooms
from radioopt.base.errors import RadioOptError, require
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
    """Families that can be validated: those with instances of theirs, ``validation.<family>.zoo``.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> "feel" in checked_families()
    True
    """
    return rooms.with_room("validation", "zoo")


def room(family: str, name: str = "zoo") -> ModuleType:
    """Import a module of ``validation.<family>``, and with it its references; another family raises ``OptionError``."""
    return rooms.room("validation", family, name, "no validation of problem")


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
