"""Measure radioopt against generic solvers on the same instances.

radioopt bench --save results.json               a quarter of an hour, on a quiet machine
radioopt bench --quick --only clarabel           a look at some rows
radioopt bench --report results.json             Markdown on standard output
radioopt bench --compare before.json after.json  ratios, and which changes exceed the noise

Every answer is measured by the same certificate; the exit code is 1 if one of radioopt's is not certified.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from radioopt.cli import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--problem", metavar="NAME", help="problem family, or training (default: all with a benchmark)"
    )
    parser.add_argument("--quick", action="store_true", help="small instances, few samples: a look only")
    parser.add_argument(
        "--only", metavar="PATTERN", help="rows whose family/instance/solver/what contains or matches it"
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="seconds of the processor, where the machine does other work too",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write all results as JSON")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--report", type=Path, metavar="FILE", help="print saved results as Markdown instead"
    )
    instead.add_argument(
        "--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="compare saved results instead"
    )
    parser.add_argument(
        "--pictures",
        metavar="FOLDER",
        help="with --report: draw its pictures there, and name them in the report",
    )
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require

    if args.save is not None and not args.save.parent.is_dir():
        raise OptionError(f"--save {args.save}: there is no folder {args.save.parent}")
    if args.pictures is not None and args.report is None:
        raise OptionError("--pictures: belongs to --report FILE")
    if args.pictures is not None and not Path(args.pictures).is_dir():
        raise OptionError(f"--pictures {args.pictures}: there is no such folder")
    require("validation", "validation")
    if args.report is not None:
        return report(args)
    if args.compare is not None:
        return compare(args)
    return measure(args)


def measure(args: argparse.Namespace) -> int:
    """Run the benchmark and show what it measured."""
    from radioopt.base.errors import require

    os.environ["RADIOOPT_COMPILE"] = "wait"  # what is timed are compiled kernels
    bench = require("validation.bench", "validation")
    machine = require("validation.bench.machine", "validation")
    plan = dataclasses.replace(bench.QUICK if args.quick else bench.Plan(), cpu=args.cpu_time)
    families = [args.problem] if args.problem else bench.timed_families()
    with output.progress() as bars:
        task = bars.add_task("starting", total=None)

        def step(done: int, total: int, text: str) -> None:
            bars.update(task, completed=done, total=total, description=text)

        results = bench.run(families, quick=args.quick, only=args.only, plan=plan, progress=step)
    if args.save is not None:
        results.save(args.save)
    if args.json:
        output.print_json(results.document())
    elif args.csv:
        output.print_csv(results.frame(), index=False)
    else:
        show(results)
        if args.save is not None:
            print(f"saved in {args.save}")
    warning = machine.unquiet(results.machine)
    if warning:
        print(f"warning: {warning}; do not rely on the times", file=sys.stderr)
    uncertified = bench.uncertified(results)
    for row in uncertified:
        print(f"not certified: {row.label}: {row.note or row.claim}", file=sys.stderr)
    return 1 if uncertified else 0


def show(results: Any) -> None:
    """Print a table per group of instances, the rows that have no time, and the goals."""
    import pandas as pd

    from radioopt.base.errors import require

    bench = require("validation.bench", "validation")
    for group in dict.fromkeys((row.family, row.instance) for row in results.rows if row.measured):
        rows = [r for r in results.rows if (r.family, r.instance) == group and r.measured]
        shown = pd.DataFrame(bench.lines(rows))
        output.print_table(shown, ": ".join(group), index=False)
    for row in results.rows:
        if row.note:
            print(f"{row.label}: {row.note}")
    goals = [goal for goal in results.goals if not goal.word.startswith("not measured")]
    if goals:
        names = ("family", "label", "measured", "by_median", "floor", "goal", "unit", "word")
        shown = pd.DataFrame([{name: getattr(goal, name) for name in names} for goal in goals])
        output.print_table(shown.rename(columns={"label": "against", "word": ""}), "goals", index=False)


def report(args: argparse.Namespace) -> int:
    """Print saved results as Markdown."""
    from radioopt.base.errors import require

    bench = require("validation.bench", "validation")
    results = bench.Results.load(args.report)
    if args.json:
        output.print_json(results.document())
    elif args.csv:
        output.print_csv(results.frame(), index=False)
    else:
        drawn = [] if args.pictures is None else bench.draw_pictures(results, args.pictures)
        print(bench.markdown(results, [path.name for path in drawn], args.pictures or ""), end="")
    return 0


def compare(args: argparse.Namespace) -> int:
    """Print the ratios of two saved results, row by row."""
    from radioopt.base.errors import require

    bench = require("validation.bench", "validation")
    table, noise = bench.compare(*(bench.Results.load(path) for path in args.compare))
    if args.json:
        output.print_json({"noise": noise, "rows": output.records(table)})
    elif args.csv:
        output.print_csv(table)
    else:
        output.print_table(table, "least times, after over before")
        print(noise)
    return 0
