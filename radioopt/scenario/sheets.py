"""Tables of numbers as people keep them: CSV files and DataFrames with the units in the names of the columns."""

from __future__ import annotations

import csv
import io
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.plausible import Plausible
from radioopt.base.quantity import Array, Domain, Quantity, shorten
from radioopt.units import KBIT, MBIT, db_to_linear, dbm_to_w

MOST_MISTAKES = 10

_dbm = Domain("between -60 and 80 dBm", -60.0, 80.0)
_gain_db = Domain("between -300 and 0 dB (a loss of 90 dB is a gain of -90 dB)", -300.0, 0.0)


@dataclass(frozen=True)
class Unit:
    """How a column's number becomes SI: a factor, or a function and the numbers that it is for."""

    to_si: float | Callable[[Any], Any]
    domain: Domain | None = None


UNITS: dict[str, dict[str, Unit]] = {  # end of a name in SI: the other ends it may have
    "_m": {"_km": Unit(1e3)},
    "_s": {"_ms": Unit(1e-3), "_us": Unit(1e-6)},
    "_w": {"_mw": Unit(1e-3), "_dbm": Unit(dbm_to_w, _dbm)},
    "_hz": {"_khz": Unit(1e3), "_mhz": Unit(1e6), "_ghz": Unit(1e9)},
    "_bits": {"_kbit": Unit(KBIT), "_mbit": Unit(MBIT), "_gbit": Unit(1e9)},
    "_bps": {"_kbps": Unit(KBIT), "_mbps": Unit(MBIT), "_gbps": Unit(1e9)},
    "_gain": {"_gain_db": Unit(db_to_linear, _gain_db)},
}


@dataclass(frozen=True)
class Column:
    """A name that a column may have: the key of the scenario it gives, and how."""

    key: str
    quantity: Quantity
    unit: Unit
    plausible: Plausible | None = None

    def read(self, cell: Any) -> float:
        """Return the value of a cell in SI, or raise a ``ValueError`` that says what is expected."""
        value = number(cell)
        domain = self.unit.domain or self.quantity.domain
        to_si = self.unit.to_si
        if callable(to_si):
            si = float(to_si(value)) if domain.low <= value <= domain.high else None
        else:
            si = value * to_si if domain.low <= value * to_si <= domain.high else None
        if si is None:
            raise ValueError(f"expected {domain.expected(value)}, got {shorten(cell)}")
        if self.plausible is not None and self.unit.domain is None:
            same = to_si == 1.0
            converted = "" if same else f" ({si:g} {self.quantity.unit})"
            hint = "" if same else "is the unit in the name of the column right?"
            self.plausible.check(si, f"{shorten(cell)}{converted}", hint)
        return si

    def read_all(self, values: Array) -> Array | None:
        """Return numbers in SI, or None if one of them would be refused."""
        domain, to_si = self.unit.domain or self.quantity.domain, self.unit.to_si
        if callable(to_si):
            return np.asarray(to_si(values)) if domain.contains(values).all() else None
        si = values * to_si
        likely = self.plausible is None or bool(
            ((self.plausible.low <= si) & (si <= self.plausible.high)).all()
        )
        return si if likely and domain.contains(si).all() else None


@dataclass(frozen=True)
class Sheet:
    """A table as it was given: what to call it and its rows in messages, and its cells."""

    name: str
    header: Sequence[Any]
    places: Sequence[str]
    rows: Sequence[Sequence[Any]]
    labels: Sequence[str] | None = None


def number(cell: Any) -> float:
    """Read a cell, text or number."""
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            raise ValueError("the cell is empty")
        try:
            return float(text)
        except ValueError:
            hint = ""
            if re.fullmatch(r"[-+\d.' ]*,[\d,.' ]*([eE][-+]?\d+)?", text):
                hint = "; write decimals with a point, thousands without a mark"
            elif re.match(r"[-+]?[\d.]+\s*[A-Za-z%]", text):
                hint = "; the unit belongs in the name of the column"
            raise ValueError(f"expected a number, got {shorten(text)}{hint}") from None
    if not isinstance(cell, numbers.Real) or isinstance(cell, bool):
        raise ValueError(f"expected a number, got {shorten(cell)}")
    return float(cell)


