"""The table of a cross-check, which prints what matters of it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from radioopt.base.latex import latex_of
from radioopt.base.tables import number_text, table_text

#: what is printed of a cross-check
SHOWN = ("kind", "verdict", "objective", "difference", "gap", "residual", "seconds")


class Checked(pd.DataFrame):
    """A table of :func:`validation.cross_check`; whatever is selected of it is an ordinary one."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def shown(self) -> pd.DataFrame:
        """Return what matters: who answered what, how well it was judged, and how long it took."""
        return pd.DataFrame(self)[[name for name in SHOWN if name in self]]

    def __repr__(self) -> str:
        """Show what matters in lines of at most about 90 characters, and below why a solver has no answer."""
        digits = {"objective": 7, "difference": 2, "gap": 2, "residual": 2, "seconds": 3}
        words = self.shown().apply(
            lambda column: column.map(lambda value: number_text(value, digits.get(str(column.name), 4)))
        )
        lines = [table_text(words)]
        for name, row in self.iterrows():
            if pd.isna(row["objective"]):
                lines.append(f"{name}: {row['status']}")
            elif isinstance(row.get("note"), str) and row["note"]:
                lines.append(f"{name}: {row['note']}")
        return "\n".join(lines)

    __str__ = __repr__

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:  # type: ignore[override]
        r"""Write what matters for LaTeX, which needs ``\\usepackage{booktabs}``.

        Parameters
        ----------
        caption, label : str, optional
            With either of them the tabular stands in a table of its own.

        Returns
        -------
        str
            LaTeX.
        """
        return latex_of(self.shown(), caption=caption, label=label)
