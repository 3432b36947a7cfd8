"""Contestants that need to know no family: radioopt itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from radioopt.base.problem import Problem
from validation.bench.suite import Timed

P = TypeVar("P", bound=Problem[Any])
Problems = Sequence[Problem[Any]]


def solve(method: str | None = None, **options: Any) -> Callable[[Problems], Timed]:
    """radioopt: ``problem.solve()`` of a problem that stands."""

    def setup(problems: Problems) -> Timed:
        return ours(problems, lambda i: problems[i].solve(method, **options))

    return setup


def construct(problems: Problems) -> Timed:
    """radioopt: numbers in, validated problem out."""
    make = makers(problems)
    return Timed(lambda i: make[i](), problems)


def construct_and_solve(problems: Problems) -> Timed:
    """radioopt: numbers in, certified solution out."""
    make = makers(problems)
    return ours(problems, lambda i: make[i]().solve())


def makers(problems: Problems) -> list[Callable[[], Problem[Any]]]:
    """Functions that construct each problem from its numbers; what is the same everywhere is one number."""

    def maker(problem: Problem[Any]) -> Callable[[], Problem[Any]]:
        cls = type(problem)
        # what is no number is given as it stands, a catalogue for one
        fields = problem.to_dict() | {name: getattr(problem, name) for name in problem.settings}
        written = {name: as_written(value) for name, value in fields.items()}
        if cls(**written) == problem:  # nothing says how many there are if all numbers are the same
            fields = written
        return lambda: cls(**fields)

    return [maker(problem) for problem in problems]


def as_written(value: Any) -> Any:
    """Return the number that an array holds everywhere, or the value as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and (value == value.flat[0]).all():
        return float(value.flat[0])
    return value


def ours(problems: Problems, call: Callable[[int], Any]) -> Timed:
    """Contestant whose calls return a ``Solution``."""
    return Timed(
        call,
        problems,
        decisions=lambda i, solution: {name: getattr(solution, name) for name in solution.decisions},
        claim=lambda solution: "" if problems[0].batch_shape else solution.status.name,
    )


def first(count: int) -> Callable[[Sequence[P]], list[P]]:
    """Take the first instances of a batch one by one."""

    def take(problems: Sequence[P]) -> list[P]:
        return [problems[0][i] for i in range(count)]

    return take
