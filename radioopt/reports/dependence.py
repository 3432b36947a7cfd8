"""Sections on what an allocation depends on: parameters, changes, and what other solvers say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from radioopt.base.errors import OptionError
from radioopt.base.judge import GIVEN
from radioopt.base.solution import Solution
from radioopt.base.status import Status
from radioopt.reports.changes import FACTORS, MOST_DEVICES, Change, changes
from radioopt.reports.page import (
    NOTHING,
    Cell,
    Column,
    Part,
    Picture,
    Section,
    Table,
    Text,
    Unit,
    amount,
    number,
    tabulated,
    worded,
)
from radioopt.reports.pictures import blank, picture

#: lines of the picture of changes
_MOST_LINES = 6
_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_LINES = ("-", "--", "-.", ":", "-", "--")


def objective_words(solution: Solution) -> str:
    """Words for the objective, short ones where all would be many."""
    name = solution.objective_name
    return (name if len(name) <= 40 else name.partition(" of ")[0]) or "objective"


def worth_of(solution: Solution) -> pd.DataFrame | str | None:
    """Return what parameters are worth, or why that is not known; None where a family has no derivatives."""
    ask = getattr(solution, "sensitivity", None)
    if ask is None:
        return None
    try:
        table: pd.DataFrame = ask().table()
    except OptionError as error:
        return f"Not known: {error}."
    return table[table["elasticity"].notna()]


def worth_parts(worth: pd.DataFrame, solution: Solution, name: str) -> list[Part]:
    """Draw elasticities, and list them with prices and sentences."""
    shown = worth[worth["elasticity"] != 0].head(12).iloc[::-1]
    parts: list[Part] = [
        Text(
            "An elasticity is by how many per cent the objective changes for 1 % more of a parameter. A price is by "
            "how much it gets better for one unit more: what a unit is worth."
        )
    ]
    if len(shown):
        figure, axes = blank(5.6, 1.0 + 0.27 * len(shown))
        better = (shown["elasticity"] > 0) == (solution.problem.sense == "max")
        labels = [worded(str(key), str(unit)) for key, unit in zip(shown.index, shown["unit"], strict=True)]
        bars = axes.barh(
            labels, shown["elasticity"], height=0.7, color=np.where(better, "#4477aa", "#ee6677")
        )
        for bar, good in zip(bars, better, strict=True):
            bar.set_hatch("" if good else "///")
        axes.axvline(0.0, color="#000000", linewidth=0.8)
        axes.set_xlabel(f"{objective_words(solution)}: change for 1 % more [%]")
        axes.grid(axis="x", alpha=0.3)
        parts.append(picture(figure, "Blue: more of it helps. Red, hatched: more of it hurts.", f"{name}w"))
    rows = []
    for key, row in worth.iterrows():
        unit = str(row["unit"])
        label = worded(str(key), unit)
        value, elasticity, price = (float(row[part]) for part in ("value", "elasticity", "price"))
        priced = f"{number(price, 4)} {row['price_unit']}" if math.isfinite(price) else NOTHING
        rows.append(
            [
                Cell(label, label),
                Cell(amount(value, unit) if math.isfinite(value) else NOTHING, sorted_by(value)),
                Cell(number(elasticity, 4), repr(elasticity)),
                Cell(priced, sorted_by(price)),
                Cell(str(row["says"]), str(row["says"])),
            ]
        )
    columns = [
        Column("parameter"),
        Column("value", "of devices the mean", numeric=True),
        Column("elasticity", "% for 1 % more", numeric=True),
        Column("price", "by how much the objective gets better for one unit more", numeric=True),
        Column("in words", prose=True),
    ]
    parts.append(Table(columns, rows))
    return parts


def sorted_by(value: float) -> str:
    """Return what a cell with a number is sorted by."""
    return "" if math.isnan(value) else repr(value)


def changes_sections(solution: Solution, name: str) -> list[Section]:
    """Say what changes cost, or what would make a problem feasible."""
    problem = solution.problem
    default = problem.default_method
    infeasible = solution.status is Status.INFEASIBLE
    if default is None or not default.exact or not (infeasible or solution.status is Status.OPTIMAL):
        return []
    title = (
        "What would make it feasible" if infeasible else "What a change costs, and where nothing is feasible"
    )
    if solution.method not in (default.name, GIVEN) or not hasattr(solution, "sensitivity"):
        return []  # without derivatives choices are whole ones, and each is solved by going through all candidates
    if solution.sizes["device"] > MOST_DEVICES:
        return [
            Section(
                title,
                [Text(f"Left out for more than {MOST_DEVICES} devices: it solves hundreds of problems.")],
            )
        ]
    found = changes(solution)
    if not found:
        return [Section(title, [Text("No single parameter does, within 1/64 and 64 times its value.")])]
    parts: list[Part] = [
        Text(
            "Each parameter by itself, of all devices alike, and solved again."
            + ("" if infeasible else " Everything else is then allocated anew.")
        )
    ]
    if not infeasible:
        parts.append(_lines(found, solution, name))
    parts.append(_change_table(found, solution))
    return [Section(title, parts)]


def _lines(found: list[Change], solution: Solution, name: str) -> Picture:
    """Draw the objective over the factor of the parameters that change it most."""
    figure, axes = blank(5.6, 3.9)
    base = float(solution.objective)
    near = (FACTORS >= 0.249) & (FACTORS <= 4.01)
    for i, change in enumerate(found[:_MOST_LINES]):
        y = 100.0 * (change.objective[near] - base) / abs(base)
        label = worded(change.name, solution.problem.quantities[change.name].unit)
        axes.plot(FACTORS[near], y, color=_COLORS[i], linestyle=_LINES[i], label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -150.0), min(high, 300.0))
    axes.set(xlabel="times its value", ylabel=f"{objective_words(solution)}: change [%]")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return picture(figure, "A line ends where nothing is feasible any more.", f"{name}c")


def _change_table(found: list[Change], solution: Solution) -> Table:
    infeasible = solution.status is Status.INFEASIBLE
    base, rows = float(solution.objective), []
    for change in found:
        declared = solution.problem.quantities[change.name]
        given = np.asarray(getattr(solution.problem, change.name))
        value = float(np.mean(given[np.isfinite(given)]))
        label = worded(change.name, declared.unit)
        row = [Cell(label, label), Cell(amount(value, declared.unit), repr(value))]
        if not infeasible:
            for factor in (0.5, 2.0):
                share = 100.0 * (change.at(factor) - base) / abs(base) if base else math.nan
                row.append(
                    Cell(f"{number(share, 3)} %" if math.isfinite(share) else NOTHING, sorted_by(share))
                )
        for factor in (change.low, change.high):
            there = 0.0 < factor < math.inf
            text = f"{amount(value * factor, declared.unit)} ({_times(factor)})" if there else NOTHING
            row.append(Cell(text, repr(factor) if there else ""))
        rows.append(row)
    first = [Column("parameter"), Column("value", "of devices the mean", numeric=True)]
    if infeasible:
        ends = [("feasible from, with less of it", ""), ("feasible from, with more of it", "")]
    else:
        first += [Column("half of it", numeric=True), Column("twice of it", numeric=True)]
        ends = [("nothing is feasible below", ""), ("nothing is feasible above", "")]
    note = (
        ""
        if infeasible
        else f"In % of the {objective_words(solution)}; {NOTHING}: no answer, or no such limit from 1/64 to 64 times."
    )
    return Table([*first, *(Column(head, about, numeric=True) for head, about in ends)], rows, note=note)


def _times(factor: float) -> str:
    return f"{number(100 * (factor - 1), 3)} %" if factor < 1 else f"+{number(100 * (factor - 1), 3)} %"


def solvers_parts(checked: pd.DataFrame | str | None, solution: Solution) -> list[Part]:
    """Set the answers of generic solvers beside."""
    if checked is None:
        return [Text("Not asked: give validation.cross_check(problem) as checked, or take radioopt report.")]
    if isinstance(checked, str):
        return [Text(checked)]
    others = checked[(checked["kind"] == "reference") & checked["objective"].notna()]
    own = float(solution.objective)
    parts: list[Part] = []
    if len(others):
        sign = 1.0 if solution.problem.sense == "min" else -1.0
        best = others["objective"].iloc[int((sign * others["objective"]).argmin())]
        gain = sign * (own - float(best)) / max(solution.problem.scale, abs(own), np.finfo(float).tiny)
        asked = f"{len(others)} generic solver{'s' * (len(others) > 1)} answered"
        if not math.isfinite(own):
            parts.append(Text(f"{asked}, where there is no allocation here.", strong=True))
        elif gain <= 1e-9:
            parts.append(Text(f"{asked}, and none does better."))
        else:
            parts.append(
                Text(f"{asked}; the best one does better by {number(gain, 3)}, relatively.", strong=True)
            )
    else:
        parts.append(Text("No generic solver has an answer."))
    names = ["kind", "objective", "difference", "residual", "verdict", "seconds", "status", "note", "version"]
    shown = checked[names].copy()
    shown["note"] = shown["note"].fillna("")
    if not shown["note"].astype(bool).any():
        shown = shown.drop(columns="note")
    about = {
        "objective": Unit(solution.objective_unit, "of the point, repaired to be feasible"),
        "difference": Unit("1", "how much worse than the best, relatively"),
        "residual": Unit("1", "largest violation of a constraint by the point as returned"),
        "verdict": Unit("1", "by the same certificate for all"),
    }
    parts.append(tabulated(shown, about))
    return parts
