"""Train over a simulated wireless network, each round with a fresh allocation.

radioopt train feel-cpu --rounds 100
radioopt train mix2fld --scheme mix2fld --data fashion-mnist@6000+1000 --model mix2fld-cnn --name a
radioopt train feel-cpu --policy optimal,full --seeds 5 --target-accuracy 0.9 --seconds 20000
radioopt train --resume runs/a

One scheme, policy and seed make a run; several are compared on the same seeds, by the simulated time to the target.
Metrics, picture and manifest are saved under runs/. A run that was interrupted goes on where it was, with the same
numbers as an unbroken one: by --resume, or by the same command with the same --name.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.scenario import add_scenario_arguments, read_scenario, settings

if TYPE_CHECKING:
    from radioopt.scenario import Scenario

#: arguments that say how it is done and shown, not what: a run may go on with others
FREE = ("scenario", "set", "devices", "jobs", "every", "name", "folder", "resume", "json", "csv", "run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_scenario_arguments(parser, optional=True)
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--scheme",
        default="feel",
        metavar="A,B",
        help=f"federated scheme: {listed('SCHEMES')} (default: feel)",
    )
    what.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of the scheme, e.g. learning_rate=0.1; SCHEME.NAME=VALUE of one of several; may be "
        "repeated",
    )
    what.add_argument("--learning-rate", type=float, help="the same as --option learning_rate=...")
    what.add_argument(
        "--policy", default="optimal", metavar="A,B", help="of the allocation (default: optimal)"
    )
    what.add_argument(
        "--data",
        default="digits",
        metavar="NAME[:FOLDER][@TRAIN+TEST]",
        help="digits, fashion-mnist, mnist:FOLDER, idx:FOLDER, cifar10:FOLDER, cifar100:FOLDER; @6000+1000 takes "
        "so many samples (default: digits)",
    )
    what.add_argument(
        "--partition",
        default="iid",
        help="iid, shards, dirichlet:ALPHA, balanced, rare-labels, few-labels:LABELS (default: iid)",
    )
    what.add_argument(
        "--model", default="mlp", help="softmax, mlp, mlp:UNITS, cnn, mix2fld-cnn or vgg9 (default: mlp)"
    )
    what.add_argument(
        "--bits-per-parameter", type=float, metavar="B", help="size of an update (default: scenario's)"
    )
    what.add_argument("--seed", type=int, default=0, help="(first) seed (default: 0)")
    what.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds (default: 1)")
    stop = parser.add_argument_group("when it stops: at the first of these")
    stop.add_argument("--rounds", type=int, help="most rounds (default: 200 without --seconds and --joules)")
    stop.add_argument("--seconds", type=float, help="most simulated seconds")
    stop.add_argument("--joules", type=float, help="most energy of all devices")
    stop.add_argument("--target-accuracy", type=float, metavar="A", help="at this test accuracy")
    stop.add_argument(
        "--epsilon", type=float, metavar="E", help="when a round changes less than this, relatively"
    )
    where = parser.add_argument_group("where it is kept")
    where.add_argument("--name", help="folder of the run under --folder (default: from settings and time)")
    where.add_argument("--folder", default="runs", help="where runs are saved (default: runs)")
    where.add_argument("--resume", metavar="RUN", help="go on with an unfinished run, with its own settings")
    where.add_argument(
        "--every", type=int, default=10, metavar="N", help="rounds between checkpoints (default: 10)"
    )
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="processes for a comparison")
    output.add_format_arguments(parser)
    parser.set_defaults(parser=parser)


def listed(table: str) -> str:
    """Write down the names of a table of ``learning.catalog``, wherever that can be read."""
    try:
        from learning import catalog
    except ImportError:  # left out, or hidden by a file of the user's
        return f"the names in learning.{table}"
    return ", ".join(getattr(catalog, table))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require

    parser = args.__dict__.pop("parser")
    learning, runs = require("learning", "learning"), require("learning.runs.folder", "learning")
    for flag in ("seeds", "jobs", "every"):
        if getattr(args, flag) < 1:
            raise OptionError(f"--{flag}: expected at least 1, got {getattr(args, flag)}")
    if args.resume is not None:
        scenario = take_up(args, parser)
    elif args.scenario is None:
        raise OptionError(
            "expected a scenario, such as feel-cpu, or --resume with the folder of an unfinished run"
        )
    else:
        output.check_folder("--folder", args.folder)
        scenario = read_scenario(args)
    schemes, policies = (names(flag, getattr(args, flag)) for flag in ("scheme", "policy"))
    compared = len(schemes) > 1 or len(policies) > 1 or args.seeds != 1
    if compared and (args.target_accuracy is None or args.seconds is None):
        raise OptionError(
            "several schemes, policies or seeds are compared by --target-accuracy within --seconds: give both"
        )
    given = scheme_options(args, schemes)
    options = {name: getattr(args, name) for name in ("data", "partition", "model", "bits_per_parameter")}
    options |= {
        name: getattr(args, name) for name in ("rounds", "seconds", "joules", "target_accuracy", "epsilon")
    }

    fresh = not Path(args.folder).exists()
    what = {name: value for name, value in vars(args).items() if name not in FREE}
    folder = learning.begin_run(
        args.name or default_name(args, schemes, policies),
        {"scenario": scenario.to_dict(), "arguments": what},
        args.folder,
    )
    try:
        if compared:
            seeds = range(args.seed, args.seed + args.seeds)
            variants = {
                policy if len(schemes) == 1 else scheme if len(policies) == 1 else f"{scheme}/{policy}": {
                    "scheme": scheme,
                    "policy": policy,
                    **given[scheme],
                }
                for scheme in schemes
                for policy in policies
            }
            result = learning.compare(
                scenario,
                policies=variants,
                seeds=list(seeds),
                jobs=args.jobs,
                checkpoints=folder,
                every=args.every,
                **options,
            )
        else:
            (scheme,), (policy,) = schemes, policies
            result = learning.train(
                scenario,
                scheme=scheme,
                policy=policy,
                seed=args.seed,
                checkpoint=folder / runs.CHECKPOINT,
                every=args.every,
                **given[scheme],
                **options,
            )
        learning.save_run(result, folder.name, folder.parent)
    except BaseException as error:
        if runs.abandon_run(folder):
            if fresh and not any(folder.parent.iterdir()):
                folder.parent.rmdir()
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"interrupted: radioopt train --resume {folder} goes on") from None
        raise
    show(result, compared, args)
    if output.wants_table(args):
        print(f"saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return 0


def take_up(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Scenario:
    """Fill the arguments with those of an unfinished run, and return its scenario."""
    from radioopt.base.errors import OptionError, require
    from radioopt.scenario import Scenario

    runs = require("learning.runs.folder", "learning")
    path = Path(args.resume)
    kept = runs.unfinished_settings(path)
    own = sorted(
        f"--{name.replace('_', '-')}"
        for name, value in vars(args).items()
        if name not in ("resume", "jobs", "every", "json", "csv", "run") and value != parser.get_default(name)
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
    vars(args).update(known, name=absolute.name, folder=str(path.parent))
    return scenario


def names(flag: str, text: str) -> list[str]:
    """Split a list of names, none of them twice."""
    from radioopt.base.errors import OptionError

    found = [name.strip() for name in text.split(",")]
    if "" in found or len(set(found)) < len(found):
        raise OptionError(f"--{flag}: expected names with commas between, none twice, got {text!r}")
    return found


def scheme_options(args: argparse.Namespace, schemes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the options of each scheme, which its signature has to know."""
    import inspect

    from radioopt.base.errors import OptionError, require

    table = require("learning", "learning").SCHEMES
    choose = require("learning.options", "learning").choose
    takes = {scheme: inspect.signature(choose("scheme", scheme, table)).parameters for scheme in schemes}
    given = settings("--option", args.option)
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
            if name not in takes[scheme]:
                raise OptionError(
                    f"--option {name}: scheme {scheme!r} has no such option, it takes {described(takes[scheme])}"
                )
            made[scheme][name] = value
    return made


