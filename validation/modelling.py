"""The model of a problem in a modelling language, to look at, to add to and to solve; the references solve the same."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.problem import Problem
from radioopt.base.quantity import Array
from validation.reference import Answer, room

LANGUAGES = {"cvxpy": "cvxpy_model", "pyomo": "pyomo_model", "casadi": "ipopt_model"}
#: why a family has no model at all
WITHOUT = {
    "d2d-clusters": "what clusters become is no mixed-integer program",
    "d2d-sparse": "there is one in pyomo of the same problem by matrices, problem.dense()",
    "mix2fld": "its plans are finitely many and all tried",
}


class Outcome(NamedTuple):
    """How a solver ended.

    Attributes
    ----------
    objective : float
        What it reports, in the problem's unit.
    status : str
        Its own word.
    modelling_seconds : float
        Time that the modelling language took to compile the model while it was asked to solve [s].
    """

    objective: float
    status: str
    modelling_seconds: float = 0.0


class Model(NamedTuple):
    """A problem in a modelling language.

    Attributes
    ----------
    model : object
        A ``cvxpy.Problem``, a Pyomo ``ConcreteModel``, or the dictionary that ``casadi.nlpsol`` takes.
    variables : mapping of str to object
        Expressions of the language by the names of the problem's decisions and of what follows from them, in SI units;
        one whose name begins with ``log_`` is the natural logarithm of that.
    constraints : mapping of str to object
        The constraints by name, in the scale of the solver; for CasADi expressions that are at most 0.
    scaling : str
        In what units the solver's own variables are.
    run : callable
        ``(time_limit_s, more) -> Outcome``: solves the model as it is now, with more constraints.
    read : callable
        ``() -> decisions``: what was found, as ``problem.judge`` and ``problem.repair`` take it.
    """

    model: Any
    variables: Mapping[str, Any]
    constraints: Mapping[str, Any]
    scaling: str
    run: Callable[[float, Sequence[Any]], Outcome]
    read: Callable[[], dict[str, Array]]

    def solve(self, *more: Any, time_limit_s: float = 60.0) -> dict[str, Array]:
        """Solve, with more constraints if wanted.

        Parameters
        ----------
        *more
            Constraints of the language, as ``model.variables["bandwidth_hz"] >= 1e6``; for Pyomo one of each
            device, ``*[slot >= 1e6 for slot in model.variables["bandwidth_hz"].values()]``; for CasADi a triple
            ``(low, expression, high)`` of each.
        time_limit_s : float, default 60
            Limit for the solver [s].

        Returns
        -------
        dict of str to ndarray
            The decisions by name, in SI units and as exact as the solver is.

        Raises
        ------
        OptionError
            If all further constraints are about another CVXPY model, whose variables have other values.
        NoAnswerError
            If the solver ends without a point.
        """
        if hasattr(self.model, "variables"):
            own = {id(variable) for variable in self.model.variables()}
            theirs = {
                id(variable) for one in more if hasattr(one, "variables") for variable in one.variables()
            }
            if theirs and not theirs & own:
                raise OptionError(
                    "solve: the constraints are about variables of another model: take them from this one's variables"
                )
        self.run(time_limit_s, more)
        return self.read()

    def __repr__(self) -> str:
        """Name the variables and the constraints, and say how they are scaled."""
        home = type(self.model).__module__.partition(".")[0]
        groups = dict.fromkeys(
            name.partition("[")[0] for name in self.constraints
        )  # air_s[0,1], air_s[0,2], ...
        lines = [
            f"Model: {'casadi' if home == 'builtins' else home}",
            f"  variables    {', '.join(self.variables)}",
            f"  constraints  {', '.join(groups)}",
            f"  scaling      {self.scaling}",
        ]
        return "\n".join(lines)


def model(problem: Problem[Any], language: str = "cvxpy") -> Model:
    """Write a problem in a modelling language, as the references do that check it.

    Parameters
    ----------
    problem : Problem
        A single instance.
    language : {"cvxpy", "pyomo", "casadi"}, default "cvxpy"
        The language; not every family has every one.

    Returns
    -------
    Model
        The modelling object with its variables in SI units and its constraints, by name.

    Raises
    ------
    OptionError
        If the language is unknown, the family has no model in it, or the problem is a batch.
    MissingExtraError
        If the language is not installed.
    NoAnswerError
        If the model does not cover this instance; it says why.

    Examples
    --------
    >>> from radioopt import Scenario, SolveOptions
    >>> problem = Scenario.load("feel-cpu").draw(seed=1).problem("feel")
    >>> program = model(problem, "cvxpy")
    >>> program
    Model: cvxpy
      variables    batchsize, uplink_slot_s, downlink_slot_s, upload_phase_s, download_phase_s
      constraints  uploads, uplink_frame, min_batchsize, max_batchsize, downloads, downlink_frame
      scaling      ...
    >>> about = SolveOptions(feasibility_tol=1e-7, gap_tol=1e-6)  # as exact as the solver is
    >>> problem.judge(about, **program.solve()).status.name
    'OPTIMAL'
    >>> fair = program.solve(program.variables["uplink_slot_s"] >= 0.0005)
    >>> bool(problem.judge(about, **fair).gap > 1e-3)  # what that costs
    True
    """
    if language not in LANGUAGES:
        raise OptionError(f"model: unknown language {language!r}, choose from {', '.join(LANGUAGES)}")
    if not isinstance(problem, Problem):
        raise OptionError(
            f"model: expected a problem, got a {type(problem).__name__}: a solution has one, .problem"
        )
    home = importlib.import_module(str(room(problem.family).__package__))
    if problem.batch_shape:
        raise OptionError(
            f"model: expected a single instance, got a batch of {problem.batch_shape}: index it"
        )
    known = [name for name, module in LANGUAGES.items() if hasattr(home, module)]
    if language not in known:
        without = WITHOUT.get(problem.family, "no generic solver knows it")
        instead = f"there is one in {', '.join(known)}" if known else without
        raise OptionError(f"model: {problem.family} has no model in {language}: {instead}")
    written: Model = importlib.import_module(f"{home.__name__}.{LANGUAGES[language]}").model(problem)
    return written


def answer(build: Callable[[Any], Model], problem: Problem[Any], time_limit_s: float, version: str) -> Answer:
    """Build a model, solve it, and time both.

    Parameters
    ----------
    build : callable
        ``problem -> Model``.
    problem : Problem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].
    version : str
        Name and version of language and solver.

    Returns
    -------
    Answer
        What a reference returns.
    """
    start = time.perf_counter()
    written = build(problem)
    built = time.perf_counter()
    outcome = written.run(time_limit_s, ())
    return Answer(
        decisions=written.read(),
        objective=outcome.objective,
        seconds=time.perf_counter() - start,
        modelling_seconds=built - start + outcome.modelling_seconds,
        status=outcome.status,
        version=version,
    )


def rows(ca: Any, more: Sequence[Any]) -> list[Any]:
    """Turn triples ``(low, expression, high)`` into expressions of CasADi that are at most 0, of order one."""
    found = []
    for one in more:
        if not (isinstance(one, tuple) and len(one) == 3):
            raise OptionError(f"casadi takes more constraints as (low, expression, high), got {one!r}")
        low, expression, high = one
        for sign, end in ((-1.0, low), (1.0, high)):
            limit = np.broadcast_to(np.asarray(end, np.float64), expression.numel())
            for each in np.flatnonzero(np.isfinite(limit)).tolist():
                value = float(limit[each])
                found.append(sign * (expression[each] - value) / (abs(value) or 1.0))
    return found
