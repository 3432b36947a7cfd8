"""The table of a channel trace: a row for each instant and device, columns named with their units."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from radioopt.base.errors import suggestion
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Quantity,
    finite,
    positive,
    quantity,
    shorten,
)
from radioopt.base.record import Record
from radioopt.scenario.sheets import (
    MOST_MISTAKES,
    Column,
    Sheet,
    named_twice,
    names_of,
    read_cells,
    refuse,
)


class _Link(Record):
    """What a trace may have of every device."""

    uplink_rate_bps: Quantity = quantity("bit/s", positive, DEVICE, "uplink rate, whole bandwidth")
    downlink_rate_bps: Quantity = quantity("bit/s", positive, DEVICE, "downlink rate, whole bandwidth")
    channel_gain: Quantity = quantity("1", positive, DEVICE, "mean power gain of the path")


QUANTITIES = _Link.quantities
_TIME = quantity("s", finite, PER_INSTANCE, "time")
_COLUMNS = {
    name: Column(key, declared, unit, declared.plausible)
    for key, declared in {"time_s": _TIME, **QUANTITIES}.items()
    for name, unit in names_of(key).items()
}


class Table(NamedTuple):
    """What stands in a table: instants [s], names of the devices, and a row per instant of each quantity in SI.

    ``given`` holds the same numbers as they were written, by name of their column.
    """

    instants: Array
    names: tuple[str, ...]
    values: dict[str, Array]
    given: dict[str, Array]


def read_table(sheet: Sheet) -> Table:
    """Read a table, or refuse it with all that is wrong with it.

    Parameters
    ----------
    sheet : Sheet
        Its cells.

    Returns
    -------
    Table
        In the order of time.

    Raises
    ------
    ProblemError
        With the lines of all mistakes.
    """
    columns, label = _header(sheet)
    given, values = _numbers(sheet, columns)
    names, codes = _labels(sheet, label)
    times = values.pop("time_s")
    _refuse_gaps(sheet, times, names, codes)
    order = np.lexsort((codes, times))
    shape = (-1, len(names))
    instants = times[order].reshape(shape)[:, 0].copy()
    told = {key: value[order].reshape(shape) for key, value in given.items()}
    time = next(key for key in told if _COLUMNS[key].key == "time_s")
    grids = {key: value[order].reshape(shape) for key, value in values.items()}
    return Table(instants, names, grids, told | {time: told[time][:, 0]})


def _header(sheet: Sheet) -> tuple[dict[int, Column], int]:
    """Find the columns and the one of the devices, or refuse the header with what is wrong with it."""
    columns: dict[int, Column] = {}
    mistakes: list[str] = []
    seen: dict[str, str] = {}
    for i, name in enumerate(sheet.header):
        what = f"{sheet.name}: column {i + 1 if name == '' else name}"
        if name and name in sheet.header[:i]:
            if (twice := named_twice(sheet.header, i)) is not None:
                mistakes.append(f"{what}: {twice}")
        elif isinstance(name, str) and name in _COLUMNS:
            columns[i] = column = _COLUMNS[name]
            if column.key in seen:
                mistakes.append(f"{what}: the same quantity as column {seen[column.key]}; keep one of them")
            seen[column.key] = name
        elif name != "device":
            mistakes.append(f"{what}: {_unknown(name)}")
    if "device" not in sheet.header:
        mistakes.append(f"{sheet.name}: column device is missing: a number from 0, or a name")
    if "time_s" not in seen:
        mistakes.append(f"{sheet.name}: column time_s is missing")
    if not set(QUANTITIES) & set(seen):
        mistakes.append(f"{sheet.name}: a column with a quantity is missing: {', '.join(QUANTITIES)}")
    if not mistakes and not sheet.rows:
        mistakes.append(f"{sheet.name}: no instants, only a header")
    refuse(mistakes)
    return columns, list(sheet.header).index("device")


def _unknown(name: Any) -> str:
    """Say what is wrong with the name of a column: its unit, or all of it."""
    if not isinstance(name, str) or not name:
        return "expected a name with a unit, such as uplink_rate_mbps"
    for key, stem in (("time_s", "time"), *((key, key.removesuffix("_bps")) for key in QUANTITIES)):
        if name == stem or name.startswith(f"{stem}_"):
            return f"no unit that is known; expected {' or '.join(names_of(key))}"
    return f"unknown{suggestion(name, ['device', *_COLUMNS])}"


def _numbers(sheet: Sheet, columns: Mapping[int, Column]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Read all columns: the numbers as given by name, and in SI by key; all at once where nothing is wrong."""
    try:
        if any(len(row) != len(sheet.header) for row in sheet.rows):
            raise ValueError
        cells = {i: [row[i] for row in sheet.rows] for i in columns}
        if {bool, np.bool_} & {kind for own in cells.values() for kind in set(map(type, own))}:
            raise ValueError
        given = {i: np.array([float(cell) for cell in own]) for i, own in cells.items()}
        read = {column.key: column.read_all(given[i]) for i, column in columns.items()}
    except (TypeError, ValueError):
        read = {"": None}
    if any(values is None for values in read.values()):
        _, mistakes = read_cells(sheet, columns)
        refuse(mistakes)
        raise AssertionError("what is refused as a whole is refused cell by cell")
    return {sheet.header[i]: given[i] for i in columns}, {key: v for key, v in read.items() if v is not None}


