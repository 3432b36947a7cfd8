"""Copy a scenario that comes with radioopt, or list the keys that one may have.

radioopt scenario                        which there are
radioopt scenario feel-cpu > mine.toml   a copy to change, with a comment on every key
radioopt scenario --keys                 keys of every scenario: unit, domain, default
radioopt scenario --keys fimi            those of a problem's table
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radioopt.scenario import ChannelTrace, Scenario


#: suffixes of saved problems and solutions
SAVED = (".npz", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command ``scenario``."""
    from radioopt.cli import output

    parser.add_argument("name", nargs="?", help="a shipped scenario; none lists them")
    parser.add_argument(
        "--keys", nargs="*", metavar="TABLE", help="list the keys of cell, radio, devices, or of a problem"
    )
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command ``scenario``."""
    import pandas as pd

    from radioopt.base.errors import OptionError
    from radioopt.cli import output
    from radioopt.scenario import Scenario
    from radioopt.scenario.keys import commented, scenario_keys
    from radioopt.scenario.scenario import shipped

    if args.name is not None and args.keys is not None:
        tables = " ".join(Scenario.load(args.name).families) if args.name in Scenario.examples() else ""
        raise OptionError(
            f"scenario: give a name or --keys, as in: radioopt scenario --keys {tables}".rstrip()
        )
    if args.name is not None:
        if not output.wants_table(args):
            raise OptionError("scenario: a scenario is printed as TOML: leave --json and --csv out")
        print(commented(shipped(args.name)), end="")
        return 0
    if args.keys is not None:
        frame, title = scenario_keys(*args.keys), "keys of a scenario"
    else:
        rows = {name: Scenario.load(name) for name in Scenario.examples()}
        frame = pd.DataFrame(
            {
                "title": [each.name for each in rows.values()],
                "tables": [", ".join(r.families) for r in rows.values()],
            },
            index=pd.Index(list(rows), name="scenario"),
        )
        title = "scenarios; radioopt scenario NAME > mine.toml copies one"
    if args.json:
        output.print_json({"rows": output.records(frame)})
    elif args.csv:
        output.print_csv(frame)
    else:
        output.print_table(frame, title)
    return 0


def add_scenario_arguments(
    parser: argparse.ArgumentParser, what: str = "TOML file or shipped scenario", *, optional: bool = False
) -> None:
    """Declare the scenario, which may be `optional`, ``--set`` and ``--devices``."""
    parser.add_argument("scenario", help=what, nargs="?" if optional else None)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the scenario, e.g. bandwidth_hz=5e6 or feel.max_batchsize=64, or those of a FILE.toml; "
        "may be repeated",
    )
    parser.add_argument(
        "--devices",
        metavar="FILE.csv",
        help="take the devices from a table: a line each, units in the header",
    )


def add_trace_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare ``--trace`` and how it is read."""
    parser.add_argument(
        "--trace",
        metavar="FILE.csv",
        help="take rates or gains from a table over time: time_s, device, uplink_rate_mbps, channel_gain_db, ...",
    )
    parser.add_argument(
        "--interpolate", choices=("hold", "linear"), help="between two instants of the trace (default: hold)"
    )
    parser.add_argument(
        "--beyond",
        choices=("refuse", "hold", "repeat"),
        help="after the last instant of the trace (default: refuse)",
    )


def read_trace(args: argparse.Namespace) -> ChannelTrace | None:
    """Read the trace that the arguments name, if they do."""
    from radioopt.base.errors import OptionError
    from radioopt.scenario import ChannelTrace

    if args.trace is not None:
        options = {name: getattr(args, name) for name in ("interpolate", "beyond")}
        return ChannelTrace.from_csv(args.trace, **{name: value for name, value in options.items() if value})
    for name in ("interpolate", "beyond", "at"):
        if getattr(args, name, None) is not None:
            raise OptionError(f"--{name}: belongs to --trace: give a trace, or leave it out")
    return None


def read_scenario(args: argparse.Namespace) -> Scenario:
    """Read the scenario that the arguments name, with their changes."""
    from radioopt.base.errors import OptionError
    from radioopt.scenario import Scenario

    suffix = Path(args.scenario).suffix
    if suffix == ".csv":
        raise OptionError(
            f"{args.scenario}: a table of devices is not a scenario: add it to one, as in feel-cpu --devices "
            f"{args.scenario}, or name it in a TOML scenario (devices.file)"
        )
    if suffix in SAVED:
        raise OptionError(
            f"{args.scenario}: expected a scenario, from which each round is drawn anew: a TOML file or one of "
            f"{', '.join(Scenario.examples())}; a saved problem is one round only: radioopt solve {args.scenario}"
        )

    return Scenario.load(args.scenario, settings("--set", args.set), devices=args.devices)


def settings(
    flag: str, given: list[str], form: str = "KEY=VALUE, such as bandwidth_hz=5e6"
) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` into keys and values; a value is written as in TOML, a single word may be bare."""
    import re
    import tomllib

    from radioopt.base.errors import OptionError

    found: dict[str, Any] = {}
    for item in given:
        if flag == "--set" and item.endswith(".toml") and "=" not in item:
            found |= keys_of(item)
            continue
        key, equals, text = (part.strip() for part in item.partition("="))
        if not (key and equals and text):
            raise OptionError(f"{flag} {item}: expected {form}")
        if text.lower() in ("true", "false"):
            found[key] = text.lower() == "true"
            continue
        if flag == "--option" and text.lower() in ("yes", "no", "on", "off"):
            raise OptionError(f"{flag} {key}: expected true or false, got {text}")
        try:
            (found[key],) = tomllib.loads(f"value = {text}").values()
        except (ValueError, RecursionError):
            words = r"[A-Za-z_][\w.:=,+@/-]*" if flag == "--option" else r"[A-Za-z_][\w.-]*"
            if not re.fullmatch(words, text):
                expected = 'a number, true, "text", [a, list] or { a = table }'
                raise OptionError(f"{flag} {key}: expected {expected}, got {text}") from None
            found[key] = text
    return found


def keys_of(path: str) -> dict[str, Any]:
    """Read the keys of a TOML file, those of a table with its name before a dot."""
    import tomllib

    from radioopt.base.errors import OptionError

    try:
        tables = tomllib.loads(Path(path).expanduser().read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"--set {path}: not TOML: {error}") from None
    found: dict[str, Any] = {}
    for name, value in tables.items():
        found |= (
            {f"{name}.{key}": each for key, each in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return found
