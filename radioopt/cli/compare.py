"""Compare saved runs: accuracy, and what it took to reach it in rounds, simulated seconds and joules.

radioopt compare runs/a runs/b
radioopt compare runs/a runs/b --target 0.8,0.9 --save comparison.png

Folders are what radioopt train saves, single runs and comparisons. Runs that differ in their seed only are averaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from radioopt.cli import output

PICTURES = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, such as runs/a")
    parser.add_argument(
        "--target",
        metavar="A,B",
        help="accuracies to reach (default: those of the runs, or what all and what any of them reach)",
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="draw accuracy over seconds and joules: .pdf, .svg, or .png, which has a .pdf beside it",
    )
    output.add_format_arguments(parser, latex=True)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import require

    learning = require("learning", "learning")
    output.check_file("--save", args.save, PICTURES)
    targets = None if args.target is None else numbers("--target", args.target)
    found = learning.compare_runs(args.runs)
    table, settings = found.table(targets), found.settings()
    if args.save:
        figure, file = found.plot(targets), Path(args.save).expanduser()
        drawn = [file, file.with_suffix(".pdf")] if file.suffix == ".png" else [file]
        for name in drawn:
            figure.savefig(name)
    if args.latex:
        print(found.to_latex(targets), end="")
    elif args.csv:
        output.print_csv(table)
    elif args.json:
        document = {
            "runs": output.records(table),
            "settings": output.records(settings),
            "notes": found.notes(),
        }
        output.print_json(document)
    else:
        show(table, settings, found.notes())
        if args.save:
            print(f"drawn in {', '.join(map(str, drawn))}")
    return 0


def show(table: Any, settings: Any, notes: list[str]) -> None:
    """Print the numbers, the settings that differ, and what to know beside them."""
    if (table["runs"] == 1).all():
        table = table.drop(columns=[name for name in table if name == "runs" or name.startswith("reached_")])
    per_target = [name for name in table if "_to_" in name or name.startswith("reached_")]
    output.print_table(table.drop(columns=per_target))
    targets = list(dict.fromkeys(name.rpartition("_")[2] for name in per_target))
    for target in targets:
        own = {
            name: name.removesuffix(f"_{target}").removesuffix("_to")
            for name in table
            if name.endswith(f"_{target}")
        }
        output.print_table(table[list(own)].rename(columns=own), title=f"to accuracy {target}")
    if settings.empty:
        print("the settings are the same")
    else:
        output.print_table(settings, title="settings that differ")
    for note in notes:
        print(note)


def numbers(flag: str, text: str) -> list[float]:
    """Read numbers with commas between."""
    from radioopt.base.errors import OptionError

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0.0 < number <= 1.0 for number in found) or len(set(found)) < len(found):
        raise OptionError(
            f"{flag}: expected accuracies in (0, 1] with commas between, such as 0.8,0.9; got {text}"
        )
    return sorted(found)
