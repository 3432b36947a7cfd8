"""A chapter of a report on a sweep: its picture, a table for each problem, and the runs of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.latex import words_and_unit
from radioopt.base.prefixes import prefixed
from radioopt.reports.page import Chapter, Fact, Part, Section, Table, Text, Unit, tabulated, written
from radioopt.reports.pictures import both
from radioopt.sweeps.grid import axis_texts, axis_unit, with_unit
from radioopt.sweeps.tables import varies

if TYPE_CHECKING:
    from radioopt.sweeps.result import Sweep

#: statistics that have the unit of the quantity
_STATISTICS = ("mean", "low", "high", "q05", "median", "q95")


@dataclass(frozen=True)
class Swept:
    """A sweep and the quantity that is told of.

    Parameters
    ----------
    sweep : Sweep
        Of problems or of training.
    quantity : str
        A column of its table.
    title : str
        What it is called.
    """

    sweep: Sweep
    quantity: str
    title: str

    def chapter(self, name: str) -> Chapter:
        """Tell of the sweep."""
        sweep, quantity = self.sweep, self.quantity
        count, trials = len(sweep.frame), sweep.trials
        sizes = [f"{len(axis.values)} values of {axis.name}" for axis in sweep.axes]
        names = [question.name for question in sweep.questions]
        told = {name: sweep.told_of(name) for name in names}
        points = math.prod(len(axis.values) for axis in sweep.axes)
        many = f"{count} runs" if trials == "seeds" else f"{count} problems solved"
        lead = f"{', '.join(names)} over {' × '.join(sizes)}, {sweep.draws} {trials} at each point: {many}."
        facts = [
            Fact("points", str(points), "; ".join(sizes)),
            Fact(f"{trials} at a point", str(sweep.draws)),
        ]
        facts += [Fact(of, text) for of, text in told.items()]
        sections = [Section("Summary", [_table(sweep, quantity, each) for each in sweep.having(quantity)])]
        if trials == "seeds":
            sections.append(Section("Runs", [_runs(sweep)]))
        sections.append(Section("What was varied", [_axes(sweep)]))
        return Chapter(self.title, lead, facts=facts, first=[self._drawn(name)], sections=sections)

    def _drawn(self, name: str) -> Part:
        """Draw it, where two axes at most have several values."""
        if sum(len(axis.values) > 1 for axis in self.sweep.axes) > 2:
            return Text(
                "Not drawn: more than two axes have several values; sweep.select(...).plot() draws a part."
            )
        return both(lambda width: self.sweep.plot(self.quantity, width=width), "", f"{name}s", paper=True)


def _table(sweep: Sweep, quantity: str, problem: str) -> Table:
    """Tabulate a problem: a row for each point, in a unit for all statistics."""
    own = sweep.summary(quantity).loc[[problem]]
    size = float(np.nanmax(own["mean"].abs())) if own["mean"].notna().any() else math.nan
    factor, unit = prefixed(sweep.unit(quantity, problem), size)
    dull = [name for name in ("infeasible", "unanswered", "without") if name in own and not own[name].any()]
    if not varies(own):
        dull += [name for name in _STATISTICS if name != "mean"]
    shown = own.drop(columns=dull).droplevel(0).reset_index()
    for name in _STATISTICS:
        if name in shown:
            shown[name] *= factor
    for axis in sweep.axes:
        texts = dict(zip(axis.shown, axis_texts(axis), strict=True))
        if axis.numeric:
            shown[axis.key] = shown[axis.key].astype(float)
        else:
            shown[axis.key] = shown[axis.key].map(texts)
    heads = {axis.key: axis.name for axis in sweep.axes}
    units = {axis.name: Unit(axis.unit) for axis in sweep.axes}
    note = "low, high: 95 % interval of the mean; q05, q95: nine in ten lie between." if varies(own) else ""
    return tabulated(
        shown.rename(columns=heads),
        units,
        index=False,
        caption=f"{problem}: {with_unit(sweep.name_of(quantity, problem), unit)}",
        note=note,
        rest="summary.csv has all",
    )


def _runs(sweep: Sweep) -> Table:
    """List the runs of a training."""
    frame = sweep.to_frame()
    if frame["seconds_to_target"].isna().all() and not frame["reached"].any():
        frame = frame.drop(columns="reached")  # as there is no target
    frame = frame.dropna(axis=1, how="all")
    units = {
        str(name): Unit(frame.attrs["units"].get(name, words_and_unit(str(name))[1] or "1")) for name in frame
    }
    return tabulated(frame, units, index=False, rest="sweep.csv has all")


def _axes(sweep: Sweep) -> Table:
    """List the axes with their values."""
    import pandas as pd

    rows = [
        {
            "key": axis.key,
            "values": written(", ".join(axis_texts(axis)) + f" {axis_unit(axis)[1]}".rstrip()),
        }
        for axis in sweep.axes
    ]
    return tabulated(
        pd.DataFrame(rows), index=False, note=f"Scenario: {sweep.scenario.name}; first seed {sweep.seed}."
    )
