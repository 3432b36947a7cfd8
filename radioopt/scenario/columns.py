"""Devices from a table: a CSV file or a DataFrame with a row per device and a quantity per column.

A column is named after a quantity with its unit: ``distance_m`` or ``distance_km``, ``transmit_power_dbm``. What
it may be named is what a scenario takes one value per device for, in the units of ``UNITS``.
"""

from __future__ import annotations

import csv
import io
import numbers
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.plausible import Plausible
from radioopt.base.quantity import Domain, Quantity, shorten
from radioopt.scenario.changes import Config, changed, models
from radioopt.scenario.laws import Of
from radioopt.units import KBIT, MBIT, db_to_linear, dbm_to_w

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("device", "name")
MOST_MISTAKES = 10

_dbm = Domain("between -60 and 80 dBm", -60.0, 80.0)
_gain_db = Domain("between -300 and 0 dB (a loss of 90 dB is a gain of -90 dB)", -300.0, 0.0)


@dataclass(frozen=True)
class Unit:
    """How a column's number becomes SI: a factor, or a function and the numbers that it is for."""

    to_si: float | Callable[[float], Any]
    domain: Domain | None = None


UNITS: dict[str, dict[str, Unit]] = {  # end of a name in SI: the other ends it may have
    "_m": {"_km": Unit(1e3)},
    "_s": {"_ms": Unit(1e-3), "_us": Unit(1e-6)},
    "_w": {"_mw": Unit(1e-3), "_dbm": Unit(dbm_to_w, _dbm)},
    "_hz": {"_khz": Unit(1e3), "_mhz": Unit(1e6), "_ghz": Unit(1e9)},
    "_bps": {"_kbps": Unit(KBIT), "_mbps": Unit(MBIT), "_gbps": Unit(1e9)},
    "_gain": {"_gain_db": Unit(db_to_linear, _gain_db)},
}

