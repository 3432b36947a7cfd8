"""A page: chapters of sections with text, tables and pictures, written as one HTML file that loads nothing else."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from radioopt.base.errors import OptionError, require
from radioopt.base.files import write_whole
from radioopt.base.latex import words_and_unit
from radioopt.base.prefixes import prefixed

if TYPE_CHECKING:
    import pandas as pd

#: rows that a table shows at most
MOST_ROWS = 300
#: what a number without a value is written as
NOTHING = "–"


#: how to take a verdict
Mark = Literal["good", "open", "bad"]


@dataclass(frozen=True)
class Fact:
    """A number that stands out.

    Parameters
    ----------
    label, value : str
        What it is, and the number with its unit.
    note : str, default ""
        What to know beside it.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Parameters
    ----------
    text : str
        Plain text.
    strong : bool, default False
        Whether it must not be overlooked.
    """

    text: str
    strong: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Picture:
    """A figure.

    Parameters
    ----------
    markup : str
        What draws it, as :func:`radioopt.reports.pictures.picture` makes it: taken as it is.
    caption : str
        What it shows.
    width : int
        Pixels that it is wide, if there is room.
    paper : bool, default False
        Whether it stays black on white on a dark page.
    narrow : str, default ""
        What draws it on a narrow page, where it is shown in the place of `markup`.
    """

    markup: str
    caption: str
    width: int
    paper: bool = False
    narrow: str = ""
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Pictures:
    """Small pictures beside each other where there is room.

    Parameters
    ----------
    pictures : sequence of Picture
        In their order.
    """

    pictures: Sequence[Picture]
    kind: ClassVar[str] = "pictures"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Parameters
    ----------
    text : str
        As it is shown.
    key : str
        What rows are sorted by: the number in full, or the text.
    """

    text: str
    key: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    head : str
        Its heading.
    about : str, default ""
        What the heading means.
    numeric : bool, default False
        Whether it is sorted by number.
    prose : bool, default False
        Whether its text may be broken into lines.
    """

    head: str
    about: str = ""
    numeric: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Table:
    """A table that is sorted by a click on a heading.

    Parameters
    ----------
    columns : sequence of Column
        Its columns.
    rows : sequence of sequence of Cell
        Its rows.
    caption, note : str, default ""
        Above it and below it.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    note: str = ""
    kind: ClassVar[str] = "table"


Part = Text | Picture | Pictures | Table


@dataclass(frozen=True)
class Section:
    """A heading and what belongs under it.

    Parameters
    ----------
    title : str
        The heading.
    parts : sequence of Part
        In their order.
    """

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Chapter:
    """What is told of one allocation, of some runs, or of a sweep.

    Parameters
    ----------
    title : str
        What it is about.
    lead : str
        The result, in a sentence or two.
    verdict : str, default ""
        What was proven, in a word or two.
    mark : {"good", "open", "bad"}, default "open"
        How to take the verdict.
    facts : sequence of Fact, optional
        Numbers that stand out.
    first : sequence of Part, optional
        What stands above the sections.
    sections : sequence of Section, optional
        The rest.
    """

    title: str
    lead: str
    verdict: str = ""
    mark: Mark = "open"
    facts: Sequence[Fact] = ()
    first: Sequence[Part] = ()
    sections: Sequence[Section] = ()


@dataclass(frozen=True)
class Unit:
    """How a column is headed.

    Parameters
    ----------
    unit : str, default "1"
        SI unit of its numbers; a prefix is chosen for them.
    about : str, default ""
        What they are.
    """

    unit: str = "1"
    about: str = ""


def worded(name: str, unit: str = "") -> str:
    """Return a name in words, without the unit at its end.

    Examples
    --------
    >>> worded("uplink_slot_s", "s"), worded("min_classes", "1")
    ('uplink slot', 'min classes')
    """
    words, own = words_and_unit(name)
    said = own and unit.endswith(own) and len(unit) <= len(own) + 1  # with a prefix
    return words if said else name.replace("_", " ")


def headed(name: str, unit: str = "") -> str:
    """Return a heading: a name in words, and its unit.

    Examples
    --------
    >>> headed("uplink_slot_s", "ms"), headed("batchsize", "samples"), headed("gap")
    ('uplink slot [ms]', 'batchsize [samples]', 'gap')
    """
    return f"{worded(name, unit)} [{unit}]" if unit not in ("", "1") else worded(name)


def amount(value: float, unit: str = "1", digits: int = 4) -> str:
    """Write a number with its unit, which gets a prefix.

    Examples
    --------
    >>> amount(2e7, "Hz"), amount(0.27387166, "1/s"), amount(float("inf"))
    ('20 MHz', '0.2739 1/s', '∞')
    """
    factor, shown = prefixed(unit, abs(float(value)))
    return f"{number(float(value) * factor, digits)} {shown}".rstrip()


