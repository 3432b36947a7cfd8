"""Which devices are meant: by position, mask or name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.quantity import Array


def positions_of(which: Any, count: int, names: Sequence[str]) -> Array:
    """Return the positions of some devices, none twice.

    Parameters
    ----------
    which : int, slice, or array_like of int, bool or str
        Positions, a mask, or names.
    count : int
        How many devices there are.
    names : sequence of str
        Their names; none if they have none.

    Returns
    -------
    ndarray of int
        At least one.

    Raises
    ------
    ProblemError
        If a position or a name does not exist, or nothing or a device twice is chosen.

    Examples
    --------
    >>> positions_of(["b", "a"], 3, "abc").tolist(), positions_of(slice(1, None), 3, ()).tolist()
    ([1, 0], [1, 2])
    """
    given = which if isinstance(which, slice) else np.asarray([which] if isinstance(which, str) else which)
    if not isinstance(given, slice) and given.dtype.kind in "UO":
        unknown = [name for name in given.ravel().tolist() if name not in names]
        if unknown and not len(names):
            raise ProblemError(
                f"Devices.pick: no device {unknown[0]!r}: these devices have no names; take positions 0 ... {count - 1}"
                ", or give devices.names in the scenario"
            )
        if unknown:
            raise ProblemError(f"Devices.pick: no device {unknown[0]!r}{suggestion(unknown[0], names)}")
        given = np.array([names.index(name) for name in given.ravel().tolist()])
    elif not isinstance(given, slice) and not given.size:
        given = given.astype(np.int64)
    try:
        positions = np.atleast_1d(np.arange(count)[given])
    except IndexError as error:
        raise ProblemError(f"Devices.pick: expected devices 0 ... {count - 1}: {error}") from None
    if positions.ndim != 1 or not positions.size or np.unique(positions).size < positions.size:
        raise ProblemError(
            f"Devices.pick: expected at least one device and none twice, got {positions.tolist()}"
        )
    return positions
