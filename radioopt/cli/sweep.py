"""Solve problems over a grid of settings, with many draws at each point: table, CSV, figure, LaTeX.

radioopt sweep feel-cpu --vary bandwidth_hz=1e6:20e6:20 --draws 1000
radioopt sweep cell.toml --vary bandwidth_hz=1e6:20e6:20 --vary devices.count=5,10,20 --problem feel,fimi,dtkd
radioopt sweep feel-cpu --vary bandwidth_hz=1e6:100e6:9:log --problem feel,feel:bisection --save sweeps/band

With --save the folder has sweep.csv, summary.csv, sweep.tex, sweep.png and sweep.pdf (and sweep.parquet if pyarrow is
installed), and keeps every point that is done: the same command goes on from there.
"""

from __future__ import annotations

import argparse

from radioopt.cli import output
from radioopt.cli.scenario import add_scenario_arguments, read_scenario


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
    parser.add_argument(
        "--draws", type=int, default=100, metavar="N", help="draws at each point (default: 100)"
    )
    parser.add_argument(
        "--problem",
        metavar="A,B",
        help="problem families, or family:method, with commas between (default: all of the scenario)",
    )
    parser.add_argument(
        "--quantity", default="objective", help="what is summarised and drawn (default: objective)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1 takes all cores (default: 1)")
    parser.add_argument("--save", metavar="FOLDER", help="keep points, tables and pictures in a folder")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError
    from radioopt.base.status import Status
    from radioopt.sweeps import sweep
    from radioopt.sweeps.grid import read_values

    read = [read_values("--vary", text) for text in args.vary]
    vary = dict(read)
    if len(vary) < len(read):
        raise OptionError("--vary: a key stands twice: give its values in one list")
    if args.save is not None:
        output.check_folder("--save", args.save)
    problems = None if args.problem is None else [name.strip() for name in args.problem.split(",")]
    found = sweep(
        read_scenario(args),
        vary,
        draws=args.draws,
        problems=problems,
        seed=args.seed,
        folder=args.save,
        jobs=args.jobs,
    )
    table = found.summary(args.quantity)
    files = [] if args.save is None else found.save(args.save, args.quantity)
    if args.csv:
        output.print_csv(found.to_frame(), index=False)
    elif args.json:
        output.print_json({"quantity": args.quantity, "points": output.records(table)})
    else:
        dull = [name for name in ("infeasible", "unanswered") if not table[name].any()]
        output.print_table(table.drop(columns=dull), f"{args.quantity} over {found.draws} draws")
        print(found)
        for file in files:
            print(f"saved {file}")
    proven = found.frame["status"].isin([Status.OPTIMAL.name, Status.INFEASIBLE.name])
    for question in found.questions:
        if not question.known.exact:
            own = found.frame["problem"] == question.name
            proven |= own & (found.frame["status"] == Status.FEASIBLE.name)
    return 0 if bool(proven.all()) else 1