def described(parameters: Mapping[str, Any]) -> str:
    """Write down options with their defaults."""
    return ", ".join(f"{name}={parameter.default}" for name, parameter in parameters.items()) or "none"


def show(result: Any, compared: bool, args: argparse.Namespace) -> None:
    """Print the comparison, or the rounds of a single run."""
    frame = result.table() if compared else result.to_frame()
    if args.csv:
        output.print_csv(frame)
    elif args.json:
        output.print_json({"config": result.config, "rows": output.records(frame)})
    else:
        if not compared:
            columns = ["seconds", "round_latency_s", "energy_j", "batchsize", "train_loss", "test_accuracy"]
            unknown = frame.columns[
                frame.iloc[1:].isna().all() & (len(frame) > 1)
            ]  # energy, without its coefficient
            shown = frame[[name for name in columns if name in frame and name not in unknown]]
            steps = max(1, len(shown) // 10)
            output.print_table(
                shown.iloc[::steps] if (len(shown) - 1) % steps == 0 else thinned(shown, steps)
            )
        print(result)


def thinned(frame: Any, step: int) -> Any:
    """Every so many rows, and the last."""
    import pandas as pd

    return pd.concat([frame.iloc[::step], frame.iloc[[-1]]])


def default_name(args: argparse.Namespace, schemes: Sequence[str], policies: Sequence[str]) -> str:
    """Name a run after what it does and when."""
    import re
    from datetime import datetime

    what = "-".join(policies if schemes == ["feel"] else schemes)
    parts = [Path(args.scenario).stem, args.data.partition(":")[0], what, f"{datetime.now():%Y%m%d-%H%M%S}"]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).lstrip(".-")
