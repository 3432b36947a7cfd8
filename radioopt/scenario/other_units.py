"""Keys of a scenario in other units: ``bandwidth_mhz = 20`` in place of ``bandwidth_hz = 20e6``."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.scenario.changes import Config, models
from radioopt.scenario.sheets import names_of


def in_si(config: Mapping[str, Any]) -> Config:
    """Return a configuration whose keys are all in SI units.

    Parameters
    ----------
    config : mapping
        Tables by name, as in a file. A key may have a prefix of its unit, as the columns of a table of devices may:
        ``cpu_frequency_ghz``, ``max_round_latency_ms``, ``payload_mbit``. Levels in decibels are keys of their own.

    Returns
    -------
    dict
        A new configuration, not yet checked; the one given is as it was.

    Raises
    ------
    ProblemError
        If a quantity is given in two units.

    Examples
    --------
    >>> in_si({"radio": {"bandwidth_mhz": 20}, "devices": {"cpu_frequency_ghz": {"uniform": [1.0, 1.5]}}})
    {'radio': {'bandwidth_hz': 20000000.0}, 'devices': {'cpu_frequency_hz': {'uniform': [1000000000.0, 1500000000.0]}}}
    """
    found = dict(config)
    for table, factors in _factors(config).items():
        given = config.get(table)
        if not isinstance(given, Mapping) or not factors.keys() & given.keys():
            continue
        made: dict[str, Any] = {}
        for name, value in given.items():
            key, factor = factors.get(name, (name, 1.0))
            if key in made or (key != name and key in given):
                raise ProblemError(f"{table}.{name}: {key} is given twice, in two units; keep one of them")
            made[key] = value if key == name else _scaled(value, factor)
        found[table] = made
    return found


def changes_in_si(changes: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of a configuration, by ``table.key`` or by the key alone, in SI units.

    Examples
    --------
    >>> changes_in_si({"bandwidth_mhz": 5, "devices.count": 3}, {"radio": {}})
    {'bandwidth_hz': 5000000.0, 'devices.count': 3}
    """
    known = _factors(config)
    alone = {name: found for factors in known.values() for name, found in factors.items()}
    made: dict[str, Any] = {}
    for key, value in changes.items():
        table, dot, name = key.rpartition(".")
        si, factor = (known.get(table, {}) if dot else alone).get(name, (name, None))
        if f"{table}{dot}{si}" in made:
            raise ProblemError(f"{key}: {si} is given twice, in two units; keep one of them")
        made[f"{table}{dot}{si}"] = value if factor is None else _scaled(value, factor)
    return made


def _factors(config: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, float]]]:
    """For each table what its keys may be called in other units: key in SI, and factor."""
    found = {}
    for table, alternatives in models(config).items():
        known = {key: None for model in alternatives for key in model.known_keys()}
        found[table] = {
            name: (key, unit.to_si)
            for key in known
            for name, unit in names_of(key).items()
            if name not in known and not callable(unit.to_si)
        }
    return found


def _scaled(value: Any, factor: float) -> Any:
    """Scale the numbers of a law; what is none is refused later."""
    if isinstance(value, Mapping):
        return {kind: _scaled(numbers_, factor) for kind, numbers_ in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scaled(number, factor) for number in value]
    if isinstance(value, np.ndarray):
        return value * factor if value.dtype.kind in "iuf" else value
    return value * factor if isinstance(value, numbers.Real) and not isinstance(value, bool) else value
