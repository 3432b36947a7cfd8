"""Contestants that differentiate: one loss in all fields, by implicit differentiation or by differences."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from radioopt.base.problem import Problem
from radioopt.base.quantity import Array
from radioopt.base.solution import Solution
from validation.bench.suite import Case, Goal, Group, Timed

Problems = Sequence[Problem[Any]]
Setup = Callable[[Problems], Timed]
#: what is timed
SOLVE, GRADIENT, BOTH = "solve", "gradient", "solve + gradient"


def gradient(loss: Mapping[str, Any], error: Callable[[int, Any], float] | None = None) -> Setup:
    """radioopt: ``solution.vjp(loss)`` of a solution that stands."""

    def setup(problems: Problems) -> Timed:
        solutions = [problem.solve(throw=False) for problem in problems]
        return Timed(lambda i: solutions[i].vjp(loss), problems, error=error)

    return setup


def solve_and_gradient(loss: Mapping[str, Any], error: Callable[[int, Any], float] | None = None) -> Setup:
    """radioopt: certified solution and the gradient of a loss in it."""

    def setup(problems: Problems) -> Timed:
        def call(i: int) -> tuple[Solution, dict[str, Array]]:
            solution = problems[i].solve(throw=False)
            return solution, solution.vjp(loss)

        return Timed(
            call,
            problems,
            decisions=lambda i, raw: {name: getattr(raw[0], name) for name in raw[0].decisions},
            error=None if error is None else lambda i, raw: error(i, raw[1]),
        )

    return setup


def differences(
    loss: str,
    take: Callable[[Problems], Problems],
    error: Callable[[int, Any], float] | None = None,
    step: float = 1e-5,
) -> Setup:
    """Radioopt's own solver on both sides of every number of an instance, in one batch: central differences."""

    def setup(problems: Problems) -> Timed:
        chosen = take(problems)
        names = [*chosen[0].solve(throw=False).vjp({loss: 0.0})]
        batches, places = zip(*(_moved(problem, names, step) for problem in chosen), strict=True)

        def call(i: int) -> dict[str, Array]:
            value = np.asarray(getattr(batches[i].solve(throw=False), loss))
            value = value.reshape(len(batches[i]), -1).sum(-1)
            slopes = (value[::2] - value[1::2]) / (2 * step)
            found = {}
            for name, (start, size) in places[i].items():
                field = np.asarray(getattr(chosen[i], name))
                found[name] = slopes[start : start + size].reshape(field.shape) / field
            return found

        return Timed(call, chosen, error=error)

    return setup


def _moved(
    problem: Problem[Any], names: Sequence[str], step: float
) -> tuple[Problem[Any], dict[str, tuple[int, int]]]:
    """Pose an instance with one number changed, up and down, for every finite number of some fields."""
    fields = {name: np.atleast_1d(getattr(problem, name)) for name in problem.quantities}
    places, start = {}, 0
    for name in names:
        if np.isfinite(fields[name]).all() and fields[name].all():
            places[name] = start, fields[name].size
            start += fields[name].size
    moved = {name: np.repeat(value[None], 2 * start, 0) for name, value in fields.items()}
    for name, (begin, size) in places.items():
        for j in range(size):
            moved[name][2 * (begin + j), j] *= 1 + step
            moved[name][2 * (begin + j) + 1, j] *= 1 - step
    shaped = {name: v if problem.quantities[name].axes else v[:, 0] for name, v in moved.items()}
    return type(problem)(**shaped, **problem.settings, strict=None), places


def error_against_digits(
    draw: Callable[[], Problem[Any]], state: Callable[[Any], Any], loss: str, fields: tuple[str, ...]
) -> Callable[[int, Any], float]:
    """Measure gradients of the sum of a result against differences of a solution to 60 digits, on one instance.

    Parameters
    ----------
    draw : callable
        Draws the batch whose first instance is taken; a gradient of many instances is compared in its first.
    state : callable
        ``state(solution)`` gives its equations, a :class:`validation.kkt.Kkt`.
    loss : str
        The result.
    fields : tuple of str
        The fields compared, which vary over the devices.

    Returns
    -------
    callable
        ``error(i, gradients)``: the largest error of an elasticity next to the largest of its field; NaN but for i = 0.
    """

    @functools.cache
    def exact() -> dict[str, Array]:
        first = draw()[0]
        _, slopes = state(first.solve()).jacobian(fields)
        return {name: slopes[loss, name].sum(0) * getattr(first, name) for name in fields}

    def error(i: int, gradients: Mapping[str, Array]) -> float:
        if i:
            return math.nan
        sizes = {name: float(np.abs(known).max()) for name, known in exact().items()}
        worst, most = 0.0, max(sizes.values())
        for name, known in exact().items():
            ours = np.reshape(gradients[name], (-1, known.size))[0] * getattr(draw()[0], name)
            worst = max(worst, float(np.abs(ours - known).max()) / max(sizes[name], 1e-6 * most))
        return worst

    return error


def group(
    solver: str,
    instance: str,
    summary: str,
    make: Callable[[], Problems],
    solve: Setup,
    everything: Mapping[str, Any],
    *others: Case,
    loss: Mapping[str, Any],
    error: Callable[[int, Any], float] | None,
) -> Group:
    """Group radioopt's solve, gradient in all results, and both, with other contestants."""
    return Group(
        instance=instance,
        summary=summary,
        make=make,
        cases=(
            Case(solver, SOLVE, solve, "1e-9", threads=1),
            Case(solver, GRADIENT, gradient(everything), threads=1),
            Case(solver, BOTH, solve_and_gradient(loss, error), "1e-9", threads=1),
            *others,
        ),
    )


def backward_goal(label: str, instance: str, solver: str) -> Goal:
    """Hold the gradient to at most five times the solve, and aim at twice."""
    return Goal(
        f"{label}: gradient, in times of its solve",
        (instance, solver, GRADIENT),
        (instance, solver, SOLVE),
        5,
        2,
        "solves",
    )
