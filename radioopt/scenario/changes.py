"""Configurations with some keys changed, found by their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from radioopt.base.errors import ProblemError, suggestion
from radioopt.scenario.hooks import has_hook, hook
from radioopt.scenario.tables import File, Table

Config = dict[str, Any]


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """Return a configuration with keys set, or taken out where the value is None.

    Parameters
    ----------
    config : mapping
        Tables by name, as in a file.
    changes : mapping of str to Any
        New values by ``table.key``, or by the bare key where only one of the tables given has it.

    Returns
    -------
    dict
        A new configuration, not yet checked; the one given is as it was.

    Raises
    ------
    ProblemError
        If a bare key is in no table or in several, or leads through something that is not a table.

    Examples
    --------
    >>> changed({"radio": {"bandwidth_hz": 1e6}}, {"bandwidth_hz": 2e6, "devices.count": 3})
    {'radio': {'bandwidth_hz': 2000000.0}, 'devices': {'count': 3}}
    """
    config = dict(config)
    for key, value in changes.items():
        *tables, name = _path(key, config)
        table = config
        for part in tables:
            inner = table.get(part, {})
            if not isinstance(inner, Mapping):
                raise ProblemError(f"{key}: {part} is not a table")
            table[part] = table = dict(inner)
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value
    return config


def full_key(key: str, config: Mapping[str, Any]) -> str:
    """Return ``table.key`` of a key of this configuration, which may be bare where only one table has it."""
    return ".".join(_path(key, config))


def models(config: Mapping[str, Any]) -> dict[str, list[type[Table]]]:
    """Tables of a configuration: the ones that every scenario has, and what each family given may be."""
    found = {
        name: [field.annotation]
        for name, field in File.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table)
    }
    for family in config:
        if isinstance(family, str) and has_hook(family):
            found[family] = _alternatives(hook(family).Settings, config[family])
    return found


def _alternatives(settings: Any, given: Any) -> list[type[Table]]:
    """Return the tables that settings may be: of a union, those that fit the field that tells them apart."""
    if not get_args(settings):
        return [settings]
    union, field = get_args(settings)
    choice = given.get(field.discriminator) if isinstance(given, Mapping) else None
    tables = list(get_args(union))
    return [t for t in tables if choice in get_args(t.model_fields[field.discriminator].annotation)] or tables


def _path(key: str, config: Mapping[str, Any]) -> list[str]:
    """Tables and name of a key; a bare key must be in one table only."""
    if "." in key or key in File.known_keys():
        return key.split(".")
    keys = {
        table: {k for model in fits for k in model.known_keys()} for table, fits in models(config).items()
    }
    owners = [table for table, names in keys.items() if key in names]
    if len(owners) > 1:
        which = " or ".join(f"{table}.{key}" for table in owners)
        raise ProblemError(f"{key}: a key of several tables; choose {which}")
    if not owners:
        known = dict.fromkeys(k for names in keys.values() for k in sorted(names))
        raise ProblemError(f"{key}: unknown key{suggestion(key, known)}")
    return [owners[0], key]
