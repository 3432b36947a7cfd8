"""Devices from a table: a CSV file or a DataFrame with a row per device and a quantity per column.

A column is named after a quantity with its unit: ``distance_m`` or ``distance_km``, ``transmit_power_dbm``. What
it may be named is what a scenario takes one value per device for, in the units of ``UNITS``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.quantity import shorten
from radioopt.channel import ergodic_rate_bps, rate_bps
from radioopt.scenario.changes import Config, changed, models
from radioopt.scenario.laws import Of
from radioopt.scenario.other_units import changes_in_si, in_si
from radioopt.scenario.sheets import (
    UNITS,
    Column,
    Sheet,
    named_twice,
    names_of,
    read_cells,
    read_csv,
    read_frame,
    refuse,
)

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("device", "name")
#: columns of Devices.to_frame that follow from the gain and say nothing beside it; rates do, where their SNR is given
_FOLLOWS = ("uplink_snr", "downlink_snr", "line_of_sight", "shadowing_db")
_REPLACED = {  # by a column: other keys that say the same
    "devices.distance_m": ("cell.radius_m",),
    "devices.channel_gain": (
        "cell.radius_m",
        "devices.distance_m",
        "cell.shadowing",
        "cell.shadowing_std_db",
    ),
    "devices.transmit_power_w": ("devices.transmit_power_dbm",),
}


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
    config = in_si(config)
    changes = changes_in_si(changes or {}, config)
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
    sheet = _without_links(sheet)
    columns, mistakes = _header(sheet, columns_of(config), config)
    if not mistakes and not sheet.rows:
        mistakes.append(f"{sheet.name}: no devices, only a header")
    values, more = read_cells(sheet, columns)
    refuse(mistakes + more)
    found: dict[str, Any] = {"devices.count": len(sheet.rows), **values}
    label = next((i for i, name in enumerate(sheet.header) if name in LABELS), None)
    if label is not None:
        found["devices.names"] = [str(row[label]).strip() for row in sheet.rows]
    elif sheet.labels is not None:
        found["devices.names"] = list(sheet.labels)
    return found


def _without_links(sheet: Sheet) -> Sheet:
    """Leave out the columns of a table of devices, as drawn, that follow from its gains."""
    if "channel_gain" not in sheet.header:
        return sheet
    left_out = {name for name in _FOLLOWS if name in sheet.header}
    for link in ("uplink", "downlink"):
        snr, rate = f"{link}_snr", f"{link}_rate_bps"
        if snr in left_out and rate in sheet.header:
            _refuse_changed_rates(sheet, snr, rate)
            left_out.add(rate)
    kept = [i for i, name in enumerate(sheet.header) if name not in left_out]
    rows = [[row[i] for i in kept] if len(row) == len(sheet.header) else row for row in sheet.rows]
    return replace(sheet, header=[sheet.header[i] for i in kept], rows=rows)


def _refuse_changed_rates(sheet: Sheet, snr: str, rate: str) -> None:
    """Refuse rates that are not those of the SNR beside them: they would be lost."""
    try:
        pairs = np.array(
            [[float(row[list(sheet.header).index(name)]) for name in (snr, rate)] for row in sheet.rows]
        )
    except (ValueError, IndexError, TypeError):
        return  # said when the cells are read, or of no meaning here
    if not (len(pairs) and (pairs > 0).all()):
        return
    spread = [  # of rate over spectral efficiency, which is the bandwidth, faded or not
        np.ptp(pairs[:, 1] / efficiency) / np.max(pairs[:, 1] / efficiency)
        for efficiency in (ergodic_rate_bps(pairs[:, 0], 1.0), rate_bps(pairs[:, 0], 1.0))
    ]
    if min(spread) > 1e-6:
        raise ProblemError(
            f"{sheet.name}: column {rate}: not the rates of column {snr} at one bandwidth: leave out {snr} to take the "
            "rates as they are, or the rates to have them follow from the gains"
        )


def columns_of(config: Mapping[str, Any]) -> dict[str, Column]:
    """Every name that a column may have, for the problem tables of a configuration."""
    found: dict[str, Column] = {}
    for table, key, law, _ in _laws(config):
        if key == "transmit_power_dbm":  # as a column, another unit of transmit_power_w
            continue
        for name, unit in names_of(key).items():
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


def per_device(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Table and key of all that a configuration may give per device."""
    for table, key, *_ in _laws(config):
        yield table, key


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
            if (twice := named_twice(sheet.header, i)) is not None:
                mistakes.append(f"{what}: {twice}")
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


def _csv(path: Path) -> Sheet:
    return read_csv(path, "the table of devices", "device")


def _sheet(source: Any) -> Sheet:
    """Read a CSV file, or take the cells of a DataFrame."""
    if isinstance(source, (str, os.PathLike)):
        return _csv(Path(source))
    if "instance" in getattr(getattr(source, "index", None), "names", ()):
        raise ProblemError(
            "devices: expected a row per device, got those of several draws: take one, as frame.loc[0]"
        )
    return read_frame(source, "devices: expected the path of a CSV file or a DataFrame")
