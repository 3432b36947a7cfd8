"""Labels that pandas brings: Series in the order of the first one's, so that each device gets its own numbers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from radioopt.base.errors import ProblemError


def is_series(value: object) -> bool:
    """Tell a pandas Series or DataFrame, without importing pandas."""
    kind = type(value)
    if kind is float or kind is list or kind.__module__ == "numpy":
        return False
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (pandas.Series, pandas.DataFrame))


def aligned(
    owner: str, axes: Mapping[str, tuple[str, ...]], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Put all Series along an axis into the order of the first one's labels.

    Parameters
    ----------
    owner : str
        Class or constructor, for messages.
    axes : mapping of str to tuple of str
        Core axes of every quantity.
    given : mapping of str to Any
        Values, Series among them.

    Returns
    -------
    given : dict
        The same with arrays in place of Series.
    labels : dict of str to tuple
        Labels along each axis that has some; none where they only count.

    Raises
    ------
    ProblemError
        If Series of an axis differ in their labels, one has a label twice, or a DataFrame is one column.
    """
    import pandas as pd

    plain, first = dict(given), dict[str, tuple[str, Any]]()
    for name, value in given.items():
        if not is_series(value):
            continue
        if isinstance(value, pd.DataFrame):
            if value.shape[1] == 1:
                column = repr(value.columns[0])
                raise ProblemError(
                    f"{owner}.{name}: expected one axis, got a DataFrame with one column: give the column, [{column}]"
                )
            plain[name] = value.to_numpy()
            continue
        axis = axes[name][-1] if axes.get(name) else ""
        source, index = first.setdefault(axis, (name, value.index))
        if not value.index.equals(index):
            if not (value.index.is_unique and index.is_unique and set(value.index) == set(index)):
                raise ProblemError(
                    f"{owner}.{name}: expected a Series with the labels of {source}, {_some(index)}, got "
                    f"{_some(value.index)}: give .to_numpy() if their order is the same"
                )
            value = value.reindex(index)
        plain[name] = value.to_numpy()
    labels = {
        axis: tuple(index.tolist())
        for axis, (_, index) in first.items()
        if axis and not index.equals(pd.RangeIndex(len(index)))
    }
    return plain, labels


def _some(index: Any) -> str:
    shown = ", ".join(map(repr, index.tolist()[:4]))
    return f"{shown}{', ...' * (len(index) > 4)}"
