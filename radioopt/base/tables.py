"""Tables as text: numbers and words in columns as wide as what they hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def number_text(value: Any, digits: int = 5) -> str:
    """Write a value with so many significant digits; a dash for none.

    Examples
    --------
    >>> number_text(1234.5678), number_text(float("nan")), number_text("OPTIMAL")
    ('1234.6', '-', 'OPTIMAL')
    """
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value + 0.0:.{digits}g}"
    return str(value)


def table_text(frame: pd.DataFrame) -> str:
    """Write a table of texts, each column as wide as it has to be.

    Examples
    --------
    >>> import pandas as pd
    >>> print(table_text(pd.DataFrame({"a": ["1", "20"], "b": ["x", "y"]}, index=["one", "two"])))
          a  b
    one   1  x
    two  20  y
    """
    names = [str(frame.index.name or ""), *map(str, frame.columns)]
    rows = [[str(label), *map(str, row)] for label, row in zip(frame.index, frame.to_numpy(), strict=True)]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = []
    for first, *others in (names, *rows):
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
