"""The grid of a sweep: its axes, with names and units, and the scenario at each of its points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.prefixes import prefixed
from radioopt.base.quantity import shorten
from radioopt.scenario import Scenario
from radioopt.scenario.changes import full_key
from radioopt.scenario.keys import scenario_keys

#: letters that a law has at most in tables and pictures for people
MOST_LETTERS = 32


@dataclass(frozen=True)
class Axis:
    """A key of the scenario that takes several values.

    Parameters
    ----------
    key : str
        As it was given, and the column of the table.
    values : tuple
        What it takes, in order.
    unit : str
        "1" for numbers without a unit.
    by_key : bool, default False
        Whether people are told the key, since another axis has the same words.
    """

    key: str
    values: tuple[Any, ...]
    unit: str
    by_key: bool = False

    @property
    def name(self) -> str:
        """Words for people: without table and unit."""
        if self.by_key:
            return self.key
        table, _, name = self.key.rpartition(".")
        if name == "count" and table in ("", "devices"):
            return "number of devices"
        end = "_" + self.unit.lower().replace("/", "_per_").replace("bit_per_s", "bps")
        return name.removesuffix(end).removesuffix("_bits").replace("_", " ")

    @property
    def shown(self) -> tuple[Any, ...]:
        """The values as they stand in tables: numbers and texts as they are, laws and lists as text."""
        return tuple(v if isinstance(v, (int, float, str)) else str(v) for v in self.values)

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in self.values)


def told_apart(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Name axes by their keys where they would be called the same.

    Examples
    --------
    >>> [axis.name for axis in told_apart([Axis("d2d.gate", (0, 1), "1"), Axis("own.gate", (0, 1), "1")])]
    ['d2d.gate', 'own.gate']
    """
    names = [axis.name for axis in axes]
    return tuple(replace(axis, by_key=names.count(axis.name) > 1) for axis in axes)


def axis_unit(axis: Axis) -> tuple[float, str]:
    """Choose a prefix for an axis: what its values are multiplied by, and its unit then."""
    return prefixed(axis.unit, max(map(abs, axis.values))) if axis.numeric else (1.0, "")


