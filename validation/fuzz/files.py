"""Scenario files, tables of devices, catalogues and saved problems with something changed in them."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from radioopt import RadioOptError, Scenario, load
from radioopt.dtkd import ModelCatalogue
from validation.fuzz import draw
from validation.fuzz.solving import FAMILIES

VALUES = (
    "0", "-1", "1e309", "nan", "inf", "-inf", "1e-320", "1e300", '"text"', "true", "[]", "{}", "[1.0, 2.0]",
    '{ uniform = [1.0, 2.0] }', '{ choice = [] }', '{ repeat = ["a"] }', "1979-05-27", "'''", "0x10", "1_000", "",
    "[[1.0]]", '{ uniform = [2.0, 1.0] }', "9223372036854775808", "''", "1e6", "0.5", "{ repeat = [1e6] }",
)  # fmt: skip
CELLS = (
    "",
    "0",
    "-1",
    "1e309",
    "nan",
    "inf",
    "abc",
    "1,5",
    "12 dB",
    "1e-320",
    "5",
    '"',
    "true",
    "٣",
    "1e6",
    "\x00",
)


def trial(seed: int) -> str:
    """Read a file that is right but for a few changes, and draw from it if it is read."""
    rng = np.random.default_rng([seed, 3])
    kind = ("toml", "csv", "saved", "catalogue")[int(rng.integers(4))]
    with tempfile.TemporaryDirectory() as folder:
        return {"toml": _toml, "csv": _csv, "saved": _saved, "catalogue": _catalogue}[kind](rng, Path(folder))


@functools.cache
def _example(name: str) -> str:
    import radioopt

    return (Path(radioopt.__file__).parent / "scenarios" / f"{name}.toml").read_text()


def _toml(rng: np.random.Generator, folder: Path) -> str:
    lines = _example(str(rng.choice(Scenario.examples()))).splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        key = lines[at].partition("=")[0]
        change = rng.random()
        if change < 0.5:
            lines[at] = f"{key}= {rng.choice(VALUES)}"
        elif change < 0.6:
            del lines[at]
        elif change < 0.7:
            lines.insert(at, lines[int(rng.integers(len(lines)))])
        elif change < 0.8:
            lines[at] = lines[at].replace("_", "", 1)
        elif change < 0.9:
            lines[at] = lines[at][: int(rng.integers(len(lines[at]) + 1))]
        else:
            lines.insert(at, f"{rng.choice(['names', 'count', 'file', 'x'])} = {rng.choice(VALUES)}")
    path = folder / "cell.toml"
    path.write_bytes(_mangled(rng, "\n".join(lines).encode()))
    return _drawn(rng, lambda: Scenario.load(path))


def _drawn(rng: np.random.Generator, read: Any) -> str:
    try:
        scenario = read()
        if scenario.devices.count > 100:
            return "large"
        size = () if rng.random() < 0.5 else 3
        devices = scenario.draw(int(rng.integers(100)), size=size)
        repr(devices), devices.to_frame()
        for family in scenario.families:
            repr(devices.problem(family))
    except (RadioOptError, OSError):
        return "refused"
    return "read"


def _mangled(rng: np.random.Generator, data: bytes) -> bytes:
    """Change a byte of one file in ten, cut one in twenty."""
    change = rng.random()
    if change < 0.1 and data:
        at = int(rng.integers(len(data)))
        return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
    return data[: int(rng.integers(len(data) + 1))] if change < 0.15 else data


def _csv(rng: np.random.Generator, folder: Path) -> str:
    names = [
        "name",
        "distance_m",
        "distance_km",
        "transmit_power_dbm",
        "transmit_power_w",
        "cpu_frequency_ghz",
    ]
    names += [
        "channel_gain",
        "channel_gain_db",
        "uplink_rate_mbps",
        "distance",
        "",
        "local_samples",
        "device",
    ]
    header = [str(name) for name in rng.choice(names, int(rng.integers(1, 5)), replace=rng.random() < 0.1)]
    ordinary = {
        "distance_m": "120",
        "distance_km": "0.1",
        "transmit_power_dbm": "23",
        "transmit_power_w": "0.2",
    }
    rows = [
        [ordinary.get(name, "1.4") if rng.random() < 0.9 else str(rng.choice(CELLS)) for name in header]
        for _ in range(int(rng.integers(0, 5)))
    ]
    if rows and rng.random() < 0.1:
        rows[0].append("1")
    text = "\n".join(",".join(row) for row in [header, *rows])
    path = folder / "devices.csv"
    path.write_bytes(_mangled(rng, text.encode("utf-8")))
    name = str(rng.choice(["feel-cpu", "feel-gpu", "fimi", "dtkd", "d2d", "mix2fld"]))
    return _drawn(rng, lambda: Scenario.load(name, devices=path))


def _saved(rng: np.random.Generator, folder: Path) -> str:
    try:
        problem = draw.problem(str(rng.choice(FAMILIES)), rng, most=3)
    except RadioOptError:
        return "refused"
    suffix = str(rng.choice(["json", "npz"]))
    path = problem.save(folder / f"problem.{suffix}")
    data = path.read_bytes()
    if suffix == "json" and rng.random() < 0.8:
        document = json.loads(data)
        _change(rng, document)
        data = json.dumps(document).encode()
    elif suffix == "npz" and rng.random() < 0.5:
        data = _without_a_member(rng, data)
    path.write_bytes(_mangled(rng, data))
    try:
        repr(load(path))
    except (RadioOptError, OSError):
        return "refused"
    return "read"


def _change(rng: np.random.Generator, document: Any) -> None:
    """Put something else in a random place of nested dictionaries and lists."""
    inside = document
    while True:
        keys: Any = list(inside) if isinstance(inside, dict) else range(len(inside))
        if not len(keys):
            return
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(inside[key], (dict, list)) and rng.random() < 0.8:
            inside = inside[key]
            continue
        if isinstance(inside, dict) and rng.random() < 0.2:
            del inside[key]
        else:
            other: tuple[Any, ...] = (
                None,
                "",
                "nan",
                "x",
                -1,
                0,
                1e300,
                [],
                {},
                [1, 2],
                True,
                "radioopt/1",
                {"a": 1},
                10**400,
            )
            inside[key] = other[int(rng.integers(len(other)))]
        return


def _without_a_member(rng: np.random.Generator, data: bytes) -> bytes:
    """Drop or replace an array of an npz file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(list(members)))
    if rng.random() < 0.4:
        del members[name]
    else:
        buffer = io.BytesIO()
        others = (
            np.zeros(0),
            np.full(2, np.nan),
            np.array("text"),
            np.zeros((2, 2), complex),
            np.array(True),
        )
        np.save(buffer, others[int(rng.integers(len(others)))])
        members[name] = buffer.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