def read_csv(path: Path, what: str, row: str) -> Sheet:
    """Read the cells of a CSV file as text, with the lines they are on.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    what, row : str
        What it is, and what a line of it is, for messages.

    Returns
    -------
    Sheet
        Header, and rows with their places.

    Raises
    ------
    ProblemError
        If the file cannot be read, is no text, no CSV, empty, or separated by something else than commas.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProblemError(f"{path}: {what} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProblemError(f'{path}, line {line}: not UTF-8 text; save it as "CSV UTF-8"') from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ProblemError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    if not lines:
        raise ProblemError(f"{path}: the file is empty; expected a header and a line per {row}")
    header = [name.strip() for name in lines[0][1]]
    for mark, what in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise ProblemError(
                f"{path}, line {lines[0][0]}: the columns are separated by {what}; separate them by commas and write "
                f"decimals with a point, or read the file with pandas.read_csv(..., sep={mark!r}, decimal=...) and "
                "give the DataFrame"
            )
    places = [f"line {number}" for number, _ in lines[1:]]
    return Sheet(str(path), header, places, [cells for _, cells in lines[1:]])


def read_frame(frame: Any, expected: str) -> Sheet:
    """Take the cells of a DataFrame.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    expected : str
        What to give instead of anything else, for messages.

    Returns
    -------
    Sheet
        Header, and rows with their places.

    Raises
    ------
    ProblemError
        If it is none.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ProblemError(f"{expected}, got {shorten(frame)}")
    header = [name.strip() if isinstance(name, str) else name for name in frame.columns]
    places = [f"row {label!r}" for label in frame.index]
    counted = isinstance(frame.index, pd.RangeIndex) or pd.api.types.is_numeric_dtype(frame.index)
    labels = None if counted else [str(label) for label in frame.index]
    return Sheet("DataFrame", header, places, list(frame.itertuples(index=False, name=None)), labels)


def names_of(key: str) -> dict[str, Unit]:
    """Every name that a column may have for a quantity, by its name in SI."""
    found = {key: Unit(1.0)}
    for end, others in UNITS.items():
        if key.endswith(end) and not key.endswith(f"_per{end}"):  # a price per hertz falls with the unit
            found |= {key.removesuffix(end) + other: unit for other, unit in others.items()}
    return found


def named_twice(header: Sequence[Any], i: int) -> str | None:
    """Say that a column has the name of one before it; once for each name."""
    name, before = header[i], list(header[:i])
    if before.count(name) == 1:
        return f"{list(header).count(name)} columns have this name"
    return None


def read_cells(sheet: Sheet, columns: Mapping[int, Column]) -> tuple[dict[str, list[float]], list[str]]:
    """Read the numbers of some columns one by one.

    Parameters
    ----------
    sheet : Sheet
        The table.
    columns : mapping of int to Column
        What to read, by position.

    Returns
    -------
    values : dict of str to list of float
        Numbers in SI by key.
    mistakes : list of str
        A line for each cell that is refused.
    """
    mistakes: list[str] = []
    values: dict[str, list[float]] = {column.key: [] for column in columns.values()}
    for place, row in zip(sheet.places, sheet.rows, strict=True):
        if len(row) != len(sheet.header):
            hint = "; decimals have a point, not a comma" if len(row) > len(sheet.header) else ""
            mistakes.append(
                f"{sheet.name}, {place}: expected {len(sheet.header)} cells as in the header, got {len(row)}{hint}"
            )
            continue
        for i, column in columns.items():
            try:
                values[column.key].append(column.read(row[i]))
            except ValueError as error:
                mistakes.append(f"{sheet.name}, {place}, column {sheet.header[i]}: {error}")
    return values, mistakes


def refuse(mistakes: Sequence[str], count: int | None = None) -> None:
    """Raise a ``ProblemError`` with the first mistakes of a table, if there are any; `count` is of how many."""
    if mistakes:
        more = (len(mistakes) if count is None else count) - MOST_MISTAKES
        raise ProblemError("\n".join([*mistakes[:MOST_MISTAKES], *[f"and {more} more"] * (more > 0)]))
