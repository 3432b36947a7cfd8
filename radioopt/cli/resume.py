"""Runs that go on: with the settings that they were begun with, and further limits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radioopt.scenario import Scenario

#: arguments that say how it is done and shown, not what: a run may go on with others
FREE = (
    "scenario",
    "set",
    "devices",
    "jobs",
    "every",
    "name",
    "folder",
    "resume",
    "json",
    "csv",
    "run",
    "log",
    "engine",
    "nodes",
    "round_deadline",
    "clock",
)
#: those of them that a run is begun with, and keeps
BEGUN = {"scenario", "set", "devices", "name", "folder"}
#: arguments that end a run: a finished or interrupted one goes on with others
ENDS = ("rounds", "seconds", "joules", "target_accuracy", "target", "epsilon")


def draw_anew(path: Path) -> int:
    """Draw a run that is finished and was killed before its picture, or could not be drawn."""
    from radioopt.base.errors import require

    require("matplotlib", "plot")
    runs = require("learning.runs.folder", "learning")
    with require("learning.runs.lock", "learning").locked(path / runs.LOCK, f"run {path}"):
        require("learning.runs.redraw", "learning").redraw(path)
    if runs.is_undrawn(path):
        return 1
    print(f"run {path} is finished; drawn anew: {', '.join(runs.PICTURES)}")
    return 0


def going_further(args: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the limits that are given to a run that goes on."""
    given = {name: getattr(args, name) for name in ENDS}
    return {name: value for name, value in given.items() if value != parser.get_default(name)}


def take_up(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Scenario:
    """Fill the arguments with those of a run that is to go on, and return its scenario."""
    from radioopt.base.errors import OptionError, require
    from radioopt.scenario import Scenario

    runs = require("learning.runs.folder", "learning")
    path = Path(args.resume)
    further = going_further(args, parser)
    kept = runs.told_settings(path, further=bool(further))
    free = {*FREE, *ENDS} - BEGUN
    own = sorted(
        f"--{name.replace('_', '-')}"
        for name, value in vars(args).items()
        if name not in free and value != parser.get_default(name)
    )
    if own:
        raise OptionError(f"--resume goes on with the settings of {path}: leave out {', '.join(own)}")
    try:
        known = {name: kept["arguments"][name] for name in vars(args) if name not in FREE}
        scenario = Scenario.from_dict(kept["scenario"])
    except (KeyError, TypeError) as error:
        raise OptionError(
            f"{path} was begun by another version of radioopt, or not by radioopt train (no {error}): start again"
        ) from None
    absolute = path.absolute()
    vars(args).update(known | further, name=absolute.name, folder=str(path.parent))
    return scenario
