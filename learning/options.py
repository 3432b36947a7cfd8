"""Options as users write them: names out of a table, and numbers in a range."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, TypeVar

from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten

T = TypeVar("T")


def choose(option: str, given: Any, table: Mapping[str, T], alternative: str = "") -> T:
    """Look a name up, or raise the ``OptionError`` that lists the names and what else is accepted."""
    if isinstance(given, str) and given in table:
        return table[given]
    also = f", or {alternative}" if alternative else ""
    raise OptionError(f"unknown {option} {shorten(given)}, choose from {', '.join(table)}{also}")


def real(option: str, given: Any, *, low: float = 0.0, high: float = math.inf, closed: bool = False) -> float:
    """Check a finite number strictly between two limits; `closed` includes the upper one."""
    number = isinstance(given, numbers.Real) and not isinstance(given, bool)
    if number and low < given < math.inf and (given < high or (closed and given == high)):
        return float(given)
    expected = (
        f"a number > {low:.6g}"
        if high == math.inf
        else f"a number > {low:.6g} and <{'=' * closed} {high:.6g}"
    )
    raise OptionError(f"{option}: expected {expected}, got {shorten(given)}")


def whole(option: str, given: Any, *, low: int = 1) -> int:
    """Check a whole number from a lower limit on."""
    if isinstance(given, numbers.Integral) and not isinstance(given, bool) and int(given) >= low:
        return int(given)
    raise OptionError(f"{option}: expected a whole number >= {low}, got {shorten(given)}")


def label(given: Any) -> str:
    """Write an option down for a manifest: its text, or the name of the object or of its class."""
    if isinstance(given, str):
        return given
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}.{named.__qualname__}"


def plain(given: Any) -> dict[str, Any]:
    """Write the attributes of an object down for a manifest: those that are numbers, text or nothing."""
    kept = (bool, int, float, str, type(None))
    return {name: value for name, value in vars(given).items() if isinstance(value, kept)}
