"""The tables of a sweep for people: on a terminal, and in LaTeX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from radioopt.base.latex import escaped, latex_table, mean_and_ends
from radioopt.base.prefixes import prefixed
from radioopt.sweeps.grid import axis_texts, axis_unit, with_unit

if TYPE_CHECKING:
    from radioopt.sweeps.result import Sweep


def varies(table: pd.DataFrame) -> bool:
    """Tell whether draws differ at any point of a summary: where nothing is random, a mean is the number itself."""
    return bool((table["q95"] > table["q05"]).any())


def means_of(sweep: Sweep, table: pd.DataFrame) -> str:
    """Say of what the means of a summary are; where the draws do not differ, there are no intervals."""
    if table["mean"].isna().all():
        return f"no answer in any of {sweep.draws} {sweep.trials}"
    if sweep.draws == 1:
        return f"of a single {sweep.trials.removesuffix('s')}"
    if not varies(table):
        return f"the same in all {sweep.draws} {sweep.trials}"
    return f"means over {sweep.draws} {sweep.trials} with 95 % intervals"


def words_of(sweep: Sweep, quantity: str) -> pd.DataFrame:
    """Return a summary as people read it; see :meth:`Sweep.words`."""
    table = sweep.summary(quantity)
    dull = [
        name for name in ("infeasible", "unanswered", "without") if name in table and not table[name].any()
    ]
    if not varies(table):
        dull += ["low", "high", "q05", "median", "q95"]
    levels: list[Any] = [table.index.get_level_values(0)]
    for axis in sweep.axes:
        texts = dict(zip(axis.shown, axis_texts(axis), strict=True))
        own = table.index.get_level_values(axis.key)
        levels.append(pd.Index(own.map(texts), name=with_unit(axis.name, axis_unit(axis)[1])))
    return table.drop(columns=dull).set_axis(pd.MultiIndex.from_arrays(levels))


def latex_sweep(
    sweep: Sweep, quantity: str, *, x: str | None, by: str | None, caption: str | None, label: str | None
) -> str:
    """Write a summary for LaTeX; see :meth:`Sweep.to_latex`."""
    table = sweep.counts(quantity)
    along, apart = sweep.roles(x, by)
    _, unit = axis_unit(along)
    top, middle, fine = [""], [""], [with_unit(along.name, unit)]
    apart_unit = "" if apart is None else axis_unit(apart)[1]
    columns = []
    for problem in sweep.having(quantity):
        values = table.loc[[problem]]
        size = float(np.nanmax(values["mean"].abs())) if values["mean"].notna().any() else math.nan
        scale, of = prefixed(sweep.unit(quantity, problem), size)
        name = f"{problem}: {with_unit(sweep.name_of(quantity, problem), of)}"
        for i in range(1 if apart is None else len(apart.values)):
            top.append(name)
            columns.append((problem, i, scale))
            if apart is None:
                fine.append("mean")
                continue
            middle.append(with_unit(apart.name, apart_unit))
            fine.append(axis_texts(apart)[i])
    rows = []
    for at, shown in enumerate(axis_texts(along)):
        cells = [escaped(shown)]
        for problem, i, scale in columns:
            row = table.loc[sweep.place(problem, along, at, apart, i)]
            missing = (row["infeasible"] + row["unanswered"]) / row["draws"]
            text = mean_and_ends(*(float(row[name]) * scale for name in ("mean", "low", "high")))
            cells.append(text + rf" ({100 * missing:.0f}\,\% none)" * bool(missing))
        rows.append(cells)
    notes = [f"{means_of(sweep, table)}; needs \\usepackage{{booktabs}}"]
    headings = [top, fine] if apart is None else [top, middle, fine]
    return latex_table(headings, rows, notes=notes, caption=caption, label=label)
