"""Means with Student's intervals, and how they are written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.limits import limits, within

if TYPE_CHECKING:
    import pandas as pd


def t_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the mean with Student's interval; NaN limits where a single value says nothing of the spread."""
    from scipy.stats import t

    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, math.nan, math.nan
    half = float(t.ppf(0.5 + confidence / 2, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return mean, mean - half, mean + half


def positive_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the mean of what is at least 0 with Student's interval, one-sided where that would reach below 0.

    NaN where there are no values, and NaN limits where a single one says nothing of the spread.
    """
    if not len(values):
        return math.nan, math.nan, math.nan
    mean, low, high = t_interval(values, confidence)
    if low < 0:
        return mean, 0.0, max(mean, t_interval(values, 2 * confidence - 1)[2])
    return mean, low, high


def with_interval(mean: float, low: float, high: float) -> str:
    """Write a mean: with the half width of its interval, or both ends where it does not reach as far up as down."""
    if not math.isfinite(mean):
        return "-"
    if not math.isclose(mean - low, high - mean, rel_tol=1e-6) and math.isfinite(low + high):
        return f"{mean:.4g} [{low:.4g}, {high:.4g}]"
    return with_width(mean, mean - low)


def with_width(mean: float, half: float) -> str:
    """Write a mean with the half width of its interval: two digits of the width, else four of the mean."""
    digits, given = 4, math.isfinite(half)
    if given and half > 0 and mean != 0:
        digits = min(_exponent(mean) - _exponent(half) + 2, 6)
    places = max(digits - 1 - _exponent(mean), 0) if mean != 0 else 0
    if given:
        return f"{mean:.{places}f} +- {half:.{places}f}"
    return f"{mean:.{places}f}".rstrip("0").rstrip(".") if places else f"{mean:.0f}"


def _exponent(value: float) -> int:
    """Return the power of ten of the first digit."""
    return math.floor(math.log10(abs(value)))


def group_means(groups: Any, confidence: float) -> pd.DataFrame:
    """Return of every column of grouped rows the mean, with ``_low`` and ``_high``, and how many ``runs``.

    Limits do not go beyond what a column can be: an accuracy is at most 1.
    """
    import pandas as pd
    from scipy.stats import t

    mean, count = groups.mean(), groups.count()
    half = groups.std() * t.ppf(0.5 + confidence / 2, count - 1) / np.sqrt(count)
    columns = {"runs": groups.size()}
    for name in mean:
        low, high = within(mean[name], mean[name] - half[name], mean[name] + half[name], limits(str(name)))
        columns |= {name: mean[name], f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)
