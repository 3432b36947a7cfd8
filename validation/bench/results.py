"""Results of a benchmark: rows, goals and the machine, in one JSON file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.base.errors import OptionError
from radioopt.base.files import write_whole
from validation.bench.suite import Goal, Key

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "radioopt-bench/1"
#: an answer is found if its repaired point is feasible and certified this close to the optimum
FOUND_GAP = 1e-5


@dataclass
class Row:
    """A contestant on an instance: how long it took, and what its answers are worth.

    Parameters
    ----------
    family, instance, solver, what : str
        Who did what on which instance.
    tolerance : str
        Accuracy asked for.
    threads : int or None
        Threads for Numba's loops where the case sets them.
    minimum_s, median_s : float
        Seconds per problem, over the samples [s].
    spread : float
        Distance of the quartiles of the samples over their median; NaN below four samples.
    samples, calls : int
        Samples, and calls in all of them.
    problems : int
        Problems answered per call: those of a batch, or one.
    answered, found : int
        Problems of which an answer was judged, and those whose repaired answer is feasible and within
        :data:`FOUND_GAP` of the optimum by the certificate.
    optimal : int
        Those certified OPTIMAL after repair, at the tolerances of :class:`~radioopt.SolveOptions`.
    residual : float
        Largest scaled violation of a constraint by an answer as returned.
    gap : float
        Largest certified relative gap of a repaired answer.
    error : float
        Largest error of derivatives, next to the largest of their field; NaN where none was measured.
    devices : int
        Devices of a problem; 0 where there is no problem.
    memory_bytes : float
        Most memory of the process, with all that it imported [byte]; NaN where others were measured in the same.
    claim : str
        The solver's own word.
    note : str
        Why it is missing, failed or was not run; empty otherwise.
    """

    family: str
    instance: str
    solver: str
    what: str
    tolerance: str = ""
    threads: int | None = None
    minimum_s: float = math.nan
    median_s: float = math.nan
    spread: float = math.nan
    samples: int = 0
    calls: int = 0
    problems: int = 1
    answered: int = 0
    found: int = 0
    optimal: int = 0
    residual: float = math.nan
    gap: float = math.nan
    error: float = math.nan
    devices: int = 0
    memory_bytes: float = math.nan
    claim: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """Family, instance, solver and what, as ``--only`` and comparisons use them."""
        parts = [self.family, self.instance, self.solver, self.what]
        if self.tolerance:
            parts.append(self.tolerance)
        if self.threads is not None:
            parts.append(f"{self.threads} threads")
        return "/".join(parts)

    @property
    def timed(self) -> str:
        """What was timed, with the number of threads where the case sets it."""
        return self.what + (f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else "")

    @property
    def measured(self) -> bool:
        """Whether there is a time."""
        return math.isfinite(self.minimum_s)


@dataclass
class Verdict:
    """A goal held against the rows.

    Parameters
    ----------
    family, label, unit : str
        The goal.
    floor, goal : float
        What must be reached, and what is aimed at.
    measured, by_median : float
        From the least times, and from the medians; NaN if a row is missing.
    also : dict of str to float
        The same with other rows of radioopt, by what they time.
    word : str
        "goal", "floor", "missed", or why there is nothing to say.
    """

    family: str
    label: str
    unit: str
    floor: float
    goal: float
    measured: float
    by_median: float
    also: dict[str, float]
    word: str


@dataclass
class Results:
    """Everything a run measured.

    Parameters
    ----------
    machine : dict
        As :func:`validation.bench.machine.describe` gives it.
    rows : list of Row
        The measurements.
    goals : list of Verdict
        The goals, held against them.
    notes : dict of str to list of str
        What is not fair to whom, by family.
    instances : dict of str to str
        What the instances are.
    plan : dict
        How much was measured.
    profiles : list of dict
        Of random instances, one by one: "family", "instance", "solver", "seconds", and whether it "found" the optimum.
    """

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    goals: list[Verdict] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    profiles: list[dict[str, Any]] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """Tabulate the rows."""
        import pandas as pd

        return pd.DataFrame(
            [dataclasses.asdict(row) for row in self.rows], columns=[f.name for f in dataclasses.fields(Row)]
        )

    def document(self) -> dict[str, Any]:
        """Return what the JSON file holds; NaN and infinities become text that ``float`` reads."""
        content: dict[str, Any] = _plain({"format": FORMAT} | dataclasses.asdict(self))
        return content

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the JSON file, whole or not at all."""
        return write_whole(path, (json.dumps(self.document(), indent=1, allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Results:
        """Read a file that :meth:`save` wrote; another one raises ``OptionError``."""
        try:
            content = json.loads(Path(path).read_bytes())
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            rows = [_typed(Row, row) for row in content.pop("rows")]
            goals = [_typed(Verdict, goal) for goal in content.pop("goals")]
            return cls(rows=rows, goals=goals, **content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OptionError(f"{path}: not a benchmark saved by radioopt ({FORMAT}): {error}") from error


def judge_goal(family: str, goal: Goal, rows: list[Row]) -> Verdict:
    """Hold a goal against the rows: measured only where radioopt is at least as accurate as the peer."""
    ours, versus = find(family, goal.ours, rows), None
    word = "" if ours is not None and ours.measured else "not measured: radioopt's row is missing"
    if goal.versus is not None:
        versus = find(family, goal.versus, rows)
        if versus is None or not versus.measured:
            word = word or "not measured: " + (versus.note if versus is not None else "the peer was not run")
    if not word and ours is not None:
        if ours.found < ours.answered:
            word = "void: radioopt's answer is not certified"
        elif versus is not None and ours.gap > max(versus.gap, 1e-12):
            word = "void: radioopt's answer is less accurate than the peer's"
        elif versus is not None and ours.error > max(versus.error, 1e-12):
            word = "void: radioopt's derivatives are less accurate than the peer's"
        elif versus is not None and versus.answered and not versus.found:
            word = "void: the peer found no answer"
    measured = _value(goal, ours, versus, "minimum_s")
    by_median = _value(goal, ours, versus, "median_s")
    also = {}
    for key in goal.also:
        other = find(family, key, rows)
        if other is not None and other.measured:
            name = other.timed if key[0] == goal.ours[0] else f"{other.timed}, {key[0]}"
            also[name] = _value(goal, other, versus, "minimum_s")
    if not word:
        better = (lambda limit: measured >= limit) if goal.unit == "x" else (lambda limit: measured <= limit)
        word = "goal" if better(goal.goal) else "floor" if better(goal.floor) else "missed"
    return Verdict(family, goal.label, goal.unit, goal.floor, goal.goal, measured, by_median, also, word)


def find(family: str, key: Key, rows: list[Row]) -> Row | None:
    """Return the row with this key; several differ in tolerance, and the first is meant."""
    for row in rows:
        same = row.family == family and (row.instance, row.solver, row.what) == key[:3]
        if same and (len(key) == 3 or row.threads == key[3]):
            return row
    return None


def _value(goal: Goal, ours: Row | None, versus: Row | None, name: str) -> float:
    if ours is None or (versus is None) != (goal.versus is None):
        return math.nan
    own = float(getattr(ours, name))
    if versus is None:
        return own * 1e6
    other = float(getattr(versus, name))
    return other / own if goal.unit == "x" else own / other


def _typed(cls: type[Any], content: dict[str, Any]) -> Any:
    """Build a row from JSON, in which what is not finite is text."""
    numbers = {f.name for f in dataclasses.fields(cls) if f.type == "float"}
    return cls(
        **{name: float(value) if name in numbers else _floats(value) for name, value in content.items()}
    )


def _floats(value: Any) -> Any:
    return {k: float(v) for k, v in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
