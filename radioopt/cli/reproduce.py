"""Measure what one of the five papers prints, and say of each printed value what became of it.

Every figure, table value and numeric claim gets one of four verdicts: reproduced; differs, and why; not computable
from what is printed; needs data or compute, with the command. What was measured before is not measured again: runs and
results are kept in --folder. With --stored nothing is run, and the results that come with radioopt are judged.
"""

from __future__ import annotations

import argparse
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

#: a link of Markdown to a page of docs
LINK = re.compile(r"\[([^\]]+)\]\((\w+\.md)[^)]*\)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paper", metavar="PAPER", help="feel, fimi, dtkd, d2d or mix2fld")
    parser.add_argument(
        "--stored", action="store_true", help="run nothing: show the verdicts that come with radioopt"
    )
    parser.add_argument("--only", metavar="A,B", help="some studies of the paper (default: all)")
    parser.add_argument("--data", default="digits", metavar="NAME", help="data to train on (default: digits)")
    parser.add_argument(
        "--files", default="", metavar="FOLDER", help="folder of the data's files, if it needs one"
    )
    parser.add_argument(
        "--full", action="store_true", help="the paper's networks, steps and samples: for days"
    )
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="runs of everything (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where runs are kept (default: runs)",
    )
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import pandas as pd

    from radioopt.base.errors import OptionError, require
    from radioopt.base.files import write_whole

    for flag in ("seeds", "jobs"):
        if getattr(args, flag) < 1:
            raise OptionError(f"--{flag}: expected at least 1, got {getattr(args, flag)}")
    require("learning", "learning")
    registry = require("validation.reproduce.registry", "validation")
    pages = require("validation.reproduce.pages", "validation")
    chosen = registry.choose(args.paper, None if args.only is None else args.only.split(","))
    folders, folder = [registry.STORED], registry.STORED
    if not args.stored:
        setup = registry.Setup(args.folder, args.seeds, args.jobs, args.full, args.data, args.files)
        for study in chosen:
            if output.wants_table(args):
                print(
                    f"{args.paper}, {study.name}: {study.summary} (about {study.minutes:g} minutes)",
                    flush=True,
                )
            registry.run(args.paper, study, setup)
        folder = args.folder / "results"
        folders.append(folder)
    results = registry.load(args.paper, *folders)
    entries = registry.entries(args.paper, results)
    columns = ["where", "what", "printed", "ours", "verdict", "why"]
    table = pd.DataFrame([{name: str(getattr(entry, name)) for name in columns} for entry in entries])
    if args.json:
        output.print_json({"entries": output.records(table, index=False)})
    elif args.csv:
        output.print_csv(table.set_index("where"))
    else:
        show(entries)
        print(", ".join(f"{count} {verdict}" for verdict, count in pages.counts(entries).items()))
    if not args.stored:
        path = write_whole(args.folder / f"{args.paper}.md", pages.page(args.paper, results, folder).encode())
        if output.wants_table(args):
            print(f"written: {path}")
    return 0


def show(entries: Sequence[Any]) -> None:
    """Print a table for each figure, table and section of the paper, and the reasons as numbered notes below."""
    import pandas as pd

    notes: dict[str, int] = {}
    for where, group in groupby(entries, key=lambda entry: entry.where):
        rows = [
            {
                "what": plain(entry.what),
                "printed": plain(entry.printed),
                "ours": plain(entry.ours),
                "verdict": f"{entry.verdict} ({notes.setdefault(entry.why, len(notes) + 1)})"
                if entry.why
                else str(entry.verdict),
            }
            for entry in group
        ]
        output.print_table(pd.DataFrame(rows).set_index("what"), where)
    for why, number in notes.items():
        print(f"({number}) {plain(why)}")


def plain(text: str) -> str:
    """Write a text of Markdown for a terminal: a link becomes its words and the page under docs.

    Examples
    --------
    >>> plain("Valid bounds: [Corrections](feel.md#corrections-to-the-paper), 5.")
    'Valid bounds: Corrections (docs/feel.md), 5.'
    """
    return LINK.sub(r"\1 (docs/\2)", text)
