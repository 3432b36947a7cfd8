"""One point of a sweep: all draws of a problem in a batched call; and where its answers are kept."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import pickle
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import radioopt
from radioopt.base.errors import OptionError, ProblemError, suggestion
from radioopt.base.files import write_whole
from radioopt.base.options import SolveOptions
from radioopt.base.problem import Method, problem_class
from radioopt.base.quantity import Array
from radioopt.scenario import Scenario

#: what files of answers are like; another number makes none of the older be read
KEPT = 1
#: a number per draw, by name
Answers = dict[str, Array]


@dataclass(frozen=True)
class Question:
    """A problem family with the method that answers.

    Parameters
    ----------
    name : str
        As it was given: ``family`` or ``family:method``.
    family : str
        Family of problems.
    method : str
        A key of its methods.
    """

    name: str
    family: str
    method: str

    @property
    def known(self) -> Method:
        """The method as it is registered."""
        return problem_class(self.family).methods[self.method]


def questions_of(scenario: Scenario, problems: str | Sequence[str] | None) -> tuple[Question, ...]:
    """Read which problems are solved, by which methods.

    Parameters
    ----------
    scenario : Scenario
        That poses them.
    problems : str or sequence of str, optional
        ``family`` or ``family:method``; by default all that have a table.

    Returns
    -------
    tuple of Question
        In the order given.

    Raises
    ------
    OptionError
        If the scenario has no such table, the problem no such method, or one stands twice.
    """
    given = scenario.families if problems is None else [problems] if isinstance(problems, str) else problems
    found: dict[str, Question] = {}
    for name in given:
        if not isinstance(name, str):
            raise OptionError(f'problems: expected names, as "feel" or "feel:bisection", got {name!r}')
        family, _, method = name.partition(":")
        if family not in scenario.families:
            tables = ", ".join(f"[{each}]" for each in scenario.families) or "none"
            raise OptionError(
                f"problems: scenario {scenario.name!r} has no table [{family}]; its problems: {tables}"
            )
        kind = problem_class(family)
        if method and method not in kind.methods:
            raise OptionError(
                f"problems: {family} has no method {method!r}{suggestion(method, kind.methods)}"
            )
        if name in found:
            raise OptionError(f"problems: {name} stands twice")
        assert kind.default_method is not None
        found[name] = Question(name, family, method or kind.default_method.name)
    if not found:
        raise OptionError(f"problems: expected at least one, scenario {scenario.name!r} has none")
    return tuple(found.values())


def solved(
    scenario: Scenario,
    questions: Sequence[Question],
    draws: int,
    seed: int,
    options: SolveOptions,
) -> list[Answers]:
    """Draw the devices of a point, and solve problems for all draws, each in one batch.

    Parameters
    ----------
    scenario : Scenario
        Of this point.
    questions : sequence of Question
        What is solved.
    draws : int
        Number of draws.
    seed : int
        Their seed.
    options : SolveOptions
        Tolerances and limits.

    Returns
    -------
    list of dict
        For each question its per-instance quantities, shape (draws,).
    """
    devices, quiet = scenario.draw(seed, size=draws), replace(options, warn=False)
    found = []
    for question in questions:
        try:
            posed = devices.problem(question.family)
        except ProblemError as error:
            raise ProblemError(f"{question.name}: {error}") from None
        solution = posed.solve(question.method, quiet, throw=False)
        if solution.batch_shape != (draws,):
            raise ProblemError(
                f"{question.name}: method {question.method!r} answered a batch of {draws} problems with the shape "
                f"{solution.batch_shape}: it has to keep the batch"
            )
        names = [name for name, of in solution.quantities.items() if not of.axes]
        found.append({name: np.array(getattr(solution, name)) for name in names})
    return found


class Kept:
    """Answers in a folder, a file for each point and problem, written whole.

    A file is named by a fingerprint of all that its numbers follow from, so that a sweep with more values, draws or
    problems takes what is there and solves what is not.

    Parameters
    ----------
    folder : path-like
        Where they are; made when the first file is written.
    draws, seed : int
        Of the sweep.
    options : SolveOptions
        Tolerances and limits.
    """

    def __init__(self, folder: Any, draws: int, seed: int, options: SolveOptions) -> None:
        self.folder, self.shared = Path(folder).expanduser() / "points", (draws, seed, repr(options))
        self._texts: dict[str, str] = {}

    def read(self, scenario: Scenario, question: Question) -> Answers | None:
        """Return the answers of a point, or None if they are not there or cannot be read."""
        path = self._file(scenario, question)
        try:  # from memory, since NumPy leaves a damaged file open
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
            return None

    def write(self, scenario: Scenario, question: Question, answers: Answers) -> None:
        """Keep the answers of a point."""
        buffer = io.BytesIO()
        np.savez(buffer, **answers)  # type: ignore[arg-type]  # no name is allow_pickle
        write_whole(self._file(scenario, question), buffer.getvalue())

    def _file(self, scenario: Scenario, question: Question) -> Path:
        config = scenario.to_dict()
        for other in (*scenario.families, "name"):
            if other != question.family:
                config.pop(other, None)
        if question.name not in self._texts:
            self._texts[question.name] = _text(question.known)
        whole = [KEPT, radioopt.__version__, question.family, question.method, self._texts[question.name]]
        text = json.dumps([*whole, *self.shared, config], sort_keys=True, default=str)
        return self.folder / f"{question.family}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def _text(method: Method) -> str:
    """Return what a method that is not radioopt's is known by: its source, or what an object that is called holds."""
    solve: Any = method.solve
    if solve.__module__.partition(".")[0] == "radioopt":
        return ""
    if not hasattr(solve, "__code__"):
        try:
            return hashlib.sha256(pickle.dumps(solve)).hexdigest()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise OptionError(
                f"folder: method {method.name!r} is an object that cannot be written down ({error}): register a "
                "function that calls it"
            ) from error
    try:
        return inspect.getsource(solve)
    except OSError:
        return str(solve.__code__.co_code.hex())
