"""Train over a simulated wireless network, each round with a fresh allocation.

radioopt train feel-cpu --rounds 100
radioopt train mix2fld --scheme mix2fld --data fashion-mnist@6000+1000 --model mix2fld-cnn --name a
radioopt train feel-cpu --policy optimal,full --seeds 5 --rounds 50
radioopt train feel-cpu --policy optimal,full --seeds 5 --target-accuracy 0.9 --seconds 20000
radioopt train dtkd --scheme simkd --partition disjoint-labels --rounds 40 --option teacher_rounds=60
radioopt train d2d --scheme fedavg --partition few-labels:2 --before exchange
radioopt train --resume runs/a

One scheme, policy and seed make a run; several are compared on the same seeds, round by round with means and
intervals, or by the simulated time to a target. Metrics, pictures and manifest are saved under runs/. A run that was
interrupted goes on where it was, with the same numbers as an unbroken one: by --resume, or by the same command with
the same --name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.options import listed, names, number, scheme_options, show_options
from radioopt.cli.options import meant as meant  # for whoever reads the arguments
from radioopt.cli.resume import ENDS, FREE, draw_anew, going_further, take_up
from radioopt.cli.scenario import (
    add_scenario_arguments,
    add_trace_arguments,
    read_scenario,
    read_trace,
    settings,
)

if TYPE_CHECKING:
    pass

#: arguments that are handed on as they are
HANDED = ("radio", "judge", "data", "partition", "model", "compute", "device", "devices_at_once")


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
        help="set an option of scheme, radio or judge, e.g. learning_rate=0.1, optimiser=sgd:momentum=0.9, "
        "deadline_s=20; SCHEME.NAME=VALUE of one of several; may be repeated. Those of a scheme: --options",
    )
    what.add_argument(
        "--options", action="store_true", help="list the options of scheme, radio and judge, and stop"
    )
    what.add_argument("--learning-rate", type=float, help="the same as --option learning_rate=...")
    what.add_argument(
        "--model",
        help=f"{listed('MODELS')}, with a size after a colon, as mlp:200; several with commas "
        "between are dealt out in turn, or are one for each model of a catalogue (default: mlp, or the scheme's)",
    )
    what.add_argument("--seed", type=int, default=0, help="(first) seed (default: 0)")
    what.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds (default: 1)")
    held = parser.add_argument_group("what it is trained with")
    held.add_argument(
        "--data",
        default="digits",
        metavar="NAME[:FOLDER][@TRAIN+TEST]",
        help=f"{listed('DATASETS')}; all but digits and fashion-mnist with :FOLDER; @6000+1000 takes so many samples "
        "(default: digits)",
    )
    held.add_argument(
        "--partition",
        default="iid",
        help=f"{listed('PARTITIONS')}, with numbers after a colon, as dirichlet:0.3 (default: iid)",
    )
    held.add_argument(
        "--public", default="0", metavar="N", help="samples set aside for the server, or their share"
    )
    held.add_argument(
        "--before",
        action="append",
        default=[],
        metavar="NAME[:OPTION=VALUE,...]",
        help=f"prepare the data before the first round: {listed('PREPARATIONS')}; may be repeated",
    )
    spent = parser.add_argument_group("what it costs")
    spent.add_argument(
        "--radio",
        help=f"{listed('RADIOS')} (default: the scheme's, or the one that the scenario has a table for)",
    )
    spent.add_argument(
        "--policy",
        default="optimal",
        metavar="A,B",
        help="of the plan, e.g. optimal or full (default: optimal)",
    )
    spent.add_argument(
        "--bits-per-parameter",
        metavar="B",
        help="size of a number that is sent, or dtype for the model's own (default: the scenario's payload)",
    )
    add_trace_arguments(spent)
    spent.add_argument(
        "--compute", default="modelled", help="compute times: modelled by the scenario, or measured here"
    )
    who = parser.add_argument_group("who takes part and who judges")
    who.add_argument(
        "--judge", help=f"whose models are evaluated: {listed('JUDGES')} (default: the scheme's)"
    )
    who.add_argument(
        "--participants", metavar="N", help="devices that take part in a round, or their share (default: all)"
    )
    who.add_argument(
        "--selection", default="uniform", help=f"who takes part: {listed('SELECTIONS')} (default: uniform)"
    )
    stop = parser.add_argument_group("when it stops: at the first of these")
    stop.add_argument("--rounds", type=int, help="most rounds (default: 200 without --seconds and --joules)")
    stop.add_argument("--seconds", type=float, help="most simulated seconds")
    stop.add_argument("--joules", type=float, help="most energy of all devices")
    stop.add_argument("--target-accuracy", type=float, metavar="A", help="at this test accuracy")
    stop.add_argument(
        "--go-on",
        action="store_true",
        help="of several: go on after --target-accuracy to the end of --seconds",
    )
    stop.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="when a column of the rounds is as good, e.g. private_accuracy=0.9; all of several",
    )
    stop.add_argument(
        "--epsilon", type=float, metavar="E", help="when a round changes less than this, relatively"
    )
    where = parser.add_argument_group("where it is done")
    where.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or auto (default: cpu)")
    where.add_argument(
        "--devices-at-once",
        type=int,
        metavar="N",
        help="devices trained together (default: what fits the cache)",
    )
    where.add_argument(
        "--engine",
        default="process",
        choices=("process", "flower"),
        help="devices in this process, or on simulated Flower nodes (default: process)",
    )
    where.add_argument(
        "--nodes",
        type=int,
        metavar="N",
        help="of --engine flower: simulated nodes (default: one for each device)",
    )
    where.add_argument(
        "--round-deadline",
        type=float,
        metavar="S",
        help="of --engine flower: seconds on the wall that a round waits for its nodes (default: 600)",
    )
    where.add_argument(
        "--clock",
        choices=("simulated", "wall"),
        help="of --engine flower: whose seconds count, and are planned with (default: simulated)",
    )
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="processes for a comparison")
    kept = parser.add_argument_group("where it is kept")
    kept.add_argument("--name", help="folder of the run under --folder (default: from settings and time)")
    kept.add_argument("--folder", default="runs", help="where runs are saved (default: runs)")
    kept.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an unfinished run, with its own settings; or with a finished one (no comparison) "
        "for more --rounds, --seconds or --joules, or another target",
    )
    kept.add_argument(
        "--every", type=int, default=10, metavar="N", help="rounds between checkpoints (default: 10)"
    )
    kept.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="NAME[:FOLDER]",
        help=f"write every round elsewhere too: {listed('LOGGERS')} (default folder: in that of the run); may be "
        "repeated",
    )
    output.add_format_arguments(parser)
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require

    parser = args.__dict__.pop("parser")
    learning, runs = require("learning", "learning"), require("learning.runs.folder", "learning")
    if args.scenario is not None:
        args.scenario = for_training(args.scenario)
    if args.__dict__.pop("options"):
        show_options(args)
        return 0
    for flag in ("seeds", "jobs", "every"):
        if getattr(args, flag) < 1:
            raise OptionError(f"--{flag}: expected at least 1, got {getattr(args, flag)}")
    given_to = {"nodes": args.nodes, "deadline_s": args.round_deadline, "clock": args.clock}
    remote = {name: value for name, value in given_to.items() if value is not None}
    if remote and args.engine != "flower":
        raise OptionError("--nodes, --round-deadline, --clock: of --engine flower only: leave out")
    if args.resume is not None:
        if runs.is_undrawn(Path(args.resume)) and not going_further(args, parser):
            return draw_anew(Path(args.resume))
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
    if compared and args.target_accuracy is None and not any((args.rounds, args.seconds, args.joules)):
        raise OptionError(
            "several schemes, policies or seeds are compared after --rounds, --seconds or --joules, or by "
            "--target-accuracy within --seconds: say which"
        )
    if args.go_on and not (compared and args.target_accuracy is not None):
        raise OptionError(
            "--go-on: several runs go on after --target-accuracy: leave out where there is none"
        )
    if compared and args.engine != "process":
        raise OptionError("--engine: carries a single run: leave out where several are compared")
    if compared and args.log:
        raise OptionError("--log: writes the rounds of a single run: leave out where several are compared")
    given = scheme_options(args, schemes, scenario)
    options: dict[str, Any] = {name: getattr(args, name) for name in HANDED}
    options |= {name: getattr(args, name) for name in ENDS if name != "target"}
    options |= {
        "trace": read_trace(args),
        "target": settings("--target", args.target, "COLUMN=VALUE, such as private_accuracy=0.9") or None,
        "before": args.before,
        "public": number("--public", args.public),
        "participants": number("--participants", args.participants),
        "selection": args.selection,
        "bits_per_parameter": number("--bits-per-parameter", args.bits_per_parameter, "dtype"),
    }

    fresh = not Path(args.folder).exists()
    what = {name: value for name, value in vars(args).items() if name not in FREE}
    told = {"scenario": scenario.to_dict(), "arguments": what}
    if args.resume is not None and runs.is_finished(Path(args.resume)):
        folder = Path(args.resume)
    elif args.name is not None:
        folder = learning.begin_run(args.name, told, args.folder)
    else:
        folder = runs.begin_another(default_name(args, schemes, policies), told, args.folder)
    with require("learning.runs.lock", "learning").locked(folder / runs.LOCK, f"run {folder}"):
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
                    go_on=args.go_on,
                    **options,
                )
            else:
                (scheme,), (policy,) = schemes, policies
                train = learning.flower.simulate if args.engine == "flower" else learning.train
                result = train(
                    scenario,
                    scheme=scheme,
                    policy=policy,
                    seed=args.seed,
                    checkpoint=folder / runs.CHECKPOINT,
                    every=args.every,
                    callbacks=[
                        name if ":" in name or name == "print" else f"{name}:{folder / name}"
                        for name in args.log
                    ],
                    **remote,
                    **given[scheme],
                    **options,
                )
            runs.finish_run(result, folder, told)
        except BaseException as error:
            if runs.abandon_run(folder):
                if fresh and not any(folder.parent.iterdir()):
                    folder.parent.rmdir()
            elif isinstance(error, KeyboardInterrupt) and runs.is_unfinished(folder):
                raise KeyboardInterrupt(f"interrupted: radioopt train --resume {folder} goes on") from None
            raise
    show(result, compared, args)
    if output.wants_table(args):
        shown = sorted(path.name for path in folder.iterdir() if path.name not in runs.KEPT)
        print(f"saved in {folder}: {', '.join(shown)}")
    return 0


def for_training(name: str) -> str:
    """Name the scenario to train with: one that comes with radioopt may have another for it, d2d has d2d-training."""
    from radioopt.scenario import Scenario

    longer = f"{name}-training"
    return longer if longer in Scenario.examples() else name


def show(result: Any, compared: bool, args: argparse.Namespace) -> None:
    """Print the comparison, or the rounds of a single run."""
    frame = result.table() if compared else result.to_frame()
    if args.csv:
        output.print_csv(frame)
    elif args.json:
        output.print_json({"config": result.config, "rows": output.records(frame)})
    elif compared:
        output.print_table(result.words(), result.head())
        for note in result.notes():
            print(note)
    else:
        columns = ["seconds", "round_latency_s", "energy_j", "batchsize", "train_loss", "test_accuracy"]
        columns = list(dict.fromkeys([*columns, *result.config["targets"]]))
        unknown = frame.columns[
            frame.iloc[1:].isna().all() & (len(frame) > 1)
        ]  # energy, without its coefficient
        shown = frame[[name for name in columns if name in frame and name not in unknown]]
        steps = max(1, len(shown) // 10)
        output.print_table(shown.iloc[::steps] if (len(shown) - 1) % steps == 0 else thinned(shown, steps))
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
