"""Options as users write them: names out of a table, and numbers in a range."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from learning.catalog import (
    GENERATORS,
    JUDGES,
    MODELS,
    PARTITIONS,
    POLICIES,
    PREPARATIONS,
    RADIOS,
    SCHEMES,
)
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.options import MOST, is_finite
from radioopt.base.quantity import shorten
from radioopt.scenario import Scenario

T = TypeVar("T")

#: names of options elsewhere, and what they are here
ALIASES = {
    "lr": "learning_rate",
    "eta": "learning_rate",
    "num_clients": "scenario.replace({'devices.count': ...})",
    "clients": "scenario.replace({'devices.count': ...})",
    "batch_size": "batchsize",
    "local_epochs": "epochs",
    "num_rounds": "rounds",
    "optimizer": "optimiser",
    "dataset": "data",
    "algorithm": "scheme",
    "strategy": "scheme",
    "link": "radio",
    "mu": "proximal",
}


def choose(option: str, given: Any, table: Mapping[str, T], alternative: str = "") -> T:
    """Look a name up, or raise the ``OptionError`` that lists the names and what else is accepted."""
    if isinstance(given, str) and given in table:
        return table[given]
    also = f", or {alternative}" if alternative else ""
    near = suggestion(given, table) if isinstance(given, str) else ""
    if isinstance(given, type) and label(given) in table:
        near = f"; this is the class: give its name, {label(given)!r}, or make one, {given.__name__}(...)"
    raise OptionError(f"unknown {option} {shorten(given)}, choose from {', '.join(table)}{also}{near}")


def real(
    option: str,
    given: Any,
    *,
    low: float = 0.0,
    high: float = math.inf,
    closed: bool = False,
    zero: bool = False,
) -> float:
    """Check a finite number strictly between two limits; `closed` includes the upper one, `zero` a lower one of 0."""
    number = isinstance(given, numbers.Real) and not isinstance(given, bool)
    if number and zero and given == 0:
        return 0.0
    if number and low < given and is_finite(given) and (given < high or (closed and given == high)):
        return float(given)
    if number and low < given < math.inf and not is_finite(given):
        raise OptionError(f"{option}: expected a number within float64, got {shorten(given)}")
    expected = (
        f"a number >{'=' * zero} {low:.6g}"
        if high == math.inf
        else f"a number >{'=' * zero} {low:.6g} and <{'=' * closed} {high:.6g}"
    )
    raise OptionError(f"{option}: expected {expected}, got {shorten(given)}")


def whole(option: str, given: Any, *, low: int = 1, most: int = MOST) -> int:
    """Check a whole number from a lower limit on, and up to what can be counted."""
    number = isinstance(given, numbers.Integral) and not isinstance(given, bool)
    if number and low <= int(given) <= most:
        return int(given)
    expected = f"< 2**{most.bit_length()}" if number and int(given) > most else f">= {low}"
    raise OptionError(f"{option}: expected a whole number {expected}, got {shorten(given)}")


def shipped_with(scenario: Scenario, table: str) -> str:
    """Say which scenario that comes with radioopt has the tables of one and another; nothing if there is none."""
    wanted = {table, *scenario.problems}
    every = Scenario.examples() if len(wanted) > 1 else ()
    found = [name for name in every if wanted <= set(Scenario.load(name).problems)]
    return f", or take scenario {' or '.join(found)}, which has it" if found else ""


def keywords(what: str, text: str, kind: Callable[..., Any]) -> dict[str, Any]:
    """Read the options of a constructor out of text, ``NAME=VALUE,...``; values are JSON, or else text.

    A value may itself be ``NAME:OPTION=VALUE,...``: what the constructor does not know belongs to that.
    """
    known = inspect.signature(kind).parameters
    made: dict[str, Any] = {}
    last = ""
    for part in filter(None, text.split(",")):
        key, equals, value = (item.strip() for item in part.partition("="))
        if equals and key not in known and ":" in str(made.get(last)):
            made[last] += f",{part}"
            continue
        if key not in known or not equals:
            raise OptionError(
                f"{what} takes {', '.join(known) or 'nothing'}, as NAME=VALUE; got {part!r}{suggestion(key, known)}"
            )
        try:
            made[key] = json.loads(value)
        except (ValueError, RecursionError):
            made[key] = value
        last = key
    return made


def label(given: Any) -> str:
    """Write an option down for a manifest: its text, its name in the catalogue, or that of the object or its class."""
    if isinstance(given, str):
        return given
    named = given if hasattr(given, "__qualname__") else type(given)
    for table in (SCHEMES, RADIOS, JUDGES, POLICIES, PARTITIONS, MODELS, PREPARATIONS, GENERATORS):
        if (name := table.name_of(named)) is not None:
            return name
    return f"{named.__module__}.{named.__qualname__}"


def described(given: Any) -> Any:
    """Write the value of an option down for a manifest: numbers and text as they are, objects by name and options."""
    if given is None or isinstance(given, (bool, int, float, str)):
        return given
    if isinstance(given, (numbers.Integral, numbers.Real)):
        return float(given) if not isinstance(given, numbers.Integral) else int(given)
    if isinstance(given, Mapping):
        return {str(key): described(value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [described(value) for value in given]
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        named = {item.name: described(getattr(given, item.name)) for item in dataclasses.fields(given)}
        return {"name": label(given), **named}
    return label(given)


def settings_of(given: Any) -> dict[str, Any]:
    """Return the options of a scheme, radio or preparation by name; one of a class that is no dataclass is refused."""
    if not dataclasses.is_dataclass(given):
        name = type(given).__name__
        raise ProblemError(
            f"{name}: expected a dataclass of its options: write @dataclass(frozen=True) above class {name}"
        )
    return {item.name: getattr(given, item.name) for item in dataclasses.fields(given)}


def belongs(name: str) -> str:
    """Say where a name is an option, and how it is given there; nothing where it is one nowhere.

    Examples
    --------
    >>> belongs("proximal"), belongs("clusters"), belongs("colour")
    ('an option of scheme fedprox, contrastive', 'an option of radio d2d-server', '')
    >>> belongs("amounts")
    'an option of preparation fill, repeat-own, share-unlabelled, given as fill:amounts=...'
    >>> belongs("alpha")
    'an option of partition dirichlet, given as dirichlet:ALPHA'
    """
    told = []
    for role, takers, written in places(name):
        more = f" and {len(takers) - 4} more" if len(takers) > 4 else ""
        given = f", given as {written}" if written else ""
        told.append(f"{role} {', '.join(takers[:4])}{more}{given}")
    return f"an option of {'; and of '.join(told)}" if told else ""


def places(name: str) -> list[tuple[str, list[str], str]]:
    """Find who takes an option: the role, the names, and how it is written behind the first of these."""
    found = []
    tables = {"scheme": SCHEMES, "radio": RADIOS, "judge": JUDGES, "preparation": PREPARATIONS}
    for role, table in (tables | {"generator": GENERATORS, "partition": PARTITIONS}).items():
        begin = 3 if table is PARTITIONS else 0  # after labels, devices and random numbers
        own = {taker: list(inspect.signature(table[taker]).parameters)[begin:] for taker in table}
        takers = [taker for taker in table if name in own[taker]]
        if not takers:
            continue
        written = f"{takers[0]}:{name}=..." if role in ("preparation", "generator") else ""
        if role == "partition":
            written = f"{takers[0]}:{','.join(own[takers[0]][: own[takers[0]].index(name) + 1]).upper()}"
        found.append((role, takers, written))
    return found


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a phrase with the known names nearest to one that is not, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
