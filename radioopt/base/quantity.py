"""Quantities: one declaration per field, read by everything that needs to know about the field.

A ``Quantity`` says what a number is: its unit, its domain, its core axes and its meaning. The same
declaration drives validation and its messages, the typed attribute, DataFrame and CSV columns, JSON and the
documentation.

Domains are closed intervals of float64. That is all the problems here need (``> 0`` is "at least the smallest
positive float"), it refuses NaN and infinity by itself, and a whole block of fields is checked in two
comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radioopt.base.errors import ProblemError
from radioopt.base.plausible import Plausible, level_hint, plausible

if TYPE_CHECKING:
    from radioopt.base.record import Record

Axes = tuple[str, ...]
Array = NDArray[Any]

DEVICE: Axes = ("device",)
PER_INSTANCE: Axes = ()

_FLOAT64 = np.dtype(np.float64)
_LARGEST = float(np.finfo(np.float64).max)


class BlockKey(NamedTuple):
    """What the quantities of a block have in common: core axes, dtype, and whether they are mostly one number each."""

    axes: Axes
    char: str = "d"
    common: bool = False


@dataclass(frozen=True)
class Domain:
    """A closed interval of float64 and the words for it in messages (``expected > 0, got ...``)."""

    text: str
    low: float
    high: float = _LARGEST

    def expected(self, value: float) -> str:
        """Words for what is expected instead of a value; that it be finite, where that is what is wrong."""
        wrong = not math.isfinite(value) and self.high < math.inf and self.text.startswith((">", "<"))
        return f"a finite number {self.text}" if wrong else self.text

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Tell elementwise which values lie in the interval; NaN never does."""
        return np.asarray((self.low <= values) & (values <= self.high))

    def covers(self, values: Array | float) -> bool:
        """Tell whether all values lie in the interval, without an array of answers; NaN never does."""
        array = np.asarray(values)
        return bool(self.low <= array.min() and array.max() <= self.high)


positive = Domain("> 0", math.ulp(0.0))
nonnegative = Domain(">= 0", 0.0)
finite = Domain("a finite number", -_LARGEST)
fraction = Domain("in [0, 1]", 0.0, 1.0)
unrestricted = Domain("a number", -math.inf, math.inf)


optional_limit = Domain("> 0, or inf for none", math.ulp(0.0), math.inf)


def at_least(low: float, high: float = _LARGEST) -> Domain:
    """Domain of the numbers from ``low`` on; finite ones unless ``high`` is inf."""
    return Domain(f">= {low:g}", float(low), high)


class Quantity:
    """A declared field of a problem, a solution or any other record: unit, domain, axes, meaning.

    As a class attribute it is a typed descriptor: assigning takes anything array-like, reading gives a
    read-only array (a NumPy scalar where the record is a single instance and the field has no core axes).
    Use :func:`quantity` to declare one.
    """

    def __init__(
        self,
        unit: str,
        domain: Domain,
        axes: Axes,
        description: str,
        *,
        symbol: str = "",
        default: float | None = None,
        dtype: type = np.float64,
        common: bool = False,
    ) -> None:
        self.unit = unit
        self.domain = domain
        self.axes = axes
        self.description = description
        self.symbol = symbol
        self.default = default
        self.dtype = np.dtype(dtype)
        self.key = BlockKey(axes, self.dtype.char, common)
        self.name = ""
        self.plausible: Plausible | None = None
        self.likely = domain

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.plausible = plausible(name)
        if self.plausible is not None:  # a limit that is not set, or a noise that is not given, is no slip
            low, high = max(self.domain.low, self.plausible.low), min(self.domain.high, self.plausible.high)
            default = low if self.default is None else self.default
            self.likely = Domain(self.plausible.text, min(low, default), max(high, default))

    @overload
    def __get__(self, record: None, owner: type) -> float: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Array: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        if record is None:  # how a dataclass asks for the default value of a field
            if self.default is None:
                raise AttributeError(f"{owner.__name__}.{self.name} has no default")
            return self.default
        return record._value(self.name)

    if TYPE_CHECKING:  # __init__ leaves what it was given under the name, for __post_init__

        def __set__(self, record: Record, value: ArrayLike) -> None: ...

    @property
    def shape_text(self) -> str:
        """Shape as written in documentation: ``(...)`` for one value per instance, ``(..., device)`` etc."""
        return f"({', '.join(('...', *self.axes))})"

    def __repr__(self) -> str:
        return f"<{self.name} [{self.unit}] {self.shape_text} {self.domain.text}: {self.description}>"


def quantity(
    unit: str,
    domain: Domain,
    axes: Axes,
    description: str,
    *,
    symbol: str = "",
    default: float | None = None,
    dtype: type = np.float64,
    common: bool = False,
) -> Any:
    """Declare a field of a record.

    Parameters
    ----------
    unit : str
        SI unit as printed, e.g. ``"bit/s"``; ``"1"`` for a pure number.
    domain : Domain
        The values accepted, e.g. :data:`positive` or ``at_least(1)``.
    axes : tuple of str
        Core axes, e.g. :data:`DEVICE`; ``()`` for one value per instance. Leading axes are a batch.
    description : str
        What the number is, in a few words.
    symbol : str, optional
        The symbol in the source paper.
    default : float, optional
        Value if the caller gives none; a field without a default is required.
    dtype : type, optional
        ``np.float64`` (default), ``np.int64`` or ``np.bool_``; the last two refuse what they cannot hold.
    common : bool, default False
        Whether it mostly is one number for a whole batch, as constants of a system and limits that are not set are:
        such fields have a block of their own, which holds each number once, unless one of them is given an array.

    Returns
    -------
    Quantity
        The descriptor (typed ``Any`` so that it can stand as the default of a dataclass field).
    """
    return Quantity(
        unit, domain, axes, description, symbol=symbol, default=default, dtype=dtype, common=common
    )


