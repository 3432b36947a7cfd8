"""Problem: a question as a frozen record of quantities, with the methods that answer it."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.layout import look_at
from radioopt.base.naming import named
from radioopt.base.options import DEFAULT_OPTIONS, MOST, SolveOptions, is_finite
from radioopt.base.quantity import Array, shorten
from radioopt.base.record import Record
from radioopt.base.rooms import room

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.base.solution import Solution

SolutionT = TypeVar("SolutionT", bound="Solution")
ProblemT = TypeVar("ProblemT", bound="Problem[Any]")


@dataclass(frozen=True)
class Method:
    """A way to solve a problem.

    Parameters
    ----------
    name : str
        What ``solve(method=...)`` takes.
    solve : callable
        ``(problem, options, **method_options) -> Solution``.
    exact : bool
        Whether the method certifies its answer as optimal (up to floating point) on every feasible instance.
    summary : str
        One line for the table of methods.
    options : tuple of str
        The keywords it takes beside :class:`SolveOptions`.
    defaults : mapping of str to Any
        Their default values, whose types are the types they take.
    """

    name: str
    solve: Callable[..., Any]
    exact: bool
    summary: str
    options: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keywords given for this method, or refuse one that it does not take or of another type."""
        return {name: self._checked(name, value) for name, value in given.items()}

    def _checked(self, name: str, value: Any) -> Any:
        if name not in self.options:
            known = ", ".join(self.options) or "none"
            raise OptionError(f"method {self.name!r}: unknown option {name!r}, it takes: {known}")
        default = self.defaults.get(name)
        for kind, accepted, expected in _KINDS:
            if isinstance(default, kind):
                # a bool is an integer to Python, but a mistake where a number is meant
                if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
                    raise OptionError(
                        f"method {self.name!r}: option {name}: expected {expected}, got {shorten(value)}"
                    )
                limit = ""
                if kind is float and isinstance(value, numbers.Rational) and not is_finite(value):
                    limit = "within float64"
                elif kind is int and name != "seed" and abs(value) > MOST:
                    limit = "below 2**63"
                if limit:
                    raise OptionError(
                        f"method {self.name!r}: option {name}: expected {expected} {limit}, got {shorten(value)}"
                    )
                return kind(value)
        return value


_KINDS: tuple[tuple[type, Any, str], ...] = (  # type of a default, what is accepted for it, and its words
    (bool, (bool, np.bool_), "True or False"),
    (int, numbers.Integral, "a whole number"),
    (float, numbers.Real, "a number"),
    (str, str, "text"),
)


