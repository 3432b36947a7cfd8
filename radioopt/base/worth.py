"""The table of what parameters are worth, which prints all that it holds."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from radioopt.base.tables import number_text, table_text

#: rows that are printed; the others matter less
MOST_ROWS = 60


class Worth(pd.DataFrame):
    """A table of :meth:`~radioopt.base.sensitivity.Sensitivity.table`, or some rows of it."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return Worth

    def __repr__(self) -> str:
        """Show the numbers in columns and, unless there is a row per device, the sentences below them."""
        numbers = pd.DataFrame(self).head(MOST_ROWS).drop(columns="says", errors="ignore")
        if numbers.empty or "parameter" not in self.index.names:
            return pd.DataFrame(self).to_string()
        words = numbers.reset_index().map(lambda value: number_text(value, 4))
        lines = [table_text(words.set_index("parameter"))]
        rest = len(self) - len(numbers)
        if rest:
            lines.append(f"and {rest} rows more, which matter less")
        if "says" in self and self.index.nlevels == 1:
            said = self["says"].groupby(self["says"], sort=False)
            lines += [f"{', '.join(map(str, group.index))}: {sentence}" for sentence, group in said]
        return "\n".join(lines)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Show whole sentences in a notebook too."""
        with pd.option_context("display.max_colwidth", None):
            return pd.DataFrame(self).to_html(max_rows=MOST_ROWS, notebook=True)