def check(owner: str, name: str, value: ArrayLike, domain: Domain) -> NDArray[np.float64]:
    """Convert a value to float64 and refuse it unless every element lies in the domain.

    Parameters
    ----------
    owner : str
        Class or function whose argument this is, for the message.
    name : str
        Name of the argument, for the message.
    value : array_like
        Numbers of any shape.
    domain : Domain
        The values accepted.

    Returns
    -------
    ndarray of float64
        The converted value, of the same shape; not a copy where none is needed.

    Raises
    ------
    ProblemError
        If the value is not numeric or an element lies outside the domain.

    Examples
    --------
    >>> check("rate_bps", "snr", [1e6, -2.0], positive)
    Traceback (most recent call last):
        ...
    radioopt.base.errors.ProblemError: rate_bps.snr: expected > 0, got -2.0 at index 1 (1 of 2 invalid)
    """
    array = as_numbers(owner, name, value)
    inside = domain.contains(array)
    if not inside.all():
        refuse(owner, name, array, ~inside, domain)
    return array


def as_numbers(owner: str, name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Convert real numbers to float64; refuse text, booleans, complex and ragged input by name."""
    if type(value) is np.ndarray and value.dtype is _FLOAT64:
        return value
    if type(value) is float:
        return np.array(value)
    try:
        if isinstance(value, np.ma.MaskedArray):
            value = np.ma.filled(value.astype(np.float64), np.nan)  # a masked element is a missing one
        array = np.asarray(value)
        wrong = value is None or array.dtype.kind not in "fiuO"
        if wrong or (array.dtype.kind == "O" and any(isinstance(x, _NO_NUMBERS) for x in array.flat)):
            raise TypeError
        if isinstance(value, (list, tuple)) and _has_bool(value):  # which NumPy takes for 1.0 among numbers
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ProblemError(f"{owner}.{name}: expected real numbers, got {shorten(value)}") from None


_NO_NUMBERS = (str, bytes, bool, np.bool_)


def _has_bool(values: Sequence[Any]) -> bool:
    kinds = {*map(type, values)}
    nested = kinds & {list, tuple}
    return bool(kinds & {bool, np.bool_}) or (
        bool(nested) and any(_has_bool(value) for value in values if type(value) in nested)
    )


def as_exact(owner: str, name: str, value: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """Convert to whole numbers or booleans; refuse what that would change, 0.5 for instance."""
    if dtype.kind == "b" and not isinstance(value, np.ma.MaskedArray):
        try:
            given = np.asarray(value)
        except ValueError:  # ragged, which is said below
            given = np.asarray(np.nan)
        if given.dtype == dtype:
            return given
        if given.dtype.kind == "O" and all(isinstance(x, (bool, np.bool_)) for x in given.flat):
            return given.astype(np.bool_)
    numbers = as_numbers(owner, name, value)
    with np.errstate(invalid="ignore"):
        exact = numbers.astype(dtype)
    if (exact != numbers).any():
        expected = "True or False" if dtype.kind == "b" else "a whole number"
        refuse(owner, name, numbers, exact != numbers, expected)
    return exact


def shorten(value: object) -> str:
    """Show a value in a message, cut to 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        text = f"{type(value).__name__} with thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def rounded_up(value: float) -> str:
    """Print a least value for a message so that what is printed suffices."""
    return f"{value * (1 + 1e-6):.7g}"


def check_choice(owner: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is not one of the choices, listing them."""
    if value not in choices:
        raise ProblemError(f"{owner}.{name}: expected one of {', '.join(choices)}, got {shorten(value)}")


def refuse(owner: str, name: str, values: Array, invalid: Array, expected: str | Domain) -> NoReturn:
    """Raise the ``ProblemError`` that names the first invalid element, its index and how many there are."""
    raise ProblemError(refusal(owner, name, values, invalid, expected))


def refusal(owner: str, name: str, values: Array, invalid: Array, expected: str | Domain) -> str:
    """Name the first invalid element, its index and how many there are."""
    values, invalid = np.broadcast_arrays(values, invalid)
    if values.ndim == 0:
        where = ""
        value = values[()]
    else:
        first = tuple(int(i) for i in np.argwhere(invalid)[0])
        index = first[0] if len(first) == 1 else first
        where = f" at index {index} ({np.count_nonzero(invalid)} of {values.size} invalid)"
        value = values[first]
    if isinstance(expected, Domain):
        expected = expected.expected(float(value))
    hint = level_hint(name) if -math.inf < value < 0 else ""
    return f"{owner}.{name}: expected {expected}, got {float(value)!r}{where}{hint}"
