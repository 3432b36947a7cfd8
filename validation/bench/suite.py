"""What a family brings to the benchmark: instances, contestants, goals, and what is unfair to whom."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radioopt.base.errors import require
from radioopt.base.problem import Problem
from radioopt.base.quantity import Array
from radioopt.base.rooms import room, with_room

#: name of radioopt's own contestants; everything else is a peer
OURS = "radioopt"
#: the benchmark of what belongs to no problem alone: rounds of training
TRAINING = "training"


@dataclass(frozen=True)
class Timed:
    """A contestant made ready: modelled, compiled, holding its data.

    Parameters
    ----------
    call : callable
        ``call(i)`` does the timed work on the i-th of ``problems`` and returns whatever it got.
    problems : sequence of Problem
        What the calls answer, taken in turn so that no call repeats the one before it; either single
        instances or batches, and times are per instance.
    decisions : callable, optional
        ``decisions(i, raw)`` turns what a call returned into the decisions of ``problems[i]``; None for a
        call that answers nothing, such as a construction.
    claim : callable, optional
        ``claim(raw)``: the solver's own word for its success.
    parts : callable, optional
        ``parts(raw)``: seconds of the call by part, "modelling" for instance, as the solver tells them.
    once_s : float, optional
        Seconds spent before on what later calls reuse, such as modelling [s].
    error : callable, optional
        ``error(i, raw)``: how far derivatives are from exact ones, next to the largest; NaN where that is not known.
    """

    call: Callable[[int], Any]
    problems: Sequence[Problem[Any]]
    decisions: Callable[[int, Any], dict[str, Array]] | None = None
    claim: Callable[[Any], str] | None = None
    parts: Callable[[Any], Mapping[str, float]] | None = None
    once_s: float | None = None
    error: Callable[[int, Any], float] | None = None


@dataclass(frozen=True)
class Case:
    """One contestant on one group of instances.

    Parameters
    ----------
    solver : str
        Its name; radioopt's own begin with "radioopt".
    what : str
        What is timed, in a word or two: "solve", "construct + solve".
    setup : callable
        ``setup(problems) -> Timed``, with the problems of the group.
    tolerance : str
        Accuracy asked for, as the solver understands it; empty if there is nothing to ask.
    modules : mapping of str to str
        Modules it needs, with the package that brings each.
    threads : int, optional
        Threads for Numba's parallel loops; as many as there are by default.
    not_run : str
        If not empty: the reason why it is listed and not run.
    """

    solver: str
    what: str
    setup: Callable[[Any], Timed]
    tolerance: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    not_run: str = ""

    @property
    def ours(self) -> bool:
        """Whether this is radioopt and not a peer."""
        return self.solver.split()[0] == OURS


@dataclass(frozen=True)
class Group:
    """Instances on which contestants take turns.

    Parameters
    ----------
    instance : str
        Name of the instances, "K=20" for instance.
    summary : str
        What they are, for the report.
    make : callable
        Draws them; the same for every contestant.
    cases : tuple of Case
        The contestants.
    """

    instance: str
    summary: str
    make: Callable[[], Sequence[Problem[Any]]]
    cases: tuple[Case, ...]


#: (instance, solver, what) and, where it matters, the number of threads
Key = tuple[str, str, str] | tuple[str, str, str, int]


@dataclass(frozen=True)
class Goal:
    """A ratio, or a time, that the project holds itself to.

    Parameters
    ----------
    label : str
        What is compared, for the report.
    ours : Key
        The row of radioopt.
    versus : Key or None
        The row of the peer, or of the streaming pass; None for a goal on the time itself.
    floor, goal : float
        What must be reached, and what is aimed at.
    unit : str, default "x"
        "x": times faster than the peer, the more the better. "passes", "solves": times as long as the pass, or the
        solve, the fewer the better. "us": microseconds, the fewer the better.
    also : tuple of Key
        Other rows of radioopt, whose values are shown beside it.
    """

    label: str
    ours: Key
    versus: Key | None
    floor: float
    goal: float
    unit: str = "x"
    also: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Suite:
    """The benchmark of one family.

    Parameters
    ----------
    family : str
        The problem family.
    groups : tuple of Group
        Instances with their contestants.
    goals : tuple of Goal
        What the report holds the numbers against.
    fresh : mapping of str to callable
        First calls to time in processes of their own, by name: of a new installation, compiling, and from the cache;
        each function poses a problem and returns the call.
    alone : mapping of str to callable
        Large calls to time in processes of their own, by name, for their memory; each function makes the calls and
        yields the seconds of each.
    profiled : int, default 0
        Random instances that are put to every method and generic solver one by one, for the performance profile.
    packages : tuple of str
        Distributions whose versions matter.
    notes : tuple of str
        What is not fair to whom, one sentence or two each.
    """

    family: str
    groups: tuple[Group, ...]
    goals: tuple[Goal, ...] = ()
    fresh: Mapping[str, Callable[[], Callable[[], Any]]] = field(default_factory=dict)
    alone: Mapping[str, Callable[[], Iterable[float]]] = field(default_factory=dict)
    profiled: int = 0
    packages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def repeated(call: Callable[[], Any], times: int = 3) -> Iterator[float]:
    """Make a call a few times, and yield the seconds of each [s]."""
    for _ in range(times):
        begin = time.perf_counter()
        call()
        yield time.perf_counter() - begin


def timed_families() -> tuple[str, ...]:
    """Families that bring a benchmark, those with a module ``validation.<family>.bench``, and training.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> "feel" in timed_families()
    True
    """
    trains = importlib.util.find_spec("torch") is not None
    return (*with_room("validation", "bench"), *([TRAINING] if trains else []))


def suite(family: str, *, quick: bool = False) -> Suite:
    """Return the benchmark of a family.

    Parameters
    ----------
    family : str
        One of :func:`timed_families`.
    quick : bool, default False
        The small instances only.

    Returns
    -------
    Suite
        Instances, contestants, goals.

    Raises
    ------
    OptionError
        If there is no benchmark of this family.
    """
    if family == TRAINING:
        require("torch", "learning")
        from validation.reproduce import rounds as found
    else:
        found = room("validation", family, "bench", "no benchmark of problem")
    made: Suite = found.suite(quick=quick)
    return made
