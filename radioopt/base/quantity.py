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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radioopt.base.errors import ProblemError
from radioopt.base.labels import aligned, is_series
from radioopt.base.plausible import Plausible, plausible, warn

if TYPE_CHECKING:
    from radioopt.base.record import Record

Axes = tuple[str, ...]
Array = NDArray[Any]

DEVICE: Axes = ("device",)
PER_INSTANCE: Axes = ()

_FLOAT64 = np.dtype(np.float64)
#: types that bring no labels
_ORDINARY = frozenset((float, int, list, tuple, np.ndarray, np.float64))
#: numbers in a block from which they are checked a quantity at a time
_MANY = 20_000
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
    return f"{owner}.{name}: expected {expected}, got {float(value)!r}{where}"


@dataclass
class Layout:
    """Where each quantity of a class lives: one array (block) per :class:`BlockKey`, one row per quantity.

    Fields that share axes share memory: a kernel takes a whole block, validation is two comparisons a block,
    and an attribute is a view of its row.
    """

    rows: dict[str, tuple[BlockKey, int]]
    blocks: dict[BlockKey, list[Quantity]]
    quantities: Mapping[str, Quantity]
    _limits: dict[tuple[BlockKey, int, bool], tuple[Array, Array]] = field(default_factory=dict)

    @classmethod
    def of(cls, quantities: Mapping[str, Quantity]) -> Layout:
        """Lay out the quantities in declaration order."""
        rows: dict[str, tuple[BlockKey, int]] = {}
        blocks: dict[BlockKey, list[Quantity]] = {}
        for name, declared in quantities.items():
            block = blocks.setdefault(declared.key, [])
            rows[name] = (declared.key, len(block))
            block.append(declared)
        return cls(rows, blocks, quantities)

    def limits(self, key: BlockKey, axes: int, likely: bool) -> tuple[Array, Array]:
        """Lower and upper limits of a block's rows, or of what is plausible, as columns against so many axes."""
        found = self._limits.get((key, axes, likely))
        if found is None:
            column = (-1,) + (1,) * axes
            domains = [declared.likely if likely else declared.domain for declared in self.blocks[key]]
            found = (
                np.array([domain.low for domain in domains]).reshape(column),
                np.array([domain.high for domain in domains]).reshape(column),
            )
            self._limits[key, axes, likely] = found
        return found

    def split(self, packed: Array, batch_shape: tuple[int, ...], sizes: Mapping[str, int]) -> Blocks:
        """Take a one-dimensional float64 array apart into blocks that lie in it one after the other."""
        blocks: Blocks = {}
        first = 0
        for key, declared in self.blocks.items():
            shape = (len(declared), *batch_shape, *(sizes[axis] for axis in key[0]))
            count = math.prod(shape)
            last = first - (-count * np.dtype(key[1]).itemsize // packed.itemsize)  # whole numbers of float64
            blocks[key] = packed[first:last].view(key[1])[:count].reshape(shape)
            first = last
        return blocks


Blocks = dict[BlockKey, Array]


def columns(block: Array) -> Array:
    """Return a block as (rows, n): with a column for everything, or one column where every number is held once."""
    if not any(block.strides[1:]):
        block = block[(slice(None), *[slice(1)] * (block.ndim - 1))]
    return np.ascontiguousarray(block.reshape(len(block), math.prod(block.shape[1:])))


def read_quantities(
    owner: str, layout: Layout, given: Mapping[str, ArrayLike], strict: bool | None = None
) -> tuple[Blocks, tuple[int, ...], dict[str, int], dict[str, tuple[Any, ...]]]:
    """Validate a set of values against their declarations and lay them out.

    Parameters
    ----------
    owner : str
        Class or constructor, for messages.
    layout : Layout
        The declarations.
    given : mapping of str to array_like
        One value for every declared quantity. Series are put in the order of the first one's labels.
    strict : bool, optional
        Whether what is not plausible is refused, or warned of; by default it is not looked at.

    Returns
    -------
    blocks : dict
        Read-only arrays of shape ``(rows, *batch, *core)``; C-contiguous, apart from blocks of common quantities, which
        hold one number each, seen everywhere, where nothing else was given.
    batch_shape : tuple of int
        The common leading axes; ``()`` for a single instance.
    sizes : dict of str to int
        Length of every core axis.
    labels : dict of str to tuple
        Labels along a core axis, where a Series has brought some.

    Raises
    ------
    ProblemError
        If a value is not numeric, lies outside its domain, or does not fit the others' lengths or labels.
    """
    labels: dict[str, tuple[Any, ...]] = {}
    if not _ORDINARY.issuperset(map(type, given.values())) and any(map(is_series, given.values())):
        given, labels = aligned(
            owner, {name: declared.axes for name, declared in layout.quantities.items()}, given
        )
    upright: list[str] = []
    values: dict[str, Array | float] = {}
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    batch_shape: tuple[int, ...] = ()
    for name, value in given.items():
        (axes, kind, _), _ = layout.rows[name]
        if kind != "d":
            values[name] = array = as_exact(owner, name, value, np.dtype(kind))
        elif type(value) is float or type(value) is np.float64:
            values[name] = value
            continue
        else:
            values[name] = array = as_numbers(owner, name, value)
        shape = array.shape
        if not shape or (len(shape) == len(axes) == 1 and shape[0] == sizes.get(axes[0])):
            continue  # what most fields are: numbers, and as many values as in the field before
        core = len(shape) - len(axes)
        if core and len(axes) == 1 and shape[-1] == 1 < shape[-2]:
            upright.append(name)
        if array.size == 0:
            raise ProblemError(f"{owner}.{name}: expected at least one value, got an empty array")
        if core < 0:
            raise ProblemError(
                f"{owner}.{name}: expected a scalar or axes (..., {', '.join(axes)}), got shape {shape}"
            )
        for axis, length in zip(axes, shape[core:], strict=True):
            known = sizes.get(axis, 1)
            if known == 1:
                sizes[axis], origin[axis] = length, name
            elif length not in (1, known):
                raise ProblemError(
                    f"{owner}.{name}: expected {known} values along the {axis} axis, as in {origin[axis]}, "
                    f"got {length}"
                )
        if core and shape[:core] != batch_shape:
            try:
                batch_shape = np.broadcast_shapes(batch_shape, shape[:core])
            except ValueError:
                raise ProblemError(
                    f"{owner}.{name}: expected leading (batch) axes that broadcast with {batch_shape}, "
                    f"got {shape[:core]} from shape {shape}"
                ) from None
    if upright:
        _look_at_columns(owner, layout, values, upright, sizes, strict)
    judged = strict is not None
    blocks: Blocks = {}
    for key, declared in layout.blocks.items():
        shape = batch_shape
        for axis in key[0]:
            shape += (sizes.setdefault(axis, 1),)
        whole = (len(declared), *shape)
        alike = key.common and not any(np.ndim(values[q.name]) for q in declared)
        if alike:
            shape = (1,) * len(shape)
        if shape:
            block = np.empty((len(declared), *shape), key.char)
        else:
            block = np.array([values[q.name] for q in declared], key.char)
        if block.size >= _MANY:
            good = True
            for row, q in enumerate(declared):  # copied and looked at while it is in the cache
                block[row] = value = values[q.name]
                good = good and (q.likely if judged else q.domain).covers(value)
        else:
            if shape:
                for row, q in enumerate(declared):
                    block[row] = values[q.name]
            low, high = layout.limits(key, len(shape), judged)
            inside = (low <= block) & (block <= high)
            good = np.count_nonzero(inside) == inside.size  # a fifth of the time of all()
        if not good:
            for q in declared:  # say which, on the caller's own array and indices
                check(owner, q.name, values[q.name], q.domain)
            if strict is not None:
                for q in declared:
                    look_at(owner, q, values[q.name], strict)
        block.flags.writeable = False
        blocks[key] = np.broadcast_to(block, whole) if alike else block
    return blocks, batch_shape, sizes, labels


def look_at(owner: str, declared: Quantity, value: ArrayLike, strict: bool) -> None:
    """Warn of numbers that a quantity does not have in practice, or refuse them if ``strict``."""
    if declared.plausible is None or declared.likely.covers(array := np.asarray(value, np.float64)):
        return
    beyond = ~declared.likely.contains(array)
    first = float(array[beyond].flat[0])
    text = refusal(owner, declared.name, array, beyond, declared.plausible.text)
    text = f"{text}; {declared.plausible.hint(first)}"
    if strict:
        raise ProblemError(text)
    warn(f"{text} (strict=None: it is meant so)")


def _look_at_columns(
    owner: str,
    layout: Layout,
    values: Mapping[str, Array | float],
    upright: list[str],
    sizes: Mapping[str, int],
    strict: bool | None,
) -> None:
    """Refuse columns of a table, (K, 1), that nothing says are a batch of K problems; warn if they all are."""
    batches = set()  # lengths of batch axes that other values have
    for name, value in values.items():
        axes, shape = layout.rows[name][0].axes, np.shape(value)
        if name not in upright and len(shape) > len(axes):
            batches.add(shape[len(shape) - len(axes) - 1])
    for name in upright:
        (axis,), rows = layout.rows[name][0].axes, np.shape(values[name])[-2]
        if rows in batches or sizes[axis] not in (1, rows):
            continue
        shape = np.shape(values[name])
        what = (
            f"{owner}.{name}: expected one axis, a value per {axis}, got a column of shape {shape}, which would be "
            f"{rows} problems of one value each: give its values alone, as of .ravel() or of one column of a table"
        )
        if sizes[axis] == rows or strict:
            raise ProblemError(f"{what}; a batch has shape ({rows}, {sizes[axis]})")
        if strict is not None:
            warn(f"{what} (strict=None: it is meant so)")