_REPLACED = {  # by a column: other keys that say the same
    "devices.distance_m": ("cell.radius_m",),
    "devices.channel_gain": ("cell.radius_m", "devices.distance_m"),
    "devices.transmit_power_w": ("devices.transmit_power_dbm",),
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
        value = _number(cell)
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


@dataclass(frozen=True)
class Sheet:
    """A table as it was given: what to call it and its rows in messages, and its cells."""

    name: str
    header: Sequence[Any]
    places: Sequence[str]
    rows: Sequence[Sequence[Any]]
    labels: Sequence[str] | None = None


def configured(
    config: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    devices: str | os.PathLike[str] | pd.DataFrame | None = None,
    *,
    folder: Path = Path(),
) -> Config:
    """Return a configuration with the devices of a table and with some keys changed, in this order.

    Parameters
    ----------
    config : mapping
        Tables by name, as in a file; its problem tables decide which columns there may be.
    changes : mapping of str to Any, optional
        As of :func:`~radioopt.scenario.changes.changed`.
    devices : path-like or pandas.DataFrame, optional
        A CSV file or a DataFrame: its columns take the place of what they determine, and lists with a value per
        device are dropped, for they belong to other devices. Default: the CSV file that ``devices.file`` names,
        if it is given, beside what the configuration says.
    folder : pathlib.Path, default the working directory
        What ``devices.file`` is relative to.

    Returns
    -------
    dict
        A new configuration, not yet checked, with ``devices.count`` and a list per column in SI units instead
        of a table.

    Raises
    ------
    ProblemError
        With a line for each mistake: file, line and column, or what is given both by a column and by a key.
    """
    changes = changes or {}
    wanted = changed(config, changes)
    file = _value(wanted, "devices.file")
    if devices is not None:
        keys = (f"{table}.{name}" for table, name, *_ in _laws(config))
        lists = [key for key in keys if isinstance(_value(config, key), (list, np.ndarray))]
        config = changed(config, dict.fromkeys([*lists, "devices.names"]))  # they belong to other devices
        columns = _columns(_sheet(devices), changed(config, changes))
        replaced = {key for column in columns for key in _REPLACED.get(column, ())}
        columns = dict.fromkeys(replaced - set(columns)) | columns
    elif file is None:
        return wanted
    elif not isinstance(file, str):
        raise ProblemError(f"devices.file: expected the path of a CSV file, got {shorten(file)}")
    else:
        columns = _columns(_csv(folder / file), wanted)
        twice = {key: "a column" for key in columns if _value(config, key) is not None}
        if "devices.count" in twice:
            twice["devices.count"] = f"{columns['devices.count']} lines"
            if _value(config, "devices.count") == columns["devices.count"]:
                del twice["devices.count"]
        if twice:
            lines = (f"{key}: given twice, here and as {what} of {file}" for key, what in twice.items())
            raise ProblemError("\n".join(lines))
    return changed(changed(config, columns), {**changes, "devices.file": None})


def _columns(sheet: Sheet, config: Mapping[str, Any]) -> dict[str, Any]:
    """Read a table into lists by key of the configuration, and the number of devices."""
    columns, mistakes = _header(sheet, columns_of(config), config)
    if not mistakes and not sheet.rows:
        mistakes.append(f"{sheet.name}: no devices, only a header")
    values: dict[str, list[float]] = {columns[i].key: [] for i in columns}
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
    if mistakes:
        more = len(mistakes) - MOST_MISTAKES
        raise ProblemError("\n".join(mistakes[:MOST_MISTAKES] + [f"and {more} more"] * (more > 0)))
    found: dict[str, Any] = {"devices.count": len(sheet.rows), **values}
    label = next((i for i, name in enumerate(sheet.header) if name in LABELS), None)
    if label is not None:
        found["devices.names"] = [str(row[label]).strip() for row in sheet.rows]
    elif sheet.labels is not None:
        found["devices.names"] = list(sheet.labels)
    return found


def columns_of(config: Mapping[str, Any]) -> dict[str, Column]:
    """Every name that a column may have, for the problem tables of a configuration."""
    found: dict[str, Column] = {}
    for table, key, law, _ in _laws(config):
        if key == "transmit_power_dbm":  # as a column, another unit of transmit_power_w
            continue
        names = {key: Unit(1.0)}
        for end, others in UNITS.items():
            if key.endswith(end):
                names |= {key.removesuffix(end) + other: unit for other, unit in others.items()}
        for name, unit in names.items():
            found[f"{table}.{name}"] = Column(f"{table}.{key}", law.quantity, unit, law.plausible)
    short: dict[str, list[str]] = {}
    for name in found:
        short.setdefault(name.partition(".")[2], []).append(name)
    return {name: found[full[0]] for name, full in short.items() if len(full) == 1} | found


def _laws(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Of, bool]]:
    """Table, key, law and necessity of all that is given per device."""
    for table, alternatives in models(config).items():
        for model in alternatives:
            for key, field in model.model_fields.items():
                for law in field.metadata:
                    if isinstance(law, Of) and law.quantity.axes:
                        yield table, key, law, field.is_required() and len(alternatives) == 1


def _header(
    sheet: Sheet, accepted: Mapping[str, Column], config: Mapping[str, Any]
) -> tuple[dict[int, Column], list[str]]:
    """Find the quantity of each column by its position, and what is wrong with the header."""
    columns: dict[int, Column] = {}
    mistakes: list[str] = []
    seen: dict[str, str] = {}
    for i, name in enumerate(sheet.header):
        what = f"{sheet.name}: column {i + 1}" if name == "" else f"{sheet.name}: column {name}"
        if not isinstance(name, str) or not name:
            mistakes.append(f"{what}: expected a name with a unit, such as distance_m")
        elif sheet.header.index(name) < i:
            if list(sheet.header[:i]).count(name) == 1:
                mistakes.append(f"{what}: {list(sheet.header).count(name)} columns have this name")
        elif name in accepted:
            column = accepted[name]
            if column.key in seen:
                mistakes.append(f"{what}: the same quantity as column {seen[column.key]}; keep one of them")
            seen[column.key] = name
            columns[i] = column
        elif name not in LABELS:
            mistakes.append(f"{what}: {_unknown(name, accepted, config)}")
    for table, key, law, required in _laws(config):
        quantity = law.quantity
        full = f"{table}.{key}"
        if required and full not in seen and _value(config, full) is None:
            needed = f"{quantity.description} [{quantity.unit}], for [{table}]"
            mistakes.append(f"{sheet.name}: column {key} is missing: {needed}; or set {full} for all devices")
    return columns, mistakes