def _labels(sheet: Sheet, column: int) -> tuple[tuple[str, ...], Array]:
    """Read whose each row is: all names, numbers in their order, and the place of each row's among them."""
    cells = [row[column] for row in sheet.rows]
    texts = {cell: _label(cell) for cell in {cell for cell in cells if isinstance(cell, str)}}
    labels = [texts[cell] if isinstance(cell, str) else _label(cell) for cell in cells]
    mistakes = [
        f"{sheet.name}, {place}, column device: "
        + ("the cell is empty" if cell == "" else f"expected a number from 0 or a name, got {shorten(cell)}")
        for place, cell, label in zip(sheet.places, cells, labels, strict=True)
        if not label
    ]
    refuse(mistakes)
    names = list(dict.fromkeys(labels))
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    code = {name: i for i, name in enumerate(names)}
    return tuple(names), np.array([code[label] for label in labels])


def _label(cell: Any) -> str:
    """Read the number or the name of a device; nothing if it is neither."""
    if isinstance(cell, str):
        text = cell.strip()
        return str(int(text)) if text.isdecimal() else text
    whole = isinstance(cell, numbers.Real) and not isinstance(cell, bool) and float(cell).is_integer()
    return str(int(float(cell))) if whole else ""


def _refuse_gaps(sheet: Sheet, times: Array, names: Sequence[str], codes: Array) -> None:
    """Refuse rows of a device that are not in the order of time or have one twice, and times that it lacks."""
    found: list[tuple[int, str]] = []
    rows = np.argsort(codes, kind="stable")
    same = codes[rows[1:]] == codes[rows[:-1]]
    for i in np.flatnonzero(same & (times[rows[1:]] < times[rows[:-1]])):
        row, before = rows[i + 1], rows[i]
        text = f"after {times[before]:.12g} s ({sheet.places[before]}): sort the lines of a device by time"
        found.append((row, f"device {names[codes[row]]} {text}"))
    rows = np.lexsort((times, codes))
    twice = (codes[rows[1:]] == codes[rows[:-1]]) & (times[rows[1:]] == times[rows[:-1]])
    for i in np.flatnonzero(twice):
        row = rows[i + 1]
        found.append((row, f"device {names[codes[row]]} has this time on {sheet.places[rows[i]]} too"))
    instants, first = np.unique(times, return_index=True)
    count = len(found) + instants.size * len(names) - (times.size - int(twice.sum()))
    if not count:
        return
    edges = np.searchsorted(codes[rows], np.arange(len(names) + 1))
    for device in range(len(names)):
        if len(found) >= MOST_MISTAKES:
            break
        own = times[rows[edges[device] : edges[device + 1]]]
        for i in np.flatnonzero(np.isin(instants, own, invert=True))[:MOST_MISTAKES]:
            found.append((first[i], f"no line for device {names[device]}; each needs one"))
    lines = [
        f"{sheet.name}, {sheet.places[row]}, time {times[row]:.12g} s: {text}"
        for row, text in sorted(found, key=lambda item: item[0])
    ]
    refuse(lines, count)
