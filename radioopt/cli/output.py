"""Tables for people, JSON and CSV for programs; progress on standard error so that output can be piped."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table


#: cells longer than this are prose, and may be wrapped
PROSE = 24


def add_format_arguments(parser: argparse.ArgumentParser, *, latex: bool = False) -> None:
    """Offer ``--json`` and ``--csv`` beside the table, and ``--latex`` where there is a table for a paper."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true", help="print JSON (full precision, nan as null)")
    group.add_argument("--csv", action="store_true", help="print CSV (full precision)")
    if latex:
        group.add_argument("--latex", action="store_true", help="print a table for LaTeX, with booktabs")


def check_file(flag: str, path: str | None, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that could not be written, before anything is computed."""
    from radioopt.base.errors import OptionError

    if path is None:
        return
    file = Path(path).expanduser()
    if file.is_dir():
        raise OptionError(f"{flag}: {path} is a folder: give the name of a file")
    if file.suffix not in suffixes:
        raise OptionError(f"{flag}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    check_folder(flag, str(file.parent))


def check_folder(flag: str, path: str) -> None:
    """Refuse a folder in which nothing could be created, before anything is computed."""
    from radioopt.base.errors import OptionError

    existing = next(place for place in (Path(path), *Path(path).absolute().parents) if place.exists())
    if not existing.is_dir():
        raise OptionError(f"{flag}: {existing} is a file: choose a folder")
    if not os.access(existing, os.W_OK):
        raise OptionError(f"{flag}: folder {existing} cannot be written to: choose another")


def wants_table(args: argparse.Namespace) -> bool:
    """Whether the output is for a person."""
    return not (args.json or args.csv or getattr(args, "latex", False))


def console(*, stderr: bool = False) -> Console:
    """Return a rich console; at least 110 columns wide where there is no terminal."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal and made.width < 110:
        made = Console(stderr=stderr, highlight=False, width=110)
    return made


def print_json(document: Mapping[str, Any]) -> None:
    """Print strict JSON: what is not finite becomes null."""
    print(json.dumps(_plain(document), indent=1, allow_nan=False))


def print_csv(frame: pd.DataFrame, *, index: bool = True) -> None:
    """Print CSV whose floats read back exactly."""
    frame.to_csv(sys.stdout, index=index)


def print_table(frame: pd.DataFrame, title: str = "", *, index: bool = True) -> None:
    """Print a DataFrame as a table with five significant digits, three of what is small, and the units in the headings.

    Prose is wrapped, and headings where the window is narrow; columns that do not fit then stand in tables below, each
    with the index.
    """
    target = console()
    names = [str(name or "") for name in frame.index.names] if index else []
    labels = [label if isinstance(label, tuple) else (label,) for label in frame.index]
    stubs = [
        _Column(name, [str(label[i]) for label in labels], "left", "dim") for i, name in enumerate(names)
    ]
    columns = [_column(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
    narrow = 1 + sum(3 + column.widest for column in (*stubs, *columns)) > target.width
    begun = 1 + sum(3 + column.width(narrow) for column in stubs)
    parts: list[list[_Column]] = [[]]
    room = begun
    for column in columns:
        room += 3 + column.width(narrow)
        if parts[-1] and room > target.width:
            parts.append([])
            room = begun + 3 + column.width(narrow)
        parts[-1].append(column)
    for i, part in enumerate(parts):
        target.print(_table((*stubs, *part), title if i == 0 else "", narrow, target.width))


@dataclass(frozen=True)
class _Column:
    """A column as text."""

    heading: str
    cells: list[str]
    justify: Literal["left", "right"]
    style: str = ""

    @property
    def widest(self) -> int:
        """Letters that it takes where only prose is wrapped."""
        return self.width(narrow=False)

    def width(self, narrow: bool) -> int:
        """Letters that it takes at least, where headings are wrapped too if the window is narrow."""
        words = max((len(word) for text in self.cells for word in text.split()), default=0)
        body = min(max(map(len, self.cells), default=0), max(words, PROSE))
        word = max(map(len, self.heading.split()), default=0)
        return max(body, word if narrow else min(len(self.heading), max(word, PROSE)), 1)


def _column(name: str, values: pd.Series[Any]) -> _Column:
    """Write a column; numbers of a quantity get the prefix of its unit that suits the largest, as 20 MHz."""
    from radioopt.base.latex import words_and_unit
    from radioopt.base.prefixes import prefixed

    kind = values.dtype.kind
    words, unit = words_and_unit(name) if "_" in name else (name, "")
    if not unit or kind not in "fiu":
        return _Column(name.replace("_", " "), [cell(value) for value in values.tolist()], _side(kind))
    known = values[values.abs() < math.inf].abs()
    factor, unit = prefixed(unit, float(known.max()) if len(known) else math.nan)
    return _Column(f"{words} [{unit}]", [cell(float(value) * factor) for value in values.tolist()], "right")


def _side(kind: str) -> Literal["left", "right"]:
    return "right" if kind in "fiu" else "left"


def _widths(columns: Sequence[_Column], narrow: bool, width: int) -> list[int]:
    """Give every column what it takes at least, and what room is left letter by letter to the one that lacks most."""
    found = [min(column.width(narrow), width - 4) for column in columns]
    longest = [max(map(len, (column.heading, *column.cells))) for column in columns]
    for _ in range(width - 1 - sum(3 + letters for letters in found)):
        lacks = [most - letters for most, letters in zip(longest, found, strict=True)]
        if max(lacks) <= 0:
            break
        found[lacks.index(max(lacks))] += 1
    return found


def _table(columns: Sequence[_Column], title: str, narrow: bool, width: int) -> Table:
    """Make a table; a column that is wider than the window alone is wrapped wherever it has to be."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold")
    for column, letters in zip(columns, _widths(columns, narrow, width), strict=True):
        table.add_column(
            escape(column.heading),
            justify=column.justify,
            style=column.style or None,
            overflow="fold",
            width=letters,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(escape, row))
    return table


def cell(value: Any) -> str:
    """Format one value for a table: a number of up to seven digits as it is spoken, 107830 rather than 1.0783e+05."""
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        if 1e5 <= abs(value) < 1e7:
            return f"{value:.0f}"
        return f"{value:.3g}" if abs(value) < 1e-3 else f"{value:.5g}"
    return str(value)


def records(frame: pd.DataFrame, *, index: bool = True) -> list[dict[str, Any]]:
    """Rows of a DataFrame as dictionaries, the index among the columns."""
    rows = (frame.reset_index() if index else frame).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars on standard error; silent where that is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    target = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=target,
        transient=True,
        disable=not target.is_terminal,
    ) as bars:
        yield bars


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