def _unknown(name: str, accepted: Mapping[str, Column], config: Mapping[str, Any]) -> str:
    """Say what is wrong with the name of a column: its place, its unit, its spelling, or all of it."""
    for table, alternatives in models(config).items():
        if any(name in model.known_keys() for model in alternatives):
            if f"{table}.{name}" in accepted:
                owners = [full for full in accepted if full.endswith(f".{name}")]
                return f"several tables have it; expected {' or '.join(owners)}"
            return f"one value holds for all devices; set {table}.{name} instead"
    short = {n: column for n, column in accepted.items() if "." not in n}
    for column in short.values():
        key = column.key.partition(".")[2]
        stem = next((key.removesuffix(end) for end in UNITS if end != "_gain" and key.endswith(end)), key)
        if name == stem or name.startswith(f"{stem}_"):
            units = [n for n, other in short.items() if other.key == column.key]
            return f"no unit that is known; expected {' or '.join(units)}"
    hint = suggestion(name, short)
    if "did you mean" in hint:
        return f"unknown{hint}"
    return f"unknown{hint}; a column named {' or '.join(LABELS)} has names for people"


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Return what a configuration says under ``table.key``; None if nothing."""
    table, _, name = key.partition(".")
    given = config.get(table)
    return given.get(name) if isinstance(given, Mapping) else None


def _number(cell: Any) -> float:
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
                hint = "; the unit belongs into the name of the column"
            raise ValueError(f"expected a number, got {shorten(text)}{hint}") from None
    if not isinstance(cell, numbers.Real) or isinstance(cell, bool):
        raise ValueError(f"expected a number, got {shorten(cell)}")
    return float(cell)


def _csv(path: Path) -> Sheet:
    """Read the cells of a CSV file as text, with the lines they are on."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProblemError(f"{path}: the table of devices cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProblemError(f'{path}, line {line}: not UTF-8 text; save it as "CSV UTF-8"') from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ProblemError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    if not lines:
        raise ProblemError(f"{path}: the file is empty; expected a header and a line per device")
    header = [name.strip() for name in lines[0][1]]
    for mark, what in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise ProblemError(
                f"{path}, line {lines[0][0]}: the columns are separated by {what}; separate them by commas and write "
                f"decimals with a point, or read the file with pandas.read_csv(..., sep={mark!r}, decimal=...) and "
                "give the DataFrame"
            )
    places = [f"line {number}" for number, _ in lines[1:]]
    return Sheet(str(path), header, places, [row for _, row in lines[1:]])


def _sheet(source: Any) -> Sheet:
    """Read a CSV file, or take the cells of a DataFrame."""
    import pandas as pd

    if isinstance(source, (str, os.PathLike)):
        return _csv(Path(source))
    frame = source
    if not isinstance(frame, pd.DataFrame):
        raise ProblemError(f"devices: expected the path of a CSV file or a DataFrame, got {shorten(frame)}")
    header = [name.strip() if isinstance(name, str) else name for name in frame.columns]
    places = [f"row {label!r}" for label in frame.index]
    counted = isinstance(frame.index, pd.RangeIndex) or pd.api.types.is_numeric_dtype(frame.index)
    labels = None if counted else [str(label) for label in frame.index]
    return Sheet("DataFrame", header, places, list(frame.itertuples(index=False, name=None)), labels)
