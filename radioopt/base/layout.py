"""Layout: where the quantities of a class live in memory, and how what is given for them is checked and laid out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.labels import aligned, is_series
from radioopt.base.plausible import warn
from radioopt.base.quantity import Array, BlockKey, Quantity, as_exact, as_numbers, check, refusal

#: types that bring no labels
_ORDINARY = frozenset((float, int, list, tuple, np.ndarray, np.float64))
#: numbers in a block from which they are checked a quantity at a time
_MANY = 20_000


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