class Problem(Record, Generic[SolutionT]):
    """Base of all problems: validated quantities, a direction, and a registry of methods.

    A subclass is a frozen, keyword-only dataclass of quantities::

        @Problem.named
        @dataclass(frozen=True, kw_only=True, eq=False, repr=False)
        class MyProblem(Problem["MySolution"], family="mine", sense="min"): ...

    Its last field is ``strict: InitVar[bool | None] = False``: whether numbers that are not plausible are refused,
    warned of (False), or taken as they are (None). It implements :meth:`certificate` and :meth:`repair`, and may extend
    :meth:`_check` with conditions that involve several fields. Methods register themselves with :meth:`method`; the
    first one is the default.
    """

    family: ClassVar[str]
    sense: ClassVar[Literal["min", "max"]]
    scale: ClassVar[float] = 0.0
    methods: ClassVar[dict[str, Method]]
    default_method: ClassVar[Method | None]

    registry: ClassVar[dict[str, type[Problem[Any]]]] = {}

    #: constructors beside the class itself, by name
    constructors: ClassVar[tuple[str, ...]] = ()
    _strict: bool | None = None

    def __init_subclass__(cls, *, family: str, sense: Literal["min", "max"], **kwargs: Any) -> None:
        """Enter the family into the registry that the CLI, validation and files read."""
        super().__init_subclass__(**kwargs)
        cls.family, cls.sense, cls.methods, cls.default_method = family, sense, {}, None
        Problem.registry[family] = cls

    @classmethod
    def named(cls, problem: type[ProblemT]) -> type[ProblemT]:
        """Have the constructors of a problem, a dataclass, name what they do not know; stands above ``@dataclass``.

        Parameters
        ----------
        problem : type
            The subclass, with the constructors beside ``__init__`` named in ``constructors``.

        Returns
        -------
        type
            The same class.
        """
        name, also = problem.__name__, dict[str, str]()
        for other in problem.constructors:
            built = vars(problem)[other].__func__
            fields = inspect.signature(problem.__init__).parameters
            for given in inspect.signature(built).parameters:
                if given not in fields:
                    also.setdefault(given, f": it belongs to {name}.{other}")
            setattr(problem, other, classmethod(named(f"{name}.{other}", built)))
        problem.__init__ = named(name, problem.__init__, also)  # type: ignore[method-assign]
        return problem

    def __post_init__(self, strict: bool | None) -> None:
        if strict is not None and not isinstance(strict, bool):
            raise ProblemError(
                f"{type(self).__name__}.strict: expected True, False or None, got {shorten(strict)}"
            )
        take = self.__dict__.pop
        self._read(type(self).__name__, {name: take(name) for name in self.quantities}, strict)
        self.__dict__["_strict"] = strict
        self._check()

    def _check(self) -> None:
        """Refuse combinations of fields that no single declaration can."""

    @property
    def settings(self) -> dict[str, Any]:
        """Fields that are not quantities: the same for all instances of a batch, text or numbers."""
        names = (field.name for field in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses
        return {name: getattr(self, name) for name in names if name not in self.quantities}

    def _context(self) -> dict[str, Any]:
        return self.settings

    @classmethod
    def method(cls, name: str, *, exact: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a function as a method of this problem.

        Parameters
        ----------
        name : str
            What ``solve(method=...)`` takes.
        exact : bool
            Whether it certifies its answer as optimal on every feasible instance.

        Returns
        -------
        callable
            Decorator for a function ``(problem, options, **method_options) -> Solution``.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            keywords = dict([*inspect.signature(function).parameters.items()][2:])
            defaults = {key: given.default for key, given in keywords.items()}
            summary = (function.__doc__ or "").strip().partition("\n")[0]
            cls.methods[name] = Method(name, function, exact, summary, tuple(keywords), defaults)
            cls.default_method = cls.default_method or cls.methods[name]
            return function

        return register

    def solve(
        self,
        method: str | None = None,
        options: SolveOptions = DEFAULT_OPTIONS,
        *,
        throw: bool = True,
        **method_options: Any,
    ) -> SolutionT:
        """Solve and certify.

        Parameters
        ----------
        method : str, optional
            A key of ``methods``; the first, exact one by default.
        options : SolveOptions, optional
            Tolerances and limits.
        throw : bool, default True
            Raise if a single instance has no feasible answer or one that is not proven optimal by an exact
            method. A batch never raises for its elements, it warns once: look at ``solution.status``.
        **method_options
            What this method takes beside ``options``.

        Returns
        -------
        Solution
            Allocation, objective, bound, gap and status.

        Raises
        ------
        OptionError
            If the method or one of its options does not exist, or an option is of another type.
        SolveError
            If ``throw`` and there is no usable answer; it carries the solution.
        """
        chosen = self.methods.get(method) if method is not None else self.default_method
        if chosen is None:
            known = ", ".join(self.methods)
            raise OptionError(f"{type(self).__name__}.solve: unknown method {method!r}, choose from {known}")
        if not isinstance(options, SolveOptions):
            raise OptionError(
                f"{type(self).__name__}.solve: options: expected SolveOptions(...), got {shorten(options)}"
            )
        given = chosen.checked(method_options) if method_options else method_options
        solution: SolutionT = chosen.solve(self, options, **given)
        if chosen.exact and not solution._proven:
            solution = solution.settled(options)
        return self._said(solution, options) if throw else solution

    def _said(self, solution: SolutionT, options: SolveOptions) -> SolutionT:
        """Raise where a single instance has no usable answer; warn, once, where some of a batch have none."""
        if not self.batch_shape:
            solution.raise_for_status()
        elif options.warn:
            solution.warn_for_status()
        return solution

    def judge(
        self, options: SolveOptions = DEFAULT_OPTIONS, *, throw: bool = True, **decisions: ArrayLike
    ) -> SolutionT:
        """Evaluate and certify decisions of your own; the solution's method is "given".

        Parameters
        ----------
        options : SolveOptions, optional
            Tolerances to judge by.
        throw : bool, default True
            Raise if a single instance's decisions break a constraint; a batch warns once.
        **decisions : array_like
            All of ``Solution.decisions`` by name, in the problem's units and shape or broadcast to it; a Series is put
            into the order of the problem's labels.

        Returns
        -------
        Solution
            Its bound is the better one of what the point and the default method, if exact, prove: the gap is what the
            best allocation gains. Prices where it is not optimal are NaN, or implied ones.

        Raises
        ------
        ProblemError
            If a decision is unknown or missing, not numeric, or of another shape.
        SolveError
            If ``throw`` and a constraint is broken: which, where and by how much; it carries the solution.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> problem = Scenario.load("feel-cpu").draw(seed=1).problem("feel")
        >>> even = problem.judge(batchsize=20, uplink_slot_s=0.01 / 12, downlink_slot_s=0.01 / 12)
        >>> even.method, even.status.name, bool(0.3 < even.gap < 0.9)
        ('given', 'FEASIBLE', True)
        >>> wrong = problem.judge(batchsize=20, uplink_slot_s=0.001, downlink_slot_s=0.01 / 12, throw=False)
        >>> wrong.status.name, *wrong.broken()
        ('FAILED', 'uplink_slot_s: expected a sum of at most 0.01 s, got 0.012 s: 0.002 s (20 %) too much')
        """
        from radioopt.base.judge import judge

        if not isinstance(options, SolveOptions):
            raise OptionError(
                f"{type(self).__name__}.judge: options: expected SolveOptions(...), got {shorten(options)}; decisions "
                f"are given by name: {', '.join(f'{name}=...' for name in self.solution_class().decisions)}"
            )
        solution: SolutionT = judge(self, options, decisions)
        return self._said(solution, options) if throw else solution

    @classmethod
    def solution_class(cls) -> type[SolutionT]:
        """Return the class of this problem's solutions, which the class statement names."""
        from radioopt.base.judge import solution_class

        found: type[SolutionT] = solution_class(cls)
        return found

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate any point in plain NumPy: objective, residuals, a bound from the point, gap, status.

        Parameters
        ----------
        options : SolveOptions, optional
            Tolerances to judge by.
        **decisions : array_like
            The point, as named in ``Solution.decisions``.

        Returns
        -------
        Certificate
            What was measured.
        """
        raise NotImplementedError

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Project a nearly feasible point (a generic solver's) onto the feasible set.

        Parameters
        ----------
        **decisions : array_like
            The point, as named in ``Solution.decisions``.

        Returns
        -------
        dict of str to ndarray
            The same decisions, feasible.
        """
        raise NotImplementedError

    def replace(self, **changes: Any) -> Any:
        """Return the same problem with some quantities changed, validated anew.

        Parameters
        ----------
        **changes : array_like
            New values by field name; and ``strict``, which is by default what it was.

        Returns
        -------
        Problem
            A new problem of the same class.

        Raises
        ------
        ProblemError
            If a name is not a field, or a value is refused.
        """
        known_fields = self._given() | self.settings
        strict = changes.pop("strict", self._strict)
        for name in changes:
            if name not in known_fields:
                known = ", ".join(known_fields)
                raise ProblemError(f"{type(self).__name__}.replace: no field {name!r}, choose from {known}")
        problem = type(self)(**(known_fields | changes | {"strict": None}))
        if strict is not None:  # what stays was looked at before
            for name in changes.keys() & self.quantities.keys():
                look_at(type(self).__name__, self.quantities[name], getattr(problem, name), strict)
        problem.__dict__["_strict"] = strict
        if self.labels:
            problem._label({**self.labels, **problem.labels})
        return problem

    def _header(self) -> dict[str, Any]:
        return super()._header() | {"kind": "problem", "family": self.family, "settings": self.settings}


def solve(
    problem: Problem[SolutionT],
    method: str | None = None,
    options: SolveOptions = DEFAULT_OPTIONS,
    *,
    throw: bool = True,
    **method_options: Any,
) -> SolutionT:
    """Solve any problem; the same as :meth:`Problem.solve`.

    Parameters
    ----------
    problem : Problem
        The question.
    method : str, optional
        A key of ``problem.methods``; the first, exact one by default.
    options : SolveOptions, optional
        Tolerances and limits.
    throw : bool, default True
        Raise if a single instance has no answer that its method stands by.
    **method_options
        What this method takes beside ``options``.

    Returns
    -------
    Solution
        Allocation, objective, bound, gap and status.

    Raises
    ------
    OptionError
        If the method or one of its options does not exist.
    SolveError
        If ``throw`` and there is no usable answer; it carries the solution.
    """
    return problem.solve(method, options, throw=throw, **method_options)


def problem_class(family: str) -> type[Problem[Any]]:
    """Return the problem class of a family, with its methods registered.

    Parameters
    ----------
    family : str
        One of :func:`families`.

    Returns
    -------
    type
        The subclass of :class:`Problem`.

    Raises
    ------
    OptionError
        If there is no such family.
    """
    room("radioopt", family, "problem")
    return Problem.registry[family]


def problem_from(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Problem[Any]:
    """Rebuild a problem from what :func:`~radioopt.base.record.read_file` returned."""
    cls = problem_class(header["family"])
    unknown, missing = set(arrays) - set(cls.quantities), set(cls.quantities) - set(arrays)
    if unknown or missing:
        raise ProblemError(
            f"{cls.__name__}: file has unknown fields {sorted(unknown)}, lacks {sorted(missing)}"
        )
    settings, labels = header.get("settings"), header.get("labels", {})
    if not isinstance(settings, Mapping) or not isinstance(labels, Mapping):
        raise ProblemError(f"{cls.__name__}: file has no settings, or labels that are no table")
    if "batch_shape" in header:
        return _nothing(cls, header["batch_shape"], header.get("sizes"), settings)
    problem = cls(**arrays, **settings, **{"strict": None})
    problem._label({axis: of for axis, of in labels.items() if isinstance(of, list)})
    return problem


def _nothing(
    cls: type[Problem[Any]], batch_shape: Any, sizes: Any, settings: Mapping[str, Any]
) -> Problem[Any]:
    """Rebuild a batch without instances, which no arrays tell."""
    axes = {axis for declared in cls.quantities.values() for axis in declared.axes}
    lengths = (
        [*batch_shape, *sizes.values()]
        if isinstance(batch_shape, list) and isinstance(sizes, dict)
        else [None]
    )
    names = {field.name for field in fields(cls)} - set(cls.quantities)  # type: ignore[arg-type]
    if (
        set(settings) != names
        or not all(type(n) is int and 0 <= n < 1_000_000 for n in lengths)
        or axes - set(sizes)
    ):
        raise ProblemError(f"{cls.__name__}: file has settings or sizes that do not fit")
    if 0 not in batch_shape:
        raise ProblemError(f"{cls.__name__}: file has a batch shape though it is not one of nothing")
    problem = object.__new__(cls)
    blocks = {
        key: np.zeros((len(declared), *batch_shape, *(sizes[axis] for axis in key.axes)), key.char)
        for key, declared in cls._layout.blocks.items()
    }
    problem.__dict__.update(settings)
    problem._take(blocks, tuple(batch_shape), sizes)
    problem._check()
    return problem
