"""A chapter on an allocation: what it is, what proves it, what it depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from radioopt.base.errors import OptionError
from radioopt.base.latex import words_and_unit
from radioopt.base.quantity import Quantity
from radioopt.base.solution import Solution
from radioopt.base.status import Status
from radioopt.reports.dependence import (
    changes_sections,
    objective_words,
    solvers_parts,
    sorted_by,
    worth_of,
    worth_parts,
)
from radioopt.reports.page import (
    Cell,
    Chapter,
    Column,
    Fact,
    Mark,
    Part,
    Section,
    Table,
    Text,
    Unit,
    amount,
    headed,
    number,
    tabulated,
    worded,
    written,
)
from radioopt.reports.pictures import any_letters, both

if TYPE_CHECKING:
    from radioopt.scenario import Scenario

#: numbers of a summary that stand elsewhere or say nothing to a reader, and how the names of others begin
_DULL = ("objective", "bound", "gap", "iterations", "nodes", "mean_objective")
_DULL_BEGIN = ("price_", "share_")
#: units of numbers whose sum over the devices means something
_ADDED = ("samples", "J")
#: devices up to which a picture with a mark for each, and its links, is drawn
_MOST_MARKS = 400
#: numbers that stand out at most
_MOST_FACTS = 7


def chapter(
    solution: Solution,
    name: str,
    *,
    scenario: Scenario | None = None,
    checked: pd.DataFrame | str | None = None,
    alone: bool = True,
) -> Chapter:
    """Tell of an allocation.

    Parameters
    ----------
    solution : Solution
        A single instance; also one that is infeasible.
    name : str
        Letters and digits by which its pictures are told apart on the page.
    scenario : Scenario, optional
        What it was drawn from.
    checked : pandas.DataFrame or str, optional
        What ``validation.cross_check`` returned, or why there is none.
    alone : bool, default True
        Whether the chapter is the only one, and its title says which scenario.

    Returns
    -------
    Chapter
        With all sections that apply.

    Raises
    ------
    OptionError
        If it is a batch.
    """
    if solution.batch_shape:
        raise OptionError(
            f"report: expected a single allocation, got a batch of {solution.batch_shape}: index it, as solution[0]"
        )
    family, answered = solution.problem.family, math.isfinite(float(solution.objective))
    worth = worth_of(solution) if answered else None
    sections: list[Section] = []
    if answered:
        sections.append(Section("Allocation", _allocation(solution, name)))
        sections.append(Section("Certificate", _certificate(solution)))
        if isinstance(worth, pd.DataFrame):
            sections.append(Section("What a parameter is worth", worth_parts(worth, solution, name)))
        elif worth is not None:
            sections.append(Section("What a parameter is worth", [Text(worth)]))
        if hasattr(solution, "candidates"):
            sections.append(Section("All candidates", [_candidates(solution)]))
    sections += changes_sections(solution, name)
    sections.append(Section("Generic solvers", solvers_parts(checked, solution)))
    sections.append(Section("The problem", [_fields(solution)]))
    if scenario is not None:
        sections.append(Section("The scenario", [_settings(scenario)]))
    verdict, mark = _verdict(solution.status)
    titled = f"{family}: {scenario.name}" if scenario is not None and alone else family
    lead = _lead(solution, answered)
    if isinstance(worth, pd.DataFrame):
        lead += f" {_dearest(worth)}"
    return Chapter(titled, lead, verdict, mark, _facts(solution, answered), sections=sections)


def _verdict(status: Status) -> tuple[str, Mark]:
    words: dict[Status, tuple[str, Mark]] = {
        Status.OPTIMAL: ("proven optimal", "good"),
        Status.FEASIBLE: ("feasible, not proven optimal", "open"),
        Status.NODE_LIMIT: ("feasible, limit reached", "open"),
        Status.INFEASIBLE: ("infeasible", "bad"),
    }
    return words.get(status, (status.name.lower().replace("_", " "), "bad"))


def _lead(solution: Solution, answered: bool) -> str:
    """Say in a sentence or two what was found and what is proven of it."""
    if not answered:
        if solution.status is Status.INFEASIBLE:
            return f"No allocation meets all constraints. {solution.why_infeasible()}."
        return f"There is no allocation: {solution.status.message}."
    name, unit, least = objective_words(solution), solution.objective_unit, solution.problem.sense == "min"
    value, bound = float(solution.objective), float(solution.bound)
    said = f"The {name} is {amount(value, unit)}"
    gap = max(0.0, float(solution.gap))
    more = "less" if least else "more"
    if solution.status is Status.OPTIMAL:
        return f"{said}, and no allocation reaches {more}: the certified gap is {number(gap, 2)}."
    if not math.isfinite(bound):
        said = f"{said}, by method {solution.method!r}; how much {more} is possible is not known."
        return " ".join([said, *_improved(solution.summary())])
    return f"{said}, by method {solution.method!r}; {more} than {amount(bound, unit)} is proven impossible."


def _improved(summary: Mapping[str, Any]) -> list[str]:
    """Say what a summary has before and after."""
    found = []
    for name, value in summary.items():
        stem = name.removesuffix("before")
        if stem != name and f"{stem}after" in summary:
            after = number(summary[f"{stem}after"], 4)
            found.append(f"The {worded(stem).strip()} goes from {number(value, 4)} to {after}.")
    return found


def _dearest(worth: pd.DataFrame) -> str:
    """Say what an optimum depends on most."""
    said, unit = str(worth["says"].iloc[0]).partition(";")[0], str(worth["unit"].iloc[0])
    return f"What it depends on most is {worded(str(worth.index[0]), unit)}: {said}."


def _facts(solution: Solution, answered: bool) -> list[Fact]:
    """Choose the numbers that stand out."""
    if not answered:
        return []
    devices = Fact("devices", number(solution.sizes["device"]))
    unit, bound = solution.objective_unit, float(solution.bound)
    gap = number(max(0.0, float(solution.gap)), 2) if math.isfinite(bound) else "unknown"
    note = f"bound {amount(bound, unit, 6)}" if math.isfinite(bound) else "there is no bound"
    found = [
        Fact(objective_words(solution), amount(float(solution.objective), unit)),
        Fact("certified gap", gap, note),
    ]
    for name, value in solution.summary().items():
        if isinstance(value, (int, float)) and not name.startswith(_DULL_BEGIN) and name not in _DULL:
            unit = _unit(name, solution.quantities)
            found.append(Fact(worded(name, unit), amount(float(value), unit)))
    for key, column in solution.to_frame().items():
        unit = _unit(str(key), solution.quantities)
        total = float(column.sum()) if column.dtype.kind == "f" else math.nan
        if unit in _ADDED and math.isfinite(total) and not math.isclose(total, float(solution.objective)):
            label = worded(str(key), unit)
            found.append(Fact(label, amount(total, unit), "all devices"))
    return [found[0], found[1], devices, *found[2:]][:_MOST_FACTS]


def _unit(name: str, known: Mapping[str, Quantity]) -> str:
    """Return the unit of a column: as it was declared, or as its name says."""
    if name in known:
        return known[name].unit
    return words_and_unit(name)[1] or "1"


def _units(columns: list[str], known: Mapping[str, Quantity]) -> dict[str, Unit]:
    return {
        name: Unit(_unit(name, known), known[name].description if name in known else "") for name in columns
    }


def _allocation(solution: Solution, name: str) -> list[Part]:
    """Draw the allocation, sum it up, and list it by device."""
    frame, parts = solution.to_frame(), list[Part]()
    count = solution.sizes["device"]
    if "coordinate" in solution.sizes and count > _MOST_MARKS:
        parts.append(Text(f"Not drawn: a picture of {count} devices and their links shows nothing."))
    else:
        drawn = _drawn(solution, name)
        parts.append(drawn)
    units = _units([str(column) for column in frame], solution.quantities)
    numeric = frame[[column for column, kind in frame.dtypes.items() if kind.kind == "f"]]
    if count > 1 and numeric.shape[1]:
        parts.append(_totals(numeric, units))
    parts.append(
        tabulated(
            frame,
            units,
            caption="by device; click a heading to sort",
            rest="solution.to_frame(), or radioopt solve with --csv, has all",
        )
    )
    return parts


def _drawn(solution: Solution, name: str) -> Part:
    """Draw the allocation, or say in the page why that was not possible."""
    try:
        with any_letters():
            return both(
                lambda width: solution.plot(width=width), "", f"{name}a", paper="coordinate" in solution.sizes
            )
    except ImportError:
        raise
    except Exception as error:  # matplotlib can fail in any way: settings, fonts, LaTeX
        return Text(f"Not drawn: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _totals(frame: pd.DataFrame, units: Mapping[str, Unit]) -> Table:
    """Sum up columns over the devices, a row each, in a unit of its own."""
    rows = []
    for column in frame:
        values, unit = frame[column].to_numpy(np.float64), units[str(column)].unit
        known = values[np.isfinite(values)]
        if not known.size:
            continue
        told = (known.sum(), known.min(), np.median(known), known.max())
        label = worded(str(column), unit)
        rows.append([Cell(label, label), *(Cell(amount(float(x), unit), repr(float(x))) for x in told)])
    heads = ("total", "least", "median", "most")
    columns = [Column("over all devices"), *(Column(head, numeric=True) for head in heads)]
    return Table(columns, rows)


def _certificate(solution: Solution) -> list[Part]:
    """Set what the solver says beside what the decisions alone show, and list the constraints."""
    check = solution.verify()
    unit = solution.objective_unit
    rows = {
        f"objective{f' [{unit}]' if unit != '1' else ''}": (
            float(solution.objective),
            float(check.objective),
        ),
        f"bound{f' [{unit}]' if unit != '1' else ''}": (float(solution.bound), float(check.bound)),
        "relative gap": (float(solution.gap), float(check.gap)),
    }
    columns = [Column("")] + [Column(head, numeric=True) for head in ("by the solver", "recomputed")]
    table = [
        [Cell(label, label), *(Cell(number(x, 12), repr(x)) for x in pair)] for label, pair in rows.items()
    ]
    parts: list[Part] = [
        Text(
            f"{solution.status.name}: {solution.status.message}. The right column is computed in plain NumPy from the "
            "decisions alone, without the code that found them." + (f" {check.note}." if check.note else "")
        ),
        Table(columns, table),
    ]
    residuals = {name: float(value) for name, value in check.residuals.items()}
    broken = [
        [Cell(headed(name), name), Cell(number(max(0.0, x), 2), repr(x))] for name, x in residuals.items()
    ]
    if broken:
        heads = [Column("constraint"), Column("largest violation", "relative to the limit", numeric=True)]
        parts.append(Table(heads, broken))
    limits = _limits(solution)
    if limits.rows:
        parts.append(limits)
    return parts


def _limits(solution: Solution) -> Table:
    """List the constraints with what the allocation makes of them."""
    rows = []
    for limit in solution.limits():
        if limit.choices:
            continue
        value, low, high = np.broadcast_arrays(
            *(np.asarray(x, float) for x in (limit.value, limit.low, limit.high))
        )
        size = np.maximum(np.abs(value), 1e-300)
        what = f"{limit.of.removeprefix('a ')}{worded(limit.name, limit.unit)}"
        for end, word, sign in ((low, "at least", 1.0), (high, "at most", -1.0)):
            set_ = (np.abs(end) < np.finfo(float).max) & ~(
                (sign > 0) & (end == 0)
            )  # the largest number: none
            if not set_.any():
                continue
            room = (sign * (value - end) / np.maximum(size, np.abs(end)))[set_]
            binding = int((room <= 1e-6).sum())
            tightest = int(np.argmin(room))
            at, most = float(end[set_][tightest]), float(value[set_][tightest])
            many = f"{binding} of {int(set_.sum())} devices" if value.ndim else ("yes" if binding else "no")
            rows.append(
                [
                    Cell(what, what),
                    Cell(f"{word} {amount(at, limit.unit)}", repr(at)),
                    Cell(amount(most, limit.unit), repr(most)),
                    Cell(
                        f"{number(max(0.0, 100 * float(room[tightest])), 3)} %", repr(float(room[tightest]))
                    ),
                    Cell(many, f"{binding:09d}"),
                ]
            )
    columns = [
        Column("constraint"),
        Column("limit", numeric=True),
        Column("reached", "of devices, where the room is least", numeric=True),
        Column("room left", numeric=True),
        Column("at the limit"),
    ]
    return Table(columns, rows, caption="constraints: where there is no room, a wider limit helps")


def _candidates(solution: Any) -> Table:
    frame = solution.candidates()
    return tabulated(
        frame,
        _units([str(column) for column in frame], solution.quantities),
        index=False,
        caption="the best feasible one first",
        rest="solution.candidates() has all",
    )


def _fields(solution: Solution) -> Table:
    """List the fields of the problem."""
    problem, rows = solution.problem, []
    for name, declared in problem.quantities.items():
        value = np.asarray(getattr(problem, name)).astype(np.float64)
        unit, known = declared.unit, value[~np.isnan(value)]
        if not value.size or not known.size:
            continue
        shape = " × ".join(declared.axes)
        spread = (
            (known.min(), known.mean(), known.max()) if known.size > 1 else (math.nan, known.mean(), math.nan)
        )
        rows.append(
            [
                Cell(name, name),
                Cell(declared.description, declared.description),
                Cell(declared.symbol, declared.symbol),
                Cell(shape, shape),
                *(Cell(_given(float(x), unit), sorted_by(float(x))) for x in spread),
            ]
        )
    columns = [Column("field"), Column("what it is"), Column("symbol"), Column("one per")]
    columns += [Column(head, numeric=True) for head in ("least", "value or mean", "most")]
    return Table(columns, rows)


def _given(value: float, unit: str) -> str:
    """Write a number of a field; a limit that is not set is none."""
    return "" if math.isnan(value) else "none" if math.isinf(value) else amount(value, unit)


def _settings(scenario: Scenario) -> Table:
    """List the keys of a scenario."""
    rows = []
    for table, keys in scenario.to_dict().items():
        if not isinstance(keys, dict):
            continue
        for key, value in keys.items():
            text = written(value)
            rows.append([Cell(f"{table}.{key}", f"{table}.{key}"), Cell(text, text)])
    return Table([Column("key"), Column("value", prose=True)], rows)
