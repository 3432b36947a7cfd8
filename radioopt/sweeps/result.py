"""What a sweep found: a tidy table, its summary, a picture, a table for LaTeX, files."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from radioopt.base.errors import MissingExtraError, OptionError, suggestion
from radioopt.base.files import write_whole
from radioopt.base.limits import limits, within
from radioopt.base.pictures import drawn
from radioopt.base.problem import Problem, problem_class
from radioopt.base.status import Status
from radioopt.scenario import Scenario
from radioopt.sweeps.grid import Axis
from radioopt.sweeps.point import Question
from radioopt.sweeps.saved import ABOUT, about

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.reports.page import Chapter

#: share of the draws outside a band of quantiles, at either end
TAIL = 0.05
#: statuses with a point
ANSWERED = tuple(status.name for status in Status if status.usable)


def columns_of(problem: type[Problem[Any]]) -> dict[str, str]:
    """Units of the per-instance quantities of a problem's solutions, by name."""
    solution = problem.solution_class()
    found = {name: q.unit for name, q in solution.quantities.items() if not q.axes and name != "status_code"}
    return found | {"objective": solution.objective_unit, "bound": solution.objective_unit}


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """The answers of a sweep, made by :func:`radioopt.sweep`.

    Parameters
    ----------
    frame : pandas.DataFrame
        As :meth:`to_frame` returns it.
    axes : tuple of Axis
        What was varied.
    questions : tuple of Question
        What was solved by which method.
    draws, seed : int
        Draws at each point, and their seed.
    scenario : Scenario
        What the points are changes of.
    """

    frame: pd.DataFrame
    axes: tuple[Axis, ...]
    questions: tuple[Question, ...]
    draws: int
    seed: int
    scenario: Scenario
    trials: ClassVar[str] = "draws"

    @property
    def default(self) -> str:
        """What is summarised if nothing else is asked for."""
        return "objective"

    def to_frame(self) -> pd.DataFrame:
        """Return the tidy table.

        Returns
        -------
        pandas.DataFrame
            A row per point, problem and draw: a column per axis, ``problem``, ``draw``, ``status`` (its name), and
            the per-instance quantities of the solutions, ``objective``, ``bound``, ``gap``, ``iterations`` and those of
            the family, NaN where a family has none of that name. ``frame.attrs["units"]`` has the units of axes and
            quantities; that of the objective depends on the problem, see :meth:`unit`.
        """
        frame = self.frame.copy()
        units = {axis.key: axis.unit for axis in self.axes}
        for question in self.questions:
            units |= columns_of(problem_class(question.family))
        if len({self.unit("objective", q.name) for q in self.questions}) > 1:
            units = {name: unit for name, unit in units.items() if name not in ("objective", "bound")}
        frame.attrs["units"] = units
        return frame

    def unit(self, quantity: str, problem: str) -> str:
        """Return the unit of a quantity of a problem's answers.

        Parameters
        ----------
        quantity : str
            A column of the tidy table.
        problem : str
            As it was given to the sweep.

        Returns
        -------
        str
            "1" for numbers without one.
        """
        family = next(q.family for q in self.questions if q.name == problem)
        return columns_of(problem_class(family))[quantity]

    def select(self, values: Mapping[str, Any] | None = None, problems: Sequence[str] | str = ()) -> Sweep:
        """Return a part of the sweep.

        Parameters
        ----------
        values : mapping of str to object, optional
            One value, or a list of them, by axis.
        problems : str or sequence of str, optional
            Which problems; by default all.

        Returns
        -------
        Sweep
            With the same draws.

        Raises
        ------
        OptionError
            If there is no such axis, value or problem.
        """
        frame, axes = self.frame, []
        for key in values or {}:
            if key not in [axis.key for axis in self.axes]:
                raise OptionError(f"select: no axis {key}{suggestion(key, [a.key for a in self.axes])}")
        for axis in self.axes:
            wanted = (values or {}).get(axis.key, axis.values)
            wanted = list(wanted) if isinstance(wanted, (list, tuple, np.ndarray)) else [wanted]
            kept = [v for v in axis.values if v in wanted]
            if len(kept) < len(wanted):
                missing = next(v for v in wanted if v not in axis.values)
                raise OptionError(f"select: {axis.key} does not take {missing!r}, but {list(axis.shown)}")
            axes.append(replace(axis, values=tuple(kept)))
            frame = frame[frame[axis.key].isin(axes[-1].shown)]
        names = [problems] if isinstance(problems, str) else list(problems)
        for name in names:
            self._question(name)
        questions = tuple(q for q in self.questions if not names or q.name in names)
        frame = frame[frame["problem"].isin([q.name for q in questions])]
        return replace(self, frame=frame.reset_index(drop=True), axes=tuple(axes), questions=questions)

    def summary(self, quantity: str = "objective", confidence: float = 0.95) -> pd.DataFrame:
        """Summarise a quantity over the draws of every point.

        Parameters
        ----------
        quantity : str, default "objective"
            A column of the tidy table.
        confidence : float, default 0.95
            Of the interval of the mean, in (0, 1).

        Returns
        -------
        pandas.DataFrame
            Indexed by problem and axes: ``draws``, ``infeasible`` and ``unanswered`` (draws without a point for another
            reason), both left out of the rest; ``mean``, ``low`` and ``high`` (Student's interval of the mean, NaN for
            a single draw, cut where the quantity ends, as at 0 and 1), ``q05``, ``median``, ``q95``. Problems without
            this quantity are left out.

        Raises
        ------
        OptionError
            If no answer has this quantity, or the confidence is out of its range.
        """
        from scipy.stats import t

        if not 0.0 < confidence < 1.0:
            raise OptionError(f"confidence: expected a number in (0, 1), got {confidence}")
        having = self.having(quantity)
        frame = self.frame[self.frame["problem"].isin(having)]
        keys = ["problem", *(axis.key for axis in self.axes)]
        answered = self._answered(quantity)[frame.index]
        infeasible = frame["status"] == Status.INFEASIBLE.name
        made = frame[keys].assign(
            value=frame[quantity].where(answered).astype(float),
            infeasible=infeasible,
            unanswered=~answered & ~infeasible,
        )
        groups = made.groupby(keys, sort=False)
        values = groups["value"]
        table = groups.agg(
            draws=("infeasible", "size"), infeasible=("infeasible", "sum"), unanswered=("unanswered", "sum")
        )
        count, mean = values.count(), values.mean()
        with np.errstate(invalid="ignore"):
            half = t.ppf(0.5 + confidence / 2, count - 1) * values.std() / np.sqrt(count)
        same = values.max() == values.min()  # then mean and spread are exact, without rounding
        mean, half = mean.mask(same, values.min()), half.mask(same & (count > 1), 0.0)
        ends = np.array([limits(quantity, self.unit(quantity, name)) for name, *_ in table.index]).T
        low, high = within(mean, mean - half, mean + half, ends)
        table = table.assign(mean=mean, low=low, high=high)
        for name, level in (("q05", TAIL), ("median", 0.5), ("q95", 1 - TAIL)):
            table[name] = values.quantile(level)
        order = [(q.name, *place) for q in self.questions if q.name in having for place in self._grid()]
        return table.loc[order if self.axes else having]

    def words(self, quantity: str = "objective") -> pd.DataFrame:
        """Return the summary as people read it.

        Parameters
        ----------
        quantity : str, default "objective"
            A column of the tidy table.

        Returns
        -------
        pandas.DataFrame
            As of :meth:`summary`, which has the numbers in full: axes rounded, in units with a prefix, and without
            columns that say nothing, which are counts of 0 and spreads where the draws do not differ.
        """
        from radioopt.sweeps.tables import words_of

        return words_of(self, quantity)

    def having(self, quantity: str) -> list[str]:
        """Name the problems whose answers have a quantity.

        Parameters
        ----------
        quantity : str
            A column of the tidy table.

        Returns
        -------
        list of str
            At least one.

        Raises
        ------
        OptionError
            If no answer has it.
        """
        known = {q.name: columns_of(problem_class(q.family)) for q in self.questions}
        found = [name for name, columns in known.items() if quantity in columns]
        if not found:
            every = dict.fromkeys(name for columns in known.values() for name in columns)
            raise OptionError(f"no answer has a quantity {quantity!r}{suggestion(quantity, every)}")
        return found

    def plot(self, quantity: str = "objective", **options: Any) -> Figure:
        """Draw means with bands over an axis.

        Parameters
        ----------
        quantity : str, default "objective"
            A column of the tidy table.
        **options
            As of :func:`radioopt.sweeps.plot.plot_sweep`: ``x``, ``by``, ``band``, and how it looks.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown; a panel for each problem.
        """
        from radioopt.sweeps.plot import plot_sweep

        return plot_sweep(self, quantity, **options)

    def chapter(self, name: str) -> Chapter:
        """Tell of the sweep in a report; see :func:`radioopt.report`.

        Parameters
        ----------
        name : str
            Letters and digits by which its pictures are told apart on the page.

        Returns
        -------
        Chapter
            Picture, a table for each problem, and what was varied.
        """
        from radioopt.reports.swept import Swept

        return Swept(self, self.default, "Sweep").chapter(name)

    def roles(self, x: str | None = None, by: str | None = None) -> tuple[Axis, Axis | None]:
        """Choose the axis that goes along, and the one that tells lines or columns apart.

        Parameters
        ----------
        x, by : str, optional
            Keys. By default the axis with most values that are numbers, and the other one.

        Returns
        -------
        x : Axis
            Along.
        by : Axis or None
            Told apart; None where a single axis has several values.

        Raises
        ------
        OptionError
            If there is no such axis, or another one has several values too.
        """
        axes = {axis.key: axis for axis in self.axes}
        for name, key in (("x", x), ("by", by)):
            if key is not None and key not in axes:
                raise OptionError(f"{name}: no axis {key}{suggestion(key, axes)}")
        several = [axis for axis in self.axes if len(axis.values) > 1 and axis.key not in (x, by)]
        several.sort(key=lambda axis: (not axis.numeric, -len(axis.values)))
        along = axes[x] if x is not None else several.pop(0) if several else self.axes[0]
        apart = axes[by] if by is not None else several.pop(0) if several else None
        if several:
            more = several[0]
            raise OptionError(
                f"{more.key} has {len(more.values)} values beside {along.key} and {apart and apart.key}: choose one, "
                f"as select({{{more.key!r}: {more.values[0]!r}}})"
            )
        return along, apart

    def to_latex(
        self,
        quantity: str = "objective",
        *,
        x: str | None = None,
        by: str | None = None,
        caption: str | None = None,
        label: str | None = None,
    ) -> str:
        r"""Write means with their 95 % intervals as a table for LaTeX, which needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        quantity : str, default "objective"
            A column of the tidy table.
        x, by : str, optional
            Axes of rows and columns, as of :meth:`roles`; each problem has columns of its own.
        caption, label : str, optional
            With either of them the tabular stands in a table of its own. Plain text, which is escaped.

        Returns
        -------
        str
            LaTeX. Where some draws have no answer, their share stands beside the mean of the others.

        Raises
        ------
        OptionError
            As :meth:`summary` and :meth:`roles`.
        """
        from radioopt.sweeps.tables import latex_sweep

        return latex_sweep(self, quantity, x=x, by=by, caption=caption, label=label)

    def save(self, folder: str | os.PathLike[str], quantity: str = "objective") -> list[Path]:
        """Write all that a paper needs into a folder, each file whole.

        Parameters
        ----------
        folder : path-like
            Made if it is missing.
        quantity : str, default "objective"
            What is drawn and tabulated.

        Returns
        -------
        list of pathlib.Path
            ``sweep.csv`` (:meth:`to_frame`; floats read back exactly), ``sweep.parquet`` if pyarrow is installed,
            ``summary.csv``; ``sweep.json``, by which ``radioopt report`` knows it again; and, where at most two axes
            have several values, ``sweep.tex``, and ``sweep.png`` and ``sweep.pdf`` if matplotlib is installed.
        """
        folder, frame = Path(folder).expanduser(), self.to_frame()
        files = {
            "sweep.csv": frame.to_csv(index=False).encode(),
            "summary.csv": self.summary(quantity).to_csv().encode(),
            ABOUT: about(self, quantity),
        }
        try:
            import pyarrow  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            pass
        else:
            buffer = io.BytesIO()
            frame.to_parquet(buffer, index=False)
            files["sweep.parquet"] = buffer.getvalue()
        if sum(len(axis.values) > 1 for axis in self.axes) <= 2:
            files["sweep.tex"] = self.to_latex(quantity).encode()
            try:
                figure = self.plot(quantity)
            except MissingExtraError:
                pass
            else:
                files |= {f"sweep.{kind}": drawn(figure, kind) for kind in ("png", "pdf")}
        return [write_whole(folder / name, data) for name, data in files.items()]

    def name_of(self, quantity: str, problem: str) -> str:
        """Words for a quantity of a problem's answers.

        Parameters
        ----------
        quantity : str
            A column of the tidy table.
        problem : str
            As it was given to the sweep.

        Returns
        -------
        str
            Without its unit.
        """
        family = problem_class(self._question(problem).family)
        solution = family.solution_class()
        if quantity == "objective":
            return solution.objective_name.partition(" of ")[0] or quantity
        return solution.quantities[quantity].description

    def _question(self, name: str) -> Question:
        found = next((q for q in self.questions if q.name == name), None)
        if found is None:
            raise OptionError(f"no problem {name}{suggestion(name, [q.name for q in self.questions])}")
        return found

    def _grid(self) -> list[tuple[Any, ...]]:
        return list(itertools.product(*(axis.shown for axis in self.axes)))

    def place(self, problem: str, along: Axis, at: int, apart: Axis | None, i: int) -> tuple[Any, ...]:
        """Return the label of a point in the summary.

        Parameters
        ----------
        problem : str
            Which problem.
        along, apart : Axis
            As of :meth:`roles`.
        at, i : int
            Places along the two.

        Returns
        -------
        tuple
            Problem, and a value for each axis.
        """
        places = {along.key: at} | ({} if apart is None else {apart.key: i})
        return (problem, *(axis.shown[places.get(axis.key, 0)] for axis in self.axes))

    def __repr__(self) -> str:
        """Say what was varied, and how the draws were answered."""
        over = " x ".join(f"{len(axis.values)} {axis.key}" for axis in self.axes)
        lines = [f"{type(self).__name__}: {over} x {self.draws} {self.trials}"]
        return "\n".join(lines + [f"  {each.name}: {self.told_of(each.name)}" for each in self.questions])

    def told_of(self, problem: str) -> str:
        """Say how the draws of a problem were answered.

        Parameters
        ----------
        problem : str
            As it was given to the sweep.

        Returns
        -------
        str
            Words.
        """
        own = self.frame["status"][self.frame["problem"] == problem].value_counts()
        return ", ".join(f"{n} {status}" for status, n in own.items())

    def _answered(self, quantity: str) -> pd.Series[bool]:
        """Tell which rows have a quantity."""
        found: pd.Series[bool] = self.frame["status"].isin(ANSWERED) & np.isfinite(self.frame[quantity])
        return found

    def counts(self, quantity: str) -> pd.DataFrame:
        """Return the summary with the columns that figure and table need.

        Parameters
        ----------
        quantity : str
            A column of the tidy table.

        Returns
        -------
        pandas.DataFrame
            As of :meth:`summary`.
        """
        return self.summary(quantity)