def number(value: Any, digits: int = 5) -> str:
    """Write a number: some digits, a dash where there is none.

    Examples
    --------
    >>> number(1234567), number(-0.000012345678), number(float("nan")), number(True)
    ('1234567', '−1.235·10⁻⁵', '–', 'yes')
    """
    if value is None:
        return NOTHING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    value = float(value)
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and abs(value) < 1e-3:
        digits = min(digits, 4)
    if value.is_integer() and abs(value) < 1e7:
        return str(int(value)).replace("-", "−")
    mantissa, _, power = f"{value:.{digits}g}".replace("-", "−").partition("e")
    return mantissa + (f"·10{_raised(power)}" if power else "")


def _raised(power: str) -> str:
    """Write a power of ten above the line."""
    sign = "⁻" if power.startswith("−") else ""
    return sign + power.lstrip("+−0").translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def written(value: Any) -> str:
    """Write a setting: text as it is, anything else as JSON, cut where it is long.

    Examples
    --------
    >>> written("iid"), written({"uniform": [20.0, 23.0]}), written(False), written(None)
    ('iid', '{"uniform": [20.0, 23.0]}', 'false', '–')
    """
    if value is None or value in ("", [], {}):
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:297]}..."


def tabulated(
    frame: pd.DataFrame,
    units: Mapping[str, Unit] | None = None,
    *,
    index: bool = True,
    caption: str = "",
    note: str = "",
    most: int = MOST_ROWS,
    rest: str = "",
    evenly: bool = False,
) -> Table:
    """Turn a DataFrame into a table.

    Parameters
    ----------
    frame : pandas.DataFrame
        Numbers, truth values and text.
    units : mapping of str to Unit, optional
        Of columns by name.
    index : bool, default True
        Whether the index is shown as well.
    caption, note : str, default ""
        Above and below.
    most : int, default 300
        Rows shown at most.
    rest : str, default ""
        Where to find all rows, in words.
    evenly : bool, default False
        Whether rows are left out evenly, rather than at the end.

    Returns
    -------
    Table
        With a note where rows are left out.
    """
    units, total = units or {}, len(frame)
    if total > most:
        kept = np.unique(np.linspace(0, total - 1, most).round().astype(int)) if evenly else np.arange(most)
        frame = frame.iloc[kept]
        which = f"{len(kept)} of {total} rows, evenly" if evenly else f"the first {most} of {total} rows"
        note = " ".join(filter(None, [f"Shown: {which}{f'; {rest}' if rest else ''}.", note]))
    columns: list[Column] = []
    cells: list[list[Cell]] = []
    if index:
        for level, name in enumerate(frame.index.names):
            values = frame.index.get_level_values(level)
            columns.append(Column(headed(str(name or "")), numeric=values.dtype.kind in "iuf"))
            cells.append([_cell(value) for value in values.tolist()])
    for name in frame.columns:
        own, told = frame[name], units.get(name, Unit())
        column, made = _column(str(name), own.tolist(), own.dtype.kind, told)
        columns.append(column)
        cells.append(made)
    return Table(columns, list(zip(*cells, strict=True)), caption, note)


def _column(name: str, values: list[Any], kind: str, told: Unit) -> tuple[Column, list[Cell]]:
    """Head a column and write its cells, numbers in a unit that fits the largest."""
    if kind != "f":
        made = [_cell(value) for value in values]
        numeric = kind in "iu"
        prose = not numeric and any(len(cell.text) > 28 for cell in made)
        return Column(headed(name, told.unit), told.about, numeric, prose), made
    sizes = [abs(value) for value in values if math.isfinite(value)]
    factor, unit = prefixed(told.unit, max(sizes, default=0.0))
    made = [Cell(number(value * factor), _key(value)) for value in values]
    return Column(headed(name, unit or "1"), told.about, True), made


def _cell(value: Any) -> Cell:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell(NOTHING, "")
    if isinstance(value, (bool, np.bool_, int, float, np.number)):
        return Cell(number(value), _key(value))
    return Cell(str(value), str(value))


def _key(value: Any) -> str:
    value = float(value)
    return "" if math.isnan(value) else repr(value)


def render(title: str, chapters: Sequence[Chapter], foot: str) -> str:
    """Write chapters as a page.

    Parameters
    ----------
    title : str
        Of the page.
    chapters : sequence of Chapter
        At least one.
    foot : str
        The last line.

    Returns
    -------
    str
        HTML, the same for the same chapters.

    Raises
    ------
    MissingExtraError
        If Jinja is not installed.
    """
    jinja2 = require("jinja2", "plot")
    home = resources.files(__package__)
    files = {name: (home / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    room = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    room.globals["taken"] = jinja2.utils.markupsafe.Markup
    page: str = room.from_string(files["html"]).render(
        title=title, chapters=chapters, foot=foot, style=files["css"], script=files["js"]
    )
    return page


def write(path: str | os.PathLike[str], title: str, chapters: Sequence[Chapter], foot: str) -> Path:
    """Write chapters as a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ".html"; folders that are missing are made.
    title, chapters, foot
        As of :func:`render`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    OptionError
        If the path has another end.
    OSError
        If it cannot be written.
    """
    return write_whole(page_path(path), render(title, chapters, foot).encode())


def page_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page, or refuse one with another end."""
    found = Path(path).expanduser()
    if found.suffix not in (".html", ".htm"):
        raise OptionError(f"report: expected a name that ends in .html, got {os.fspath(path)!r}")
    return found
