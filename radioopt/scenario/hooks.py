"""What each family of problems adds to scenarios: a table of settings, and how to pose the problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from radioopt.base.problem import Problem
from radioopt.base.quantity import Array
from radioopt.base.rooms import room, with_room

if TYPE_CHECKING:
    from radioopt.scenario.devices import Devices


class Hook(Protocol):
    """What the module ``radioopt.<family>.scenario`` brings.

    Attributes
    ----------
    Settings : type
        A :class:`~radioopt.scenario.tables.Table`, or a union of tables told apart by a ``Literal`` field.
    build : callable
        ``(devices, settings, values) -> Problem``, with the laws of `settings` as arrays, by name: drawn, of
        shape (...) or (..., K), or given by the caller. A law that is None is left out.
    """

    Settings: Any
    build: Callable[[Devices, Any, Mapping[str, Array]], Problem[Any]]


def has_hook(family: str) -> bool:
    """Tell whether a family has a table in scenarios."""
    return family in with_room("radioopt", "scenario")


def hook(family: str) -> Hook:
    """Import what a family brings to scenarios."""
    return cast(Hook, room("radioopt", family, "scenario"))
