"""Decisions of a user's own, evaluated and certified as a method's are; and what they break, by name and amount.

A family says two things of a point: the quantities that follow from its decisions (``Solution.follows``), and its
constraints in the units of the problem (``Solution.limits``). The rest is here. The verdict is the certificate's, which
measures every constraint on its own; the limits say it in words.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.errors import ArgumentError, ProblemError, suggestion
from radioopt.base.labels import aligned, is_series
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array, as_exact, as_numbers, shorten
from radioopt.base.status import Status

if TYPE_CHECKING:
    from radioopt.base.problem import Problem
    from radioopt.base.solution import Solution

#: the method of a solution whose decisions a user gave
GIVEN = "given"


@dataclass(frozen=True, eq=False)
class Limit:
    """A constraint of a single instance, in the units of the problem.

    Parameters
    ----------
    name : str
        The quantity that is limited.
    value : array_like
        What it is, one number or one per device.
    low, high : array_like, default -inf and inf
        Between what it has to be.
    unit : str, default "1"
        The unit of all three.
    of : str, default ""
        What of the quantity is meant, as in "a sum of".
    open : bool, default False
        Whether the lower end itself is excluded.
    choices : str, default ""
        Words for what is expected, where that is no interval; the value then tells which are right.
    """

    name: str
    value: Any
    low: Any = -np.inf
    high: Any = np.inf
    unit: str = "1"
    of: str = ""
    open: bool = False
    choices: str = ""

    @np.errstate(all="ignore")
    def broken(self, tolerance: float, names: Sequence[Any] | None = None) -> str:
        """Say where the limit is broken most, and by how much.

        Parameters
        ----------
        tolerance : float
            Relative violation >= 0 that counts as none.
        names : sequence, optional
            Names of the devices.

        Returns
        -------
        str
            Name, limit, index, value and amount; empty where the limit holds.
        """
        value, low, high = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in self._ends()))
        excess = np.maximum(_beyond(low - value, low), _beyond(value - high, high))
        if self.open:
            excess = np.where(value > low, excess, np.inf)
        excess = np.where(np.isnan(value), np.inf, excess)
        many = np.count_nonzero(excess > tolerance)
        if not many:
            return ""
        at = np.unravel_index(int(np.argmax(excess)), excess.shape)
        got, below = float(value[at]), bool(value[at] < low[at] or (self.open and value[at] <= low[at]))
        end = float((low if below else high)[at])
        unit = "" if self.unit == "1" else f" {self.unit}"
        where = ""
        if value.ndim:
            index = int(at[-1])
            name = "" if names is None else f" ({names[index]})"
            where = f" at index {index}{name}" + (f" ({many} of {value.size} broken)" if many > 1 else "")
        if self.choices:
            return f"{self.name}: expected {self.choices}{where}"
        if np.isnan(got):
            return f"{self.name}: expected {self.of and 'a sum that is '}a number{where}, got nan"
        word = ("more than" if self.open else "at least") if below else "at most"
        by, share = abs(got - end), ""
        if end:
            share = f" ({100 * by / abs(end):.3g} %)"
        amount = "" if by == 0 else f": {by:.4g}{unit}{share} too {'little' if below else 'much'}"
        return f"{self.name}: expected {self.of}{word} {end:.7g}{unit}{where}, got {got:.7g}{unit}{amount}"

    def _ends(self) -> tuple[Any, Any, Any]:
        return (self.value, 1.0, np.inf) if self.choices else (self.value, self.low, self.high)


def _beyond(distance: Array, end: Array) -> Array:
    """Return a distance relative to its limit; none where there is no limit."""
    return np.where(np.isfinite(end), distance / np.where(end == 0, 1.0, np.abs(end)), -np.inf)


def judge(problem: Problem[Any], options: SolveOptions, given: Mapping[str, Any]) -> Any:
    """Evaluate and certify decisions; see :meth:`radioopt.Problem.judge`."""
    kind = problem.solution_class()
    decisions = read_decisions(problem, kind, given)
    found = problem.certificate(options, **decisions)
    bound = np.broadcast_to(np.asarray(found.bound, np.float64), problem.batch_shape)
    best: Any = None
    if problem.default_method is not None and problem.default_method.exact:
        best = problem.solve(options=replace(options, warn=False), throw=False)
        bound = np.fmax(bound, best.bound) if problem.sense == "min" else np.fmin(bound, best.bound)
    objective = np.broadcast_to(np.asarray(found.objective, np.float64), problem.batch_shape)
    gap, status = certify(
        np.asarray(objective),
        bound,
        found.residual,
        sense=problem.sense,
        scale=problem.scale,
        options=options,
    )
    values: dict[str, Any] = {
        name: 0 if q.dtype.kind in "ib" else np.nan for name, q in kind.quantities.items()
    }
    values |= decisions | {"objective": objective, "bound": bound, "gap": gap, "status_code": status}

    def built() -> Any:
        return kind(problem, GIVEN, kind._computed(values, problem.batch_shape, problem.sizes)._blocks)

    with np.errstate(all="ignore"):
        values |= built().follows()
    for name, declared in kind.quantities.items():
        if name.startswith("price_") and best is not None:  # one optimum's are those of all
            optimal = np.asarray(status == Status.OPTIMAL)
            optimal = np.expand_dims(optimal, -1) if declared.axes else optimal
            values[name] = np.where(optimal, getattr(best, name), values[name])
    return built()


def solution_class(problem: type[Problem[Any]]) -> Any:
    """Return the class of a problem's solutions: the type argument of its base, in its own module or package."""
    for base in problem.__mro__:
        for written in vars(base).get("__orig_bases__", ()):
            for argument in get_args(written):
                name = getattr(argument, "__forward_arg__", None)
                if name is None:
                    continue
                home = sys.modules[base.__module__]
                if not hasattr(home, name):
                    home = importlib.import_module(base.__module__.rpartition(".")[0])
                return getattr(home, name)
    raise NotImplementedError(f"{problem.__name__} does not say what its solutions are: Problem[...]")


