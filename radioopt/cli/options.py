"""Options of schemes and of what goes with them: listed for help, read, and told where they belong."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from radioopt.cli.scenario import read_scenario, settings

if TYPE_CHECKING:
    from radioopt.scenario import Scenario


def listed(table: str) -> str:
    """Write down the names of a table of ``learning.catalog``, wherever that can be read."""
    try:
        from learning import catalog
    except ImportError:  # left out, or hidden by a file of the user's
        return f"the names in learning.{table}"
    return ", ".join(getattr(catalog, table))


def number(flag: str, text: str | None, word: str | None = None) -> Any:
    """Read a number, whole if it is written so, or a word that stands for one."""
    from radioopt.base.errors import OptionError

    if text is None or text == word:
        return text
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        also = f" or {word}" if word else ""
        raise OptionError(f"{flag}: expected a number{also}, got {text!r}") from None


def names(flag: str, text: str) -> list[str]:
    """Split a list of names, none of them twice."""
    from radioopt.base.errors import OptionError

    found = [name.strip() for name in text.split(",")]
    if "" in found or len(set(found)) < len(found):
        raise OptionError(f"--{flag}: expected names with commas between, none twice, got {text!r}")
    return found


def meant(flag: str, known: Collection[str]) -> str:
    """Say how an option is given that has another name here, or that is one of a part of a run; or nothing."""
    import importlib

    try:
        options = importlib.import_module("learning.options")
    except ImportError:
        return ""
    name = flag.lstrip("-").replace("-", "_")
    name = options.ALIASES.get(name, name)
    if "devices.count" in name:
        return "--set devices.count=..."
    if (own := f"--{name.replace('_', '-')}") in known:
        return own
    flags = {"preparation": "--before", "partition": "--partition"}
    ways = [
        f"{flags[role]} {written}" if role in flags else f"--option {name}=..."
        for role, _, written in options.places(name)
        if role != "generator"
    ]
    return ways[0] if ways else ""


def scheme_options(
    args: argparse.Namespace, schemes: Sequence[str], scenario: Scenario
) -> dict[str, dict[str, Any]]:
    """Return the options of each scheme, its radio and its judge, which one of them has to know."""
    from radioopt.base.errors import OptionError

    takes = {scheme: taken(args, scheme, scenario) for scheme in schemes}
    given = settings("--option", args.option, "NAME=VALUE, such as learning_rate=0.1")
    if args.learning_rate is not None:
        given = {"learning_rate": args.learning_rate, **given}
    made: dict[str, dict[str, Any]] = {scheme: {} for scheme in schemes}
    for key, value in given.items():
        own, dot, name = key.rpartition(".")
        if dot and own not in takes:
            raise OptionError(
                f"--option {key}: scheme {own!r} is not trained here; trained: {', '.join(schemes)}"
            )
        for scheme in [own] if dot else schemes:
            known = {option: default for part in takes[scheme].values() for option, default in part.items()}
            if name not in known:
                raise OptionError(
                    f"--option {name}: scheme {scheme!r} has no such option, it takes {described(known)}"
                    f"{elsewhere(args, name, known)}"
                )
            made[scheme][name] = value
    return made


def elsewhere(args: argparse.Namespace, name: str, known: Collection[str]) -> str:
    """Say where an option belongs that is none here: to an argument, to another scheme or part, or to a like name."""
    from radioopt.base.errors import require

    if name in vars(args):
        return f"; it is an argument of its own: --{name.replace('_', '-')}"
    if where := require("learning.options", "learning").belongs(name):
        return f"; it is {where}"
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def taken(args: argparse.Namespace, scheme: str, scenario: Scenario | None) -> dict[str, dict[str, Any]]:
    """Return the options with their defaults of a scheme, and of the radio and the judge that go with it."""
    import inspect

    from radioopt.base.errors import require

    catalog, options = require("learning.catalog", "learning"), require("learning.options", "learning")
    kinds = {f"scheme {scheme}": options.choose("scheme", scheme, catalog.SCHEMES)}
    made = kinds[f"scheme {scheme}"]
    radio = made.radio
    if scenario is not None:
        radio = require("learning.setup", "learning").default_radio(made, scenario)
    for role, table, default in (
        ("radio", catalog.RADIOS, radio),
        ("judge", catalog.JUDGES, made.judge),
    ):
        name = getattr(args, role) or default
        kinds[f"{role} {name}"] = options.choose(role, name, table)
    kinds |= {f"preparation {name}": catalog.PREPARATIONS[name] for name in made.needs}
    return {
        role: {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
            if not (name == "policy" and role.startswith("preparation"))  # which has an argument of its own
        }
        for role, kind in kinds.items()
    }


def show_options(args: argparse.Namespace) -> None:
    """Print the options of the schemes that are asked for, with what they are by default."""
    scenario = None if args.scenario is None else read_scenario(args)
    for scheme in names("scheme", args.scheme):
        for role, known in taken(args, scheme, scenario).items():
            print(f"{role}: {described(known)}")


def described(known: Mapping[str, Any]) -> str:
    """Write down options with their defaults."""
    return ", ".join(f"{name}={default}" for name, default in known.items()) or "none"