def axis_texts(axis: Axis) -> list[str]:
    """Write the values of an axis for people, in the unit of :func:`axis_unit`: as many digits as tell them apart.

    Examples
    --------
    >>> axis_texts(Axis("bandwidth_hz", (1e6, 11555555.555, 2e7), "Hz"))
    ['1', '11.56', '20']
    >>> axis_texts(Axis("cpu_frequency_hz", ({"uniform": [1e9, 2e9]}, [1e9] * 20), "Hz"))
    ['uniform 1e+09, 2e+09', '1e+09, 1e+09, 1e+09, 1e+09, …']
    """
    if not axis.numeric:
        words = [_law(value) for value in axis.values]
        return [f"{text} ({i + 1})" if words.count(text) > 1 else text for i, text in enumerate(words)]
    factor, _ = axis_unit(axis)
    for digits in range(4, 18):
        texts = [_plain(value * factor, digits) for value in axis.values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _law(value: Any) -> str:
    """Write a law or a list in few words; a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        text = " ".join(f"{name} {_law(own)}" for name, own in value.items())
    elif isinstance(value, Sequence):
        text = ", ".join(map(_law, value))
    else:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1].rpartition(" ")[0] + " …"


def _plain(value: float, digits: int) -> str:
    """Write a number with so many digits, and all those before the point."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    before = int(np.floor(np.log10(abs(value)))) + 1
    text = f"{value:.{max(digits - before, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def value_text(axis: Axis, i: int) -> str:
    """Words for one value of an axis: with its name and unit."""
    if not axis.numeric:
        return axis_texts(axis)[i]
    return f"{axis.name} = {axis_texts(axis)[i]} {axis_unit(axis)[1]}".rstrip()


def with_unit(name: str, unit: str) -> str:
    """Put a unit behind a name, if there is one."""
    return f"{name} [{unit}]" if unit not in ("", "1") else name


def axes_of(scenario: Scenario, vary: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Check what is varied.

    Parameters
    ----------
    scenario : Scenario
        Whose keys they are.
    vary : mapping of str to sequence
        Values by key.

    Returns
    -------
    tuple of Axis
        In the order given.

    Raises
    ------
    OptionError
        If there is nothing to vary, a key twice, or no list of different values.
    ProblemError
        If a key is unknown.
    """
    if not isinstance(vary, Mapping) or not vary:
        raise OptionError(
            f'vary: expected values by key, as {{"bandwidth_hz": [5e6, 10e6]}}, got {shorten(vary)}'
        )
    config, axes, known = scenario.to_dict(), [], dict[str, str]()
    for key, given in vary.items():
        full = full_key(key, config)
        if full in known:
            raise OptionError(f"vary: {known[full]} and {key} are the same key: give one")
        known[full] = key
        if isinstance(given, np.ndarray):
            given = given.tolist()
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise OptionError(f"vary: {key}: expected a list of values, got {shorten(given)}")
        values = tuple(v.item() if isinstance(v, np.generic) else v for v in given)
        twice = [v for i, v in enumerate(values) if v in values[:i]]
        if twice:
            raise OptionError(f"vary: {key}: {shorten(twice[0])} stands twice")
        table, _, name = full.partition(".")
        units = scenario_keys(table)["unit"].to_dict() if name else {}
        axes.append(Axis(key, values, units.get(full, "") or "1"))
    return told_apart(axes)


def points(
    scenario: Scenario, axes: Sequence[Axis]
) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...], Scenario]]:
    """Go through the grid, the last axis fastest: places along the axes, values, and the checked scenario."""
    for at in itertools.product(*(range(len(axis.values)) for axis in axes)):
        values = tuple(axis.values[i] for axis, i in zip(axes, at, strict=True))
        try:
            yield at, values, scenario.replace({a.key: v for a, v in zip(axes, values, strict=True)})
        except ProblemError as error:
            raise ProblemError(f"vary: at {described(axes, values)}: {error}") from None


def described(axes: Sequence[Axis], values: Sequence[Any]) -> str:
    """Words for a point: each key with its value."""
    return ", ".join(
        f"{a.key} = {v:g}" if isinstance(v, float) else f"{a.key} = {v}"
        for a, v in zip(axes, values, strict=True)
    )


def read_values(flag: str, text: str) -> tuple[str, list[Any]]:
    """Read an axis as it is written on a command line.

    Parameters
    ----------
    flag : str
        Option, for messages.
    text : str
        ``KEY=LOW:HIGH:COUNT``, evenly spaced; ``KEY=LOW:HIGH:COUNT:log``, by equal ratios; or ``KEY=A,B,C``, with
        values as in TOML, where a single word may be bare.

    Returns
    -------
    key : str
        What is varied.
    values : list
        Whole numbers where the ends are written as such and all steps are whole.

    Raises
    ------
    OptionError
        If it is written otherwise.

    Examples
    --------
    >>> read_values("--vary", "bandwidth_hz=1e6:4e6:4")
    ('bandwidth_hz', [1000000.0, 2000000.0, 3000000.0, 4000000.0])
    >>> read_values("--vary", "devices.count=5,10,20")
    ('devices.count', [5, 10, 20])
    """
    import re
    import tomllib

    key, equals, given = (part.strip() for part in text.partition("="))
    form = "KEY=LOW:HIGH:COUNT, KEY=LOW:HIGH:COUNT:log or KEY=A,B,C, as bandwidth_hz=1e6:20e6:20"
    if not (key and equals and given):
        raise OptionError(f"{flag} {text}: expected {form}")
    if re.match(r"[+-]?[\d.]+[^,]*:", given):
        low_text, high_text, *more = (part.strip() for part in given.split(":"))
        try:
            low, high, count = float(low_text), float(high_text), int(more[0]) if more else 0
        except ValueError:
            count = 0
        if len(more) not in (1, 2) or more[1:] not in ([], ["log"]) or count < 2:
            raise OptionError(f"{flag} {key}: expected {form}, with a count of at least 2, got {given}")
        if not (np.isfinite([low, high]).all() and low != high):
            raise OptionError(f"{flag} {key}: expected two different ends, got {low_text} and {high_text}")
        if more[1:] and not (low > 0 and high > 0):
            raise OptionError(
                f"{flag} {key}: steps by equal ratios need ends > 0, got {low_text}:{high_text}"
            )
        steps = np.geomspace(low, high, count) if more[1:] else np.linspace(low, high, count)
        whole = all(re.fullmatch(r"[+-]?\d+", end) for end in (low_text, high_text))
        if whole and (steps == np.round(steps)).all():
            return key, [int(step) for step in steps]
        return key, steps.tolist()
    try:
        (values,) = tomllib.loads(f"value = [{given}]").values()
    except (ValueError, RecursionError):
        values = []
        for part in given.split(","):
            try:
                values += tomllib.loads(f"value = [{part}]")["value"]
            except (ValueError, RecursionError):
                values.append(part.strip())
        if not all(re.fullmatch(r"[A-Za-z_][\w.:@/+-]*", v) for v in values if isinstance(v, str)):
            raise OptionError(f"{flag} {key}: expected {form}, got {given}") from None
    return key, list(values)