def read_decisions(problem: Problem[Any], kind: type[Solution], given: Mapping[str, Any]) -> dict[str, Array]:
    """Check names and shapes of decisions, and broadcast them to the problem.

    Parameters
    ----------
    problem : Problem
        The question.
    kind : type
        The class of its solutions.
    given : mapping of str to array_like
        Decisions by name; a Series is put into the order of the problem's labels.

    Returns
    -------
    dict of str to ndarray
        All decisions, in the shape of the problem.

    Raises
    ------
    ProblemError
        If a name is unknown or missing, or a value is not numeric or does not fit the problem's shape.
    """
    owner = f"{type(problem).__name__}.judge"
    for name in given:
        if name not in kind.decisions:
            raise ArgumentError(f"{owner}: unknown {name}{suggestion(name, kind.decisions)}")
    missing = [name for name in kind.decisions if name not in given]
    if missing:
        raise ArgumentError(f"{owner}: missing {', '.join(missing)}: give {', '.join(kind.decisions)}")
    axes = {name: kind.quantities[name].axes for name in kind.decisions}
    values = dict(given)
    if any(map(is_series, values.values())):
        values = _ordered(owner, problem, axes, values)
    found = {}
    for name in kind.decisions:
        kind_of = kind.quantities[name].dtype
        if kind_of.kind == "f":
            array = as_numbers(owner, name, values[name])
        else:
            array = as_exact(owner, name, values[name], kind_of)
        shape = (*problem.batch_shape, *(problem.sizes[axis] for axis in axes[name]))
        try:
            found[name] = np.broadcast_to(array, shape)
        except ValueError:
            raise ProblemError(
                f"{owner}.{name}: expected shape {shape}, got {array.shape}: {shorten(values[name])}"
            ) from None
    return found


def _ordered(
    owner: str, problem: Problem[Any], axes: Mapping[str, tuple[str, ...]], values: dict[str, Any]
) -> dict[str, Any]:
    """Put Series into the order of the problem's labels."""
    pandas = sys.modules["pandas"]
    order = {
        f"the problem's {axis}s": pandas.Series(0.0, index=list(labels))
        for axis, labels in problem.labels.items()
    }
    about = dict(axes) | {f"the problem's {axis}s": (axis,) for axis in problem.labels}
    plain, _ = aligned(owner, about, order | values)
    return {name: plain[name] for name in values}
