"""Check radioopt against generic solvers on named and random instances.

Every answer, radioopt's and theirs, is repaired to feasibility and judged by the same certificate. The exit code
is 1 if a method that claims to be exact is not certified optimal, or is beaten by any solver. It takes about a
minute; most of it goes to global solvers on the hardest named instances, for which --time-limit is what counts.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from radioopt.cli import output

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--problem", metavar="NAME", help="problem family (default: all that can be checked)")
    parser.add_argument(
        "--instances", type=int, default=10, metavar="N", help="random instances (default: 10)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first random instance (default: 0)")
    parser.add_argument(
        "--references", metavar="A,B", help="generic solvers (default: all that fit the size)"
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="most time for one generic solver on one instance (default: 10)",
    )
    parser.add_argument("--all", action="store_true", help="print every instance, not only the worst")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require
    from radioopt.base.options import DEFAULT_OPTIONS

    if args.instances < 0:
        raise OptionError(f"--instances: expected at least 0, got {args.instances}")
    if not 0 < args.time_limit < float("inf"):
        raise OptionError(f"--time-limit: expected a number of seconds above 0, got {args.time_limit:g}")
    validation = require("validation", "validation")
    names = None if args.references is None else [n for n in args.references.split(",") if n]
    families = [args.problem] if args.problem else list(validation.checked_families())
    documents, failed = {}, False
    for family in families:
        with output.progress() as bars:
            task = bars.add_task(f"checking {family}", total=None)

            def step(done: int, total: int, name: str, task: object = task, bars: object = bars) -> None:
                bars.update(task, completed=done, total=total, description=f"checking {name}")  # type: ignore[attr-defined]

            table = validation.validate(
                family,
                args.instances,
                args.seed,
                references=names,
                time_limit_s=args.time_limit,
                progress=step,
            )
        summary = validation.summarise(table)
        beaten = table[(table["kind"] == "method") & ~(table["difference"] <= DEFAULT_OPTIONS.gap_tol)]
        unproven = table[(table["kind"] == "method") & (table["verdict"] != "OPTIMAL")]
        failed |= bool(len(beaten) or len(unproven))
        documents[family] = {
            "summary": output.records(summary),
            "rows": output.records(table) if args.all else [],
        }
        if args.csv:
            output.print_csv(table if args.all else summary)
        elif output.wants_table(args):
            if args.all:
                shown = table.drop(columns=["bound", "version", "kind"])
                output.print_table(shown, f"{family}: every instance")
            shown = summary.drop(columns=["kind", "instances"])
            shown["answered"] = [
                f"{a} of {n}" for a, n in zip(summary["answered"], summary["instances"], strict=True)
            ]
            output.print_table(shown, f"{family}: worst over all instances")
            for line in unanswered(table):
                print(line)
            print(verdict(family, len(beaten), len(unproven)))
    if args.json:
        output.print_json(documents)
    return 1 if failed else 0


def unanswered(table: pd.DataFrame) -> list[str]:
    """Say which solver has no answer on which instance, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    missing = table[table["objective"].isna()]
    for (instance, solver), reason in zip(missing.index, missing["status"], strict=True):
        reasons.setdefault((solver, reason), []).append(instance)
    return [
        f"{solver}: no answer on {len(names)} ({', '.join(names)}): {reason}"
        for (solver, reason), names in reasons.items()
    ]


def verdict(family: str, beaten: int, unproven: int) -> str:
    """Say in one line what the check found."""
    if not beaten and not unproven:
        return f"{family}: every exact method is certified optimal everywhere, and no generic solver does better."
    return f"{family}: FAILED: {unproven} answers of methods not certified optimal, {beaten} beaten by another solver."
