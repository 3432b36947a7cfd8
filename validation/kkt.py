"""Derivatives of an optimum by differences of a solution to 60 digits: what our adjoints are held against.

The equations are the problem's own: stationarity of its Lagrangian, as the paper writes the problem, and the limits
that bind. They are solved anew for every changed number; nothing is eliminated, nothing of ours is used but the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

from radioopt.base.quantity import Array

#: digits of all arithmetic, and the relative change of which differences are taken
DIGITS, STEP = 60, mp.mpf(10) ** -20

Numbers = dict[str, list[Any]]


@dataclass(frozen=True)
class Kkt:
    """An optimum as the solution of equations.

    Parameters
    ----------
    fields : dict of str to list
        The problem's numbers by field; one for what an instance has.
    start : sequence of float
        The unknowns, as a solver found them.
    equations : callable
        ``(unknowns, fields) -> residuals``, as many as unknowns.
    results : callable
        ``(unknowns, fields) -> {name: [values]}``.
    """

    fields: Numbers
    start: Sequence[Any]
    equations: Callable[[list[Any], Numbers], list[Any]]
    results: Callable[[list[Any], Numbers], Numbers]

    def jacobian(
        self, names: Sequence[str] | None = None
    ) -> tuple[dict[str, Array], dict[tuple[str, str], Array]]:
        """Solve, and differentiate every result.

        Parameters
        ----------
        names : sequence of str, optional
            The fields to differentiate in; all by default.

        Returns
        -------
        values : dict of str to ndarray
            The results.
        slopes : dict of (str, str) to ndarray
            By result and field, ``(values of the result, values of the field)``.

        Raises
        ------
        ArithmeticError
            If the solution is not found to 40 digits: the start has another active set than the equations.
        """
        with mp.workdps(DIGITS):
            fields = {name: [mp.mpf(v) for v in values] for name, values in self.fields.items()}
            x = [mp.mpf(value) for value in self.start]
            for _ in range(6):
                inverse = self._inverse(x, fields)
                x = self._closer(x, fields, inverse, 4)
                if self._step(x, fields, inverse) < mp.mpf(10) ** -40:
                    break
            else:
                raise ArithmeticError("no solution of these equations near the start")
            slopes: dict[tuple[str, str], Array] = {}
            found = self.results(x, fields)
            for name in fields if names is None else names:
                values, columns = fields[name], []
                for position, value in enumerate(values):
                    if not mp.isfinite(value):
                        columns.append({one: [mp.mpf(0)] * len(of) for one, of in found.items()})
                        continue
                    step = STEP * (abs(value) or 1)
                    ends = []
                    for sign in (1, -1):
                        moved = [*values[:position], value + sign * step, *values[position + 1 :]]
                        there = fields | {name: moved}
                        ends.append(self.results(self._closer(x, there, inverse, 3), there))
                    up, down = ends
                    columns.append(
                        {
                            one: [(p - m) / (2 * step) for p, m in zip(up[one], down[one], strict=True)]
                            for one in found
                        }
                    )
                for one, of in found.items():
                    table = [[column[one][i] for column in columns] for i in range(len(of))]
                    slopes[one, name] = np.array(table, dtype=float)
            return {one: np.array(of, dtype=float) for one, of in found.items()}, slopes

    def _closer(self, x: list[Any], fields: Numbers, inverse: Any, steps: int) -> list[Any]:
        """Take Newton steps by the inverse at hand."""
        for _ in range(steps):
            change = inverse * mp.matrix(self.equations(x, fields))
            x = [old - change[i] for i, old in enumerate(x)]
        return x

    def _step(self, x: list[Any], fields: Numbers, inverse: Any) -> Any:
        change = inverse * mp.matrix(self.equations(x, fields))
        return max(abs(change[i]) / (abs(old) or 1) for i, old in enumerate(x))

    def _inverse(self, x: list[Any], fields: Numbers) -> Any:
        """Invert the Jacobian, by differences of which half the digits are right."""
        matrix = mp.matrix(len(x))
        for j, value in enumerate(x):
            step = STEP * (abs(value) or 1)
            up = self.equations([*x[:j], value + step, *x[j + 1 :]], fields)
            down = self.equations([*x[:j], value - step, *x[j + 1 :]], fields)
            for i in range(len(x)):
                matrix[i, j] = (up[i] - down[i]) / (2 * step)
        return mp.inverse(matrix)


def numbers_of(problem: Any, names: Sequence[str]) -> Numbers:
    """Return a single instance's fields as lists."""
    return {name: np.atleast_1d(getattr(problem, name)).tolist() for name in names}


def disagreement(
    solution: Any, kkt: Kkt, fields: Sequence[str], results: Mapping[str, float] | Sequence[str]
) -> tuple[float, str]:
    """Largest difference of our derivatives from those of 60 digits, and where.

    Parameters
    ----------
    solution : Solution
        A single one.
    kkt : Kkt
        Its equations.
    fields : sequence of str
        To differentiate in.
    results : sequence of str
        To differentiate.

    Returns
    -------
    error : float
        Of the elasticities, relative to the largest of their field, or to a millionth of the largest of all if that is
        more.
    where : str
        Result and field.
    """
    values, exact = kkt.jacobian()
    ours: dict[tuple[str, str], Array] = {}
    for one in results:
        count = np.size(getattr(solution, one))
        cotangent = np.eye(count) if np.ndim(getattr(solution, one)) else np.ones(1)
        pulled = solution.vjp({one: cotangent})
        for name in fields:
            ours[one, name] = np.reshape(pulled[name], (count, -1))
    scale = {
        name: np.abs(np.where(np.isfinite(v := np.atleast_1d(getattr(solution.problem, name))), v, 0.0))
        for name in fields
    }
    size = {one: float(np.abs(values[one]).max()) or 1.0 for one in results}
    largest = {
        name: max(float((np.abs(exact[one, name]) * scale[name]).max()) / size[one] for one in results)
        for name in fields
    }
    most, worst = max(largest.values()), (0.0, "nothing")
    for one, name in ours:
        error = float((np.abs(ours[one, name] - exact[one, name]) * scale[name]).max()) / size[one]
        worst = max(worst, (error / max(largest[name], 1e-6 * most), f"{one} in {name}"))
    return worst