def _catalogue(rng: np.random.Generator, folder: Path) -> str:
    columns = {"name": ["a", "b"], "gigacycles": ["6.8", "8.8"], "parameter_mbit": ["127", "39"],
               "own_accuracy_percent": ["86.5", "89.5"], "average_accuracy_percent": ["23.6", "25.8"]}  # fmt: skip
    for _ in range(int(rng.integers(0, 3))):
        name = str(rng.choice(list(columns)))
        columns[name] = [str(rng.choice(CELLS)) for _ in range(int(rng.integers(0, 4)))]
    if rng.random() < 0.2:
        columns[str(rng.choice(["megacycles", "own_accuracy", "x", ""]))] = ["1", "2"]
    if rng.random() < 0.2:
        del columns[str(rng.choice(list(columns)))]
    try:
        if rng.random() < 0.5:
            repr(ModelCatalogue.read(columns))
        else:
            longest = max(map(len, columns.values()), default=0)
            rows = [
                [cells[i] if i < len(cells) else "" for cells in columns.values()] for i in range(longest)
            ]
            path = folder / "models.csv"
            path.write_bytes(
                _mangled(rng, "\n".join(",".join(row) for row in [list(columns), *rows]).encode())
            )
            repr(ModelCatalogue.from_csv(path))
    except (RadioOptError, OSError):
        return "refused"
    return "read"
