"""Solution: an allocation with its certificate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.adjoint import Differentiable
from radioopt.base.certify import Certificate
from radioopt.base.errors import ProblemError, SolveError, SolveWarning
from radioopt.base.judge import GIVEN, Limit
from radioopt.base.layout import Blocks
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem, problem_class, problem_from
from radioopt.base.quantity import PER_INSTANCE, Array, Quantity, quantity, unrestricted
from radioopt.base.record import Record, read_file
from radioopt.base.rooms import families
from radioopt.base.status import Status

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure


#: a gap that no other proof would close
ROUNDING = 1e-12


class Solution(Record, Differentiable):
    """What a method returns: the allocation, and the proof of how good it is.

    Attributes
    ----------
    problem : Problem
        The question.
    method : str
        The method that answered.
    objective, bound, gap : float or ndarray (...)
        Objective reached, certified bound on the optimum, certified relative gap between them.
    iterations : int or ndarray (...)
        Passes over the devices (or what the method counts).
    status : Status or ndarray (...) of int64
        What was proven; a batch holds the integer codes.
    """

    objective: Quantity = quantity("1", unrestricted, PER_INSTANCE, "objective of the allocation")
    bound: Quantity = quantity("1", unrestricted, PER_INSTANCE, "certified bound on the optimum")
    gap: Quantity = quantity("1", unrestricted, PER_INSTANCE, "certified relative gap")
    iterations: Quantity = quantity("1", unrestricted, PER_INSTANCE, "iterations", dtype=np.int64)
    status_code: Quantity = quantity("1", unrestricted, PER_INSTANCE, "status code", dtype=np.int64)

    #: the quantities that are decided, in the order that ``Problem.certificate`` takes them by name
    decisions: ClassVar[tuple[str, ...]] = ()
    #: what the objective is, in a word and a unit, for people
    objective_name: ClassVar[str] = ""
    objective_unit: ClassVar[str] = "1"

    problem: Problem[Any]
    method: str
    _packed: Array
    _proven: bool = False

    def __init__(self, problem: Problem[Any], method: str, blocks: Blocks) -> None:
        self.__dict__.update(problem=problem, method=method)
        self._take(blocks, problem.batch_shape, problem.sizes)

    @classmethod
    def unpacked_later(cls, problem: Problem[Any], method: str, packed: Array, status: int) -> Self:
        """Take over an answer as a kernel packed it, blocks one after the other.

        A scheduler that solves a hundred thousand problems a second reads one or two arrays of each: the rest
        need not be made.

        Parameters
        ----------
        problem : Problem
            The question.
        method : str
            The method that answered.
        packed : ndarray of float64
            The blocks in the order of the layout, integers in their own bits; it becomes read-only.
        status : int
            Code of the status, the largest of a batch; it stands in the packed array too.

        Returns
        -------
        Solution
            The same as from the blocks.
        """
        solution = object.__new__(cls)
        attributes = solution.__dict__
        attributes["problem"] = problem
        attributes["method"] = method
        attributes["batch_shape"] = problem.batch_shape
        attributes["sizes"] = problem.sizes
        attributes["_packed"] = packed
        if not status:
            attributes["_proven"] = True
        return solution

    @cached_property
    def _blocks(self) -> Blocks:  # type: ignore[override]  # read-only here, as everywhere after construction
        self._packed.flags.writeable = False
        return self._layout.split(self._packed, self.batch_shape, self.sizes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot set {name}")

    @property
    def labels(self) -> Mapping[str, tuple[Any, ...]]:  # type: ignore[override]  # read-only, as everything here
        """Labels along core axes that have some, as the names of devices: those of the problem."""
        return self.problem.labels

    @property
    def status(self) -> Any:
        """Status of a single instance, or the integer codes of a batch."""
        code = self.status_code
        return code if self.batch_shape else Status(int(code))

    def verify(self, options: SolveOptions = DEFAULT_OPTIONS) -> Certificate:
        """Recompute the certificate from the decisions alone, in plain NumPy, without the kernel that solved.

        Parameters
        ----------
        options : SolveOptions, optional
            Tolerances to judge by.

        Returns
        -------
        Certificate
            Objective, bound, residuals by name, gap, status. The status is that of the solution, or the note says
            why not: a method may have proved more than the decisions alone show (whole samples, a search too long to
            repeat) or less (a heuristic, a limit that was reached). An instance without an answer has no point to
            judge, which is FAILED.
        """
        found = self._measured(options)
        claimed, status = np.broadcast_arrays(self.status_code, found.status)
        limited = (status == Status.FEASIBLE) & np.isin(claimed, (Status.NODE_LIMIT, Status.ITERATION_LIMIT))
        status = np.where(limited, claimed, status)[()]
        return replace(found, status=status, note=found.note or self._difference(status))

    def _measured(self, options: SolveOptions) -> Certificate:
        """Judge the decisions alone."""
        return self.problem.certificate(options, **{name: getattr(self, name) for name in self.decisions})

    def _difference(self, status: Any) -> str:
        """Say why a verification has another status than the solution, if it has."""
        claimed, own = self.status_code, f"method {self.method!r}"
        beyond = f"{own} found the optimum{{}} by a search that is not repeated here"
        if self.method == GIVEN:
            beyond = "the bound that proves the optimum{} is that of the default method"
        reasons = {
            beyond: ((claimed == Status.OPTIMAL) & (status == Status.FEASIBLE)),
            f"{own} did not prove the optimum{{}}, which the bound here does": (
                (claimed != Status.OPTIMAL) & (status == Status.OPTIMAL)
            ),
            f"{own} has no answer{{}}, so that there is no point to judge": (
                (claimed != Status.FAILED) & (status == Status.FAILED) & np.isnan(self.objective)
            ),
        }
        found = {reason: np.count_nonzero(where) for reason, where in reasons.items()}
        return "; ".join(
            reason.format(f" of {count} instances" if self.batch_shape else "")
            for reason, count in found.items()
            if count
        )

    def settled(self, options: SolveOptions = DEFAULT_OPTIONS) -> Self:
        """Let plain NumPy judge what an exact method found and did not prove: one answer has one status.

        Parameters
        ----------
        options : SolveOptions, optional
            Tolerances to judge by.

        Returns
        -------
        Solution
            With the better one of both bounds wherever it was FEASIBLE, but for gaps that are rounding. Where a limit
            ended a search, nothing more is searched.
        """
        open_ = (self.status_code == Status.FEASIBLE) & ~(self.gap <= ROUNDING)
        if not np.any(open_):
            return self
        some = self[open_] if self.batch_shape else self
        judged = some._measured(options)
        sign = 1.0 if self.problem.sense == "min" else -1.0
        tighter = (sign * judged.bound > sign * some.bound) & (judged.status <= Status.FEASIBLE)
        blocks = {key: np.array(block) for key, block in self._blocks.items()}
        for name, of in (("bound", judged.bound), ("gap", judged.gap), ("status_code", judged.status)):
            key = self.quantities[name].key
            row = blocks[key][self._layout.rows[name][1], ...]
            row[open_] = np.where(tighter, of, row[open_])
        return type(self)(self.problem, self.method, blocks)

    def raise_for_status(self) -> Self:
        """Raise unless every instance has an answer that its method stands by.

        Returns
        -------
        Solution
            Itself, if nothing was raised.

        Raises
        ------
        SolveError
            If an instance failed, is infeasible or hit a limit, or if an exact method did not close the gap.
        """
        if self._proven:
            return self
        codes, bad = np.atleast_1d(self.status_code), np.atleast_1d(self._unanswered())
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            where = (
                f" at instance {first if len(first) > 1 else first[0]} of the batch"
                if self.batch_shape
                else ""
            )
            status = Status(int(codes[first]))
            gap = float(np.atleast_1d(self.gap)[first])
            if self.method == GIVEN:
                one = self[first] if self.batch_shape else self
                broken = "; ".join(one.broken()) or f"{status.name}: {status.message}"
                raise SolveError(f"{type(self.problem).__name__}.judge{where}: {broken}", self)
            detail = f"gap {gap:.3g}"
            if status is Status.INFEASIBLE:
                detail = (self[first] if self.batch_shape else self).why_infeasible()
            elif status is Status.FEASIBLE:
                detail += "; " + _advice(gap)
            raise SolveError(
                f"{type(self.problem).__name__}, method {self.method!r}{where}: {status.name}: "
                f"{status.message} ({detail})",
                self,
            )
        return self

    def warn_for_status(self) -> None:
        """Warn, once, of a batch's instances without an answer that the method stands by: how many, and the first."""
        if self._proven:
            return
        bad = self._unanswered()
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            warnings.warn(
                f"{type(self.problem).__name__}, method {self.method!r}: {np.count_nonzero(bad)} of {bad.size} "
                f"instances are not answered: {counts(self.status_code[bad])}, the first at "
                f"{first if len(first) > 1 else first[0]}: look at solution.status; SolveOptions(warn=False) leaves "
                "out this warning",
                SolveWarning,
                stacklevel=4,  # whoever called solve or judge
            )

    def _unanswered(self) -> Any:
        """Tell which instances have no answer that the method stands by."""
        exact = self.method != GIVEN and self.problem.methods[self.method].exact
        return self.status_code != Status.OPTIMAL if exact else self.status_code > Status.NODE_LIMIT

    def follows(self) -> dict[str, Any]:
        """Return the quantities that follow from the decisions, by name, in plain NumPy."""
        return {}

    def limits(self) -> list[Limit]:
        """Return the constraints of a single instance with what its decisions make of them."""
        return []

    def broken(self, options: SolveOptions = DEFAULT_OPTIONS) -> list[str]:
        """Say which constraints the decisions of a single instance break, where, and by how much.

        Parameters
        ----------
        options : SolveOptions, optional
            Tolerances to judge by.

        Returns
        -------
        list of str
            A sentence for each constraint; none if all hold.
        """
        if self.batch_shape:
            raise TypeError("broken() is for a single solution: index the batch")
        names = self.labels.get("device")
        found = [limit.broken(options.feasibility_tol, names) for limit in self.limits()]
        said = [text for text in found if text]
        if not said:
            judged = self.problem.certificate(
                options, **{name: getattr(self, name) for name in self.decisions}
            )
            said = [
                f"{name}: broken by {float(value):.3g}, relative to its limit"
                for name, value in judged.residuals.items()
                if not value <= options.feasibility_tol
            ]
        return said

    def why_infeasible(self) -> str:
        """Name the quantity that leaves no feasible point, its value and the nearest feasible one."""
        raise NotImplementedError(f"{type(self).__name__} is never infeasible")

    def summary(self) -> dict[str, Any]:
        """Return the per-instance quantities of a single solution, with status and method, for tables."""
        if self.batch_shape:
            raise TypeError("summary() is for a single solution; use to_frame(axes=()) for a batch")
        values = {n: self._value(n).item() for n, q in self.quantities.items() if not q.axes}
        values.pop("status_code")
        return {"method": self.method, "status": self.status.name} | values

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw the allocation of a single instance; needs the extra ``plot``.

        Parameters
        ----------
        *path
            Nothing: a path is refused, as the figure is saved by ``plot().savefig(path)``.
        **options
            What the family's plot takes.

        Returns
        -------
        matplotlib.figure.Figure
            The figure, not shown yet.
        """
        raise NotImplementedError(f"{type(self).__name__} has no plot")

    # -- Record hooks ---------------------------------------------------------------------------------------

    def _selected_context(self, positions: Array) -> dict[str, Any]:
        return {"problem": self.problem._select(positions), "method": self.method}

    def _context(self) -> dict[str, Any]:
        return {"problem": self.problem, "method": self.method}

    def __repr__(self) -> str:
        """Say what was proven, and the range of every quantity over the instances with an answer."""
        if self.batch_shape:
            answered = np.isfinite(self.objective)
            gaps = self.gap[answered]
            widest = f", largest gap {gaps.max():.2g}" if gaps.size else ""
            head = f"{counts(self.status_code) or 'nothing'} by {self.method!r}{widest}"
            if 0 < gaps.size < answered.size:
                head += f"; ranges over the {gaps.size} with an answer"
            shown = self if gaps.size in (0, answered.size) else self[answered]
        else:
            head, shown = f"{self.status.name} by {self.method!r}, gap {float(self.gap):.2g}", self
        rows = [
            line
            for line in Record.__repr__(shown).split("\n")[1:]
            if not line.startswith(("  status_code", "  gap "))
        ]
        return "\n".join([f"{type(self).__name__}: {self._shape_text()}, {head}", *rows])

    def _parts(self) -> dict[str, Record]:
        return {"": self, "problem.": self.problem}

    def _header(self) -> dict[str, Any]:
        return super()._header() | {
            "kind": "solution",
            "family": self.problem.family,
            "settings": self.problem.settings,
            "class": type(self).__name__,
            "method": self.method,
        }


def load(path: str | os.PathLike[str]) -> Problem[Any] | Solution:
    """Read a problem or a solution from a file written by ``save``; every bit as it was.

    Parameters
    ----------
    path : path-like
        A ``.npz`` or ``.json`` file.

    Returns
    -------
    Problem or Solution
        What was saved; a solution brings its problem.

    Raises
    ------
    ProblemError
        If the file was not written by radioopt, or its content does not fit.
    FileNotFoundError
        If there is no such file.
    """
    header, arrays = read_file(path)
    kind, family = header.get("kind"), header.get("family")
    if kind not in ("problem", "solution") or family not in families():
        raise ProblemError(f"{path}: expected a problem or a solution, got {kind!r} of family {family!r}")
    own = {name: array for name, array in arrays.items() if "." not in name}
    if kind == "problem":
        return problem_from(header, own)
    questions = {k.removeprefix("problem."): v for k, v in arrays.items() if k.startswith("problem.")}
    problem = problem_from(header, questions)
    cls = {c.__name__: c for c in _subclasses(Solution)}.get(header.get("class", ""))
    if cls is None or header.get("method") not in (
        *problem_class(header["family"]).methods,
        GIVEN,
    ):
        raise ProblemError(f"{path}: unknown solution {header.get('class')!r} by {header.get('method')!r}")
    if set(own) != set(cls.quantities):
        raise ProblemError(
            f"{path}: {cls.__name__} has unknown or missing fields {sorted(set(own) ^ set(cls.quantities))}"
        )
    blocks: Blocks = {}
    for key, declared in cls._layout.blocks.items():
        shape = (*problem.batch_shape, *(problem.sizes[axis] for axis in key[0]))
        for q in declared:
            found = np.zeros(shape, q.dtype) if 0 in shape else own[q.name]
            own[q.name] = found
            if found.shape != shape or not np.can_cast(found.dtype, q.dtype):
                raise ProblemError(
                    f"{path}: {q.name}: expected {q.dtype} {shape}, got {found.dtype} {found.shape}"
                )
        blocks[key] = np.stack([own[q.name].astype(q.dtype) for q in declared])
    return cls(problem, header["method"], blocks)


def counts(codes: ArrayLike) -> str:
    """Words for how many instances have which status."""
    found, numbers = np.unique(codes, return_counts=True)
    return ", ".join(f"{n} {Status(int(c)).name}" for c, n in zip(found, numbers, strict=True)) or "none"


def _advice(gap: float) -> str:
    """Say what to change where an exact method proved less than it was asked for."""
    if not math.isfinite(gap):
        return "no bound: check units and scale of the inputs"
    if gap <= 1e-13:
        return "that is rounding, which no method proves away: raise gap_tol"
    return "raise gap_tol if that will do; if not, check units and scale of the inputs"


def _subclasses(cls: type[Solution]) -> list[type[Solution]]:
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in _subclasses(sub))]
