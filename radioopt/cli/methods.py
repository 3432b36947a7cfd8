"""List the problems, the methods that solve them and the generic solvers that check them."""

from __future__ import annotations

import argparse

from radioopt.cli import output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("problem", nargs="*", help="problem family, such as fimi (default: all)")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import pandas as pd

    from radioopt.base.problem import problem_class
    from radioopt.base.rooms import families

    rows = []
    for family in args.problem or families():
        problem = problem_class(family)
        for position, method in enumerate(problem.methods.values()):
            rows.append(
                {
                    "problem": family,
                    "method": method.name
                    + (" (default)" if position == 0 and output.wants_table(args) else ""),
                    "exact": "yes" if method.exact else "no",
                    "options": ", ".join(method.options),
                    "summary": method.summary,
                }
            )
    frame = pd.DataFrame(rows)
    if args.json:
        output.print_json({"methods": output.records(frame, index=False)})
    elif args.csv:
        output.print_csv(frame, index=False)
    else:
        output.print_table(frame, "problems and methods", index=False)
    return 0
