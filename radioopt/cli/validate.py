"""Check radioopt against generic solvers on named and random instances.

Every answer, radioopt's and theirs, is repaired to feasibility and judged by the same certificate. The exit code
is 1 if a method that claims to be exact is not certified optimal, or is beaten by any solver, or if a generic solver
has no answer at all or breaks down. It takes about a minute; most of it goes to global solvers on the hardest
named instances, for which --time-limit is what counts.

With --thorough it is thousands of random instances: 1,000 of each problem through every method and generic solver, and
100,000 through the certificate. Chunks that are done are kept in --folder and are not done again. The exit code is 1 if
any claim is denied.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radioopt.cli import output

if TYPE_CHECKING:
    import pandas as pd

#: what begins the status of a generic solver whose process broke down
BROKEN = ("crashed", "did not start", "killed: answered")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--problem", metavar="NAME", help="problem family (default: all that can be checked)")
    parser.add_argument(
        "--instances", type=int, metavar="N", help="random instances (default: 5; 1,000 with --thorough)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first random instance (default: 0)")
    parser.add_argument(
        "--references", metavar="A,B", help="generic solvers (default: all that fit the size)"
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="most time for one generic solver on one instance (default: 1)",
    )
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="also methods that do not claim to be optimal, which can take long",
    )
    parser.add_argument("--all", action="store_true", help="print every instance, not only the worst")
    thorough = parser.add_argument_group("thousands of instances")
    thorough.add_argument("--thorough", action="store_true", help="check thousands of random instances")
    thorough.add_argument(
        "--certificates",
        type=int,
        metavar="N",
        help="random instances that are checked by certificate alone (default: 100,000)",
    )
    thorough.add_argument(
        "--seconds", type=float, metavar="S", help="most time for a problem and kind of check"
    )
    thorough.add_argument("--jobs", type=int, metavar="N", help="processes (default: 1)")
    thorough.add_argument("--folder", type=Path, help="where what is done is kept (default: runs/thorough)")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require
    from radioopt.base.options import DEFAULT_OPTIONS
    from radioopt.base.problem import problem_class

    extra = [
        f"--{name}"
        for name in ("certificates", "seconds", "jobs", "folder")
        if getattr(args, name) is not None and not args.thorough
    ]
    if extra:
        raise OptionError(f"{extra[0]} goes with --thorough")
    if args.instances is None:
        args.instances = 1000 if args.thorough else 5
    if args.instances < 0:
        raise OptionError(f"--instances: expected at least 0, got {args.instances}")
    if not 0 < args.time_limit < float("inf"):
        raise OptionError(f"--time-limit: expected a number of seconds above 0, got {args.time_limit:g}")
    validation = require("validation", "validation")
    names = None if args.references is None else [n for n in args.references.split(",") if n]
    if args.thorough:
        return thoroughly(args, names)
    families = [args.problem] if args.problem else list(validation.checked_families())
    documents, failed = {}, False
    for family in families:
        with output.progress() as bars:
            task = bars.add_task(f"checking {family}", total=None)

            def step(done: int, total: int, name: str, task: object = task, bars: object = bars) -> None:
                bars.update(task, completed=done, total=total, description=f"checking {name}")  # type: ignore[attr-defined]

            methods = problem_class(family).methods.values()
            table = validation.validate(
                family,
                args.instances,
                args.seed,
                methods=[method.name for method in methods if method.exact or args.baselines],
                references=names,
                time_limit_s=args.time_limit,
                progress=step,
            )
        summary = validation.summarise(table)
        found = failures(table, DEFAULT_OPTIONS.gap_tol)
        failed |= bool(found)
        documents[family] = {
            "summary": output.records(summary),
            "rows": output.records(table) if args.all else [],
            "failures": found,
        }
        lines = [f"{family}: FAILED: {line}" for line in found] or [f"{family}: {success(table)}"]
        if args.csv:
            output.print_csv(table if args.all else summary)
        elif output.wants_table(args):
            if args.all:
                shown = table.drop(columns=["bound", "version", "kind", "note"])
                output.print_table(shown, f"{family}: every instance")
            shown = summary.drop(columns=["kind", "instances"])
            shown["answered"] = [
                f"{a} of {n}" for a, n in zip(summary["answered"], summary["instances"], strict=True)
            ]
            output.print_table(shown, f"{family}: worst over all instances")
            print("\n".join([*unanswered(table), *lines]))
        if found and not output.wants_table(args):
            print("\n".join(lines), file=sys.stderr)
    if args.json:
        output.print_json(documents)
    return 1 if failed else 0


def thoroughly(args: argparse.Namespace, names: list[str] | None) -> int:
    """Check thousands of instances of each problem, print a table for each and what was denied."""
    from radioopt.base.errors import OptionError, require

    thorough = require("validation.thorough", "validation")
    certificates = 100_000 if args.certificates is None else args.certificates
    counts = {"references": args.instances, "certificates": certificates}
    for flag, value in (
        ("--instances", args.instances),
        ("--certificates", certificates),
        ("--jobs", args.jobs),
    ):
        if value is not None and value < (1 if flag == "--jobs" else 0):
            raise OptionError(f"{flag}: expected at least {1 if flag == '--jobs' else 0}, got {value}")
    if args.seconds is not None and not args.seconds > 0:
        raise OptionError(f"--seconds: expected a number above 0, got {args.seconds:g}")
    if args.all or args.baselines:
        raise OptionError(
            "--all and --baselines: not with --thorough, which asks every method and prints the worst"
        )
    documents, denied = [], []
    for family in thorough.families(args.problem):
        for kind, count in counts.items():
            if not count:
                continue
            with output.progress() as bars:
                task = bars.add_task(f"{family}, {kind}", total=count)
                found = thorough.campaign(
                    family,
                    kind,
                    count,
                    folder=args.folder or Path("runs/thorough"),
                    seed=args.seed,
                    jobs=args.jobs or 1,
                    seconds=args.seconds or float("inf"),
                    names=names if kind == "references" else None,
                    time_limit_s=args.time_limit,
                    progress=lambda done, total, task=task, bars=bars: bars.update(task, completed=done),
                )
            documents.append(found)
            denied += found["disagreements"]
            if not output.wants_table(args):
                continue
            title = f"{family}: {found['instances']} of {count} instances, {kind}"
            output.print_table(thorough.table(found), title)
            print(
                "\n".join(f"DENIED: {text}" for text in found["disagreements"]) or "nothing is denied",
                flush=True,
            )
    if args.json:
        output.print_json({"campaigns": documents, "disagreements": denied})
    elif args.csv:
        import pandas as pd

        tables = {(one["family"], one["kind"]): thorough.table(one) for one in documents}
        output.print_csv(pd.concat(tables, names=["problem", "check"]))
    return 1 if denied else 0


def unanswered(table: pd.DataFrame) -> list[str]:
    """Say which solver has no answer on which instances, and why; of many, the first are named."""
    reasons: dict[tuple[str, str], list[str]] = {}
    missing = table[table["objective"].isna()]
    for (instance, solver), reason in zip(missing.index, missing["status"], strict=True):
        reasons.setdefault((solver, reason), []).append(instance)
    return [
        f"{solver}: no answer on {len(names)} ({some(names)}): {reason.removeprefix('NoAnswerError: ')}"
        for (solver, reason), names in reasons.items()
    ]


def some(names: list[str], most: int = 4) -> str:
    """Name a few of many.

    Examples
    --------
    >>> some(["a", "b", "c", "d"]), some(["a", "b", "c", "d", "e", "f"])
    ('a, b, c, d', 'a, b, c, d and 2 more')
    """
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest} more"


def failures(table: pd.DataFrame, gap_tol: float) -> list[str]:
    """Say in a line each what did not hold: of exact methods, and of the generic solvers that the check rests on."""
    found = []
    for solver, group in table[table["kind"] == "method"].groupby(level="solver", sort=False):
        rows = group.droplevel("solver")
        unproven = rows[rows["verdict"] != "OPTIMAL"]
        if len(unproven):
            words = [
                f"{name}: {row['note'] or row['verdict'] or row['status']}"
                for name, row in unproven.iterrows()
            ]
            found.append(
                f"{solver} is not certified optimal on {len(words)} of {len(rows)} ({'; '.join(words)})"
            )
        beaten = rows[rows["objective"].notna() & ~(rows["difference"] <= gap_tol)]
        if len(beaten):
            words = [f"{name}: by {row['difference']:.2g}" for name, row in beaten.iterrows()]
            found.append(f"{solver} is beaten by another solver on {len(words)} ({'; '.join(words)})")
    for solver, group in table[table["kind"] == "reference"].groupby(level="solver", sort=False):
        rows = group.droplevel("solver")
        silent = rows[rows["objective"].isna()]
        broken = silent[silent["status"].str.startswith(BROKEN)]
        if len(silent) == len(rows):
            found.append(
                f"{solver} gave no answer on any of {len(rows)} instances: {silent['status'].iloc[0]}"
            )
        elif len(broken):
            reason = broken["status"].iloc[0]
            found.append(f"{solver} broke down on {len(broken)} ({', '.join(broken.index)}): {reason}")
    return found


def success(table: pd.DataFrame) -> str:
    """Say what a check without failures has shown, and on which instances no generic solver had an answer."""
    names = table.index.unique(level="instance")
    answered = table[(table["kind"] == "reference") & table["objective"].notna()]
    checked = answered.index.unique(level="instance")
    certified = f"every exact method is certified optimal on all {len(names)} instances"
    if not len(checked):
        return f"{certified}; no generic solver was asked"
    rest = [name for name in names if name not in checked]
    where = (
        "everywhere"
        if not rest
        else f"on {len(checked)}; on {len(rest)} none has an answer ({', '.join(rest)})"
    )
    return f"{certified}, and no generic solver does better {where}"
