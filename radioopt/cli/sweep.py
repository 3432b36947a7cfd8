"""Solve problems, or train, over a grid of settings, with many draws or seeds at each point: table, figure, LaTeX.

radioopt sweep feel-cpu --vary bandwidth_hz=1e6:20e6:20 --draws 1000
radioopt sweep cell.toml --vary bandwidth_hz=1e6:20e6:20 --vary devices.count=5,10,20 --problem feel,fimi,dtkd
radioopt sweep feel-cpu --vary bandwidth_hz=1e6:100e6:9:log --problem feel,feel:bisection --save sweeps/band
radioopt sweep feel-cpu --train --vary learning_rate=0.1,0.2,0.4 --vary bandwidth_hz=5e6,20e6 --rounds 50 --seeds 5
radioopt sweep feel-cpu --train --scheme feel,fedavg --vary partition=iid,shards --option target_accuracy=0.8

With --save the folder has sweep.csv, summary.csv, sweep.tex, sweep.png and sweep.pdf (and sweep.parquet if pyarrow is
installed), and keeps every point that is done: the same command goes on from there.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.scenario import add_scenario_arguments, read_scenario, settings

if TYPE_CHECKING:
    from radioopt.sweeps.result import Sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_scenario_arguments(parser)
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="KEY=VALUES",
        help="a key of the scenario with its values, LOW:HIGH:COUNT, LOW:HIGH:COUNT:log or A,B,C; may be repeated",
    )
    parser.add_argument("--draws", type=int, metavar="N", help="draws at each point (default: 100)")
    parser.add_argument(
        "--problem",
        metavar="A,B",
        help="problem families, or family:method, with commas between (default: all of the scenario)",
    )
    parser.add_argument(
        "--quantity",
        help="what is summarised and drawn (default: objective; with --train final_accuracy, final_r2 of regressions)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the draws, or the first one (default: 0)"
    )
    training = parser.add_argument_group("training in place of problems")
    training.add_argument(
        "--train", action="store_true", help="train at each point; --vary takes options of the training too"
    )
    training.add_argument("--scheme", metavar="A,B", help="federated schemes (default: feel)")
    training.add_argument("--seeds", type=int, metavar="N", help="seeds at each point (default: 5)")
    training.add_argument("--rounds", type=int, metavar="N", help="most rounds of a run (default: 200)")
    training.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="anything else that learning.train or the scheme takes, the same at all points, as data=fashion-mnist; "
        "may be repeated",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1 takes all cores (default: 1)")
    parser.add_argument("--save", metavar="FOLDER", help="keep points, tables and pictures in a folder")
    output.add_format_arguments(parser, latex=True)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError
    from radioopt.sweeps.grid import read_values
    from radioopt.sweeps.tables import means_of

    read = [read_values("--vary", text) for text in args.vary]
    vary = dict(read)
    if len(vary) < len(read):
        raise OptionError("--vary: a key stands twice: give its values in one list")
    if args.save is not None:
        output.check_folder("--save", args.save)
    others = ("draws", "problem") if args.train else ("scheme", "seeds", "rounds", "option")
    for name in others:
        if getattr(args, name):
            how = "without" if args.train else "with"
            raise OptionError(f"--{name}: only {how} --train: leave it out")
    found = trained(args, vary) if args.train else solved(args, vary)
    quantity = args.quantity or found.default
    table = found.summary(quantity)
    files = [] if args.save is None else found.save(args.save, quantity)
    if args.latex:
        print(found.to_latex(quantity), end="")
    elif args.csv:
        output.print_csv(found.to_frame(), index=False)
    elif args.json:
        output.print_json({"quantity": quantity, "points": output.records(table)})
    else:
        output.print_table(found.words(quantity), f"{quantity}: {means_of(found, table)}")
        print(found)
        for file in files:
            print(f"saved {file}")
    return 0 if args.train or proven(found) else 1


def solved(args: argparse.Namespace, vary: dict[str, Any]) -> Sweep:
    """Solve problems at every point."""
    from radioopt.sweeps import sweep

    return sweep(
        read_scenario(args),
        vary,
        draws=100 if args.draws is None else args.draws,
        problems=None if args.problem is None else [name.strip() for name in args.problem.split(",")],
        seed=args.seed,
        folder=args.save,
        jobs=args.jobs,
    )


def trained(args: argparse.Namespace, vary: dict[str, Any]) -> Sweep:
    """Train at every point."""
    from radioopt.base.errors import OptionError, require

    options = settings("--option", args.option, "NAME=VALUE, such as data=fashion-mnist@6000+1000")
    if args.seeds is not None and args.seeds < 1:
        raise OptionError(f"--seeds: expected at least 1, got {args.seeds}")
    found: Sweep = require("learning", "learning").sweep(
        read_scenario(args),
        vary,
        schemes=[name.strip() for name in (args.scheme or "feel").split(",")],
        seeds=range(args.seed, args.seed + (5 if args.seeds is None else args.seeds)),
        folder=args.save,
        jobs=args.jobs,
        **({} if args.rounds is None else {"rounds": args.rounds}),
        **options,
    )
    return found


def proven(found: Sweep) -> bool:
    """Tell whether every draw has a proven answer, or one of a method that proves nothing."""
    from radioopt.base.status import Status

    done = found.frame["status"].isin([Status.OPTIMAL.name, Status.INFEASIBLE.name])
    for question in found.questions:
        if not question.known.exact:
            own = found.frame["problem"] == question.name
            done |= own & (found.frame["status"] == Status.FEASIBLE.name)
    return bool(done.all())
