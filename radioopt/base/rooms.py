"""Rooms: families of problems and their modules, found by where they stand, in radioopt and in what is built on it.

A variant of a family stands inside it: "d2d-clusters" is ``radioopt.d2d.clusters``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

from radioopt.base.errors import OptionError


def families() -> tuple[str, ...]:
    """Name the problem families installed: the subpackages of radioopt with a ``problem`` module.

    Returns
    -------
    tuple of str
        Sorted names, found without importing any of them.

    Examples
    --------
    >>> "feel" in families()
    True
    """
    return _with_room(_path("radioopt"), "problem")


def with_room(package: str, room: str) -> tuple[str, ...]:
    """Name the families that have a module of a name in a package.

    Parameters
    ----------
    package : str
        As "validation".
    room : str
        As "bench".

    Returns
    -------
    tuple of str
        Sorted names, found without importing any of them.

    Examples
    --------
    >>> "feel" in with_room("radioopt", "scenario")
    True
    """
    found = _with_room(_path(package), room)
    return tuple(family for family in families() if family in found)


def room(package: str, family: str, name: str, refusal: str = "unknown problem") -> ModuleType:
    """Import a module of a family.

    Parameters
    ----------
    package : str
        As "validation".
    family : str
        One of :func:`with_room`.
    name : str
        As "bench".
    refusal : str, default "unknown problem"
        What to say of another family.

    Returns
    -------
    module
        ``<package>.<family>.<name>``, with a dot for the hyphen of a variant.

    Raises
    ------
    OptionError
        If no family of that name has one.
    """
    known = with_room(package, name)
    if family not in known:
        raise OptionError(f"{refusal} {family!r}, choose from {', '.join(known)}")
    return importlib.import_module(f"{package}.{family.replace('-', '.')}.{name}")


def _path(package: str) -> tuple[str, ...]:
    return tuple(importlib.import_module(package).__path__)


@cache
def _with_room(path: tuple[str, ...], room: str) -> tuple[str, ...]:
    return tuple(sorted(_found(path, room, "")))


def _found(path: Iterable[str], room: str, prefix: str) -> Iterator[str]:
    """Go through the packages in these folders that have a room, and those inside them."""
    for package in pkgutil.iter_modules(path):
        if not package.ispkg or package.name == "base":
            continue
        spec = package.module_finder.find_spec(package.name, None)
        inside = spec.submodule_search_locations if spec else None
        if inside and any(module.name == room for module in pkgutil.iter_modules(inside)):
            yield prefix + package.name
        if inside:
            yield from _found(inside, room, f"{prefix}{package.name}-")
