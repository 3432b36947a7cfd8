"""Where a quantity can lie, by its name and unit: the interval of a mean does not reach beyond."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.latex import words_and_unit

#: ends of the names of shares
_SHARES = ("accuracy", "participation", "outage", "share", "top5")
#: units of what is never below 0
_SIZES = frozenset({"s", "J", "W", "Hz", "bit", "bit/s", "samples"})
#: names without a unit of what is never below 0
_COUNTS = ("rounds", "arrived", "batchsize")


def limits(name: str, unit: str = "") -> tuple[float, float]:
    """Return the least and the largest number that a quantity can be, infinite where nothing is known.

    Parameters
    ----------
    name : str
        As of a column, ``test_accuracy`` or ``energy_j``.
    unit : str, optional
        Its unit, where the name does not end with it.

    Returns
    -------
    tuple of float
        Least and largest, in that unit.

    Examples
    --------
    >>> limits("test_accuracy"), limits("energy_j"), limits("test_r2"), limits("objective", "1")
    ((0.0, 1.0), (0.0, inf), (-inf, 1.0), (-inf, inf))
    """
    if name.endswith(_SHARES):
        return 0.0, 1.0
    if name.endswith("r2"):
        return -math.inf, 1.0
    sized = unit in _SIZES or words_and_unit(name)[1] in _SIZES or name.endswith(_COUNTS)
    return (0.0 if sized else -math.inf), math.inf


def within(mean: Any, low: Any, high: Any, ends: Any) -> tuple[Any, Any]:
    """Cut intervals where the quantity ends: they cover the mean as often as before.

    Parameters
    ----------
    mean, low, high : float or array
        Means and intervals; NaN stays.
    ends : pair of float or array
        As of :func:`limits`. A mean outside of them is of another quantity, and its interval stays.

    Returns
    -------
    low, high : float or array
        The interval that is left.

    Examples
    --------
    >>> low, high = within(0.98, 0.94, 1.02, (0.0, 1.0))
    >>> float(low), float(high)
    (0.94, 1.0)
    """
    least, most = ends
    return (
        np.where(mean >= least, np.maximum(low, least), low),
        np.where(mean <= most, np.minimum(high, most), high),
    )
