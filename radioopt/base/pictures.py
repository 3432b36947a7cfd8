"""How all pictures look: sizes for a paper, fonts, fills and lines that can be told apart in grey; what they refuse."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import OptionError, ProblemError, require, suggestion
from radioopt.base.status import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from radioopt.base.solution import Solution

#: devices that a picture with a row for each shows at most
MOST_ROWS = 40
#: letters of a device's name that a picture shows at most
MOST_LETTERS = 24
#: widths of a paper's column and page [inch]
WIDTHS = {"column": 3.5, "page": 7.16}
#: of lines: tones of different lightness, none red beside green; with dashes and markers they are told apart in grey
TONES = ("#1b3a6b", "#d17a1e", "#5aa2d0", "#8c2d62", "#d9b02f", "#6b6b6b", "#a9c9e2")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: of bars: from dark to light, and hatched
FILLS = (("#1b3a6b", ""), ("#d17a1e", "////"), ("#9fc4e4", "\\\\\\\\"), ("#f3e7c4", "xxxx"))
#: TrueType fonts, which publishers take, in place of matplotlib's Type 3
SAVED: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "savefig.dpi": 300}
STYLE: Any = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "figure.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
}


class Look(TypedDict, total=False):
    """What every picture takes.

    Attributes
    ----------
    width : float or {"column", "page"}
        Width of the figure: inches, or 3.5 or 7.16 of them. By default a column for one panel, a page for several.
    ax : matplotlib.axes.Axes, or sequence of them
        Where to draw instead, one for each panel.
    title : bool or str
        By default there is none; True gives the one that says what was found, and a text is one of your own.
    """

    width: float | str | None
    ax: Any
    title: bool | str


@contextmanager
def canvas(
    panels: int,
    look: Mapping[str, Any],
    *,
    title: str = "",
    least: float = 1.6,
    height: float | None = None,
    columns: int | None = None,
    ratios: Sequence[float] | None = None,
    layout: Literal["constrained"] | None = "constrained",
    **shared: Any,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Make a figure with panels, or take axes; what is drawn inside has the style of all pictures.

    Parameters
    ----------
    panels : int
        How many.
    look : mapping
        As :class:`Look`.
    title : str, optional
        What ``title=True`` shows.
    least : float, default 1.6
        Panels stand side by side while each is that wide [inch], and below each other otherwise.
    height : float, optional
        Of a row of panels [inch]; by default three quarters of a panel's width, at most 2.6, or 2.0 below others.
    columns : int, optional
        How many stand side by side, however narrow.
    ratios : sequence of float, optional
        Of the widths of panels that stand in one row.
    layout : {"constrained"}, optional
        None leaves the places of the panels to the caller.
    **shared
        ``sharex`` and ``sharey`` of matplotlib's ``subplots``.

    Yields
    ------
    figure : matplotlib.figure.Figure
        One that saves itself with TrueType fonts and 300 dots per inch; or that of the axes given.
    axes : list of matplotlib.axes.Axes
        One for each panel.

    Raises
    ------
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib is not installed.
    """
    for name in set(look) - Look.__annotations__.keys():
        raise OptionError(f"plot: no option {name}{suggestion(name, Look.__annotations__)}")
    matplotlib = require("matplotlib", "plot")
    figure_class = _figure_class()
    ax, wanted = look.get("ax"), look.get("title", False)
    if not isinstance(wanted, (bool, str)):
        raise OptionError(f"title: expected True, False or a text, got {wanted!r}")
    with matplotlib.rc_context(STYLE):
        if ax is None:
            inches = inches_of(look.get("width"), panels)
            if columns is None:
                columns = max(1, min(panels, int(inches / least)))
            rows = -(-panels // columns)
            columns = -(-panels // rows)
            tallest = 2.6 if rows == 1 else 2.0
            each = min(0.75 * inches / columns, tallest) if height is None else height
            figure: Figure = figure_class(figsize=(inches, each * rows + 0.35), layout=layout)
            grid: Any = {"width_ratios": ratios} if rows == 1 and ratios is not None else {}
            made = figure.subplots(rows, columns, squeeze=False, **grid, **shared).ravel().tolist()
            axes, spare = made[:panels], made[panels:]
            for panel in spare:
                panel.set_visible(False)
            if wanted:
                figure.suptitle(title if wanted is True else wanted)
        else:
            for name, given in (("width", look.get("width")), ("title", wanted or None)):
                if given is not None:
                    raise OptionError(f"{name}: the figure of the axes given has its own: leave it out")
            axes = list(np.ravel(np.asarray(ax, dtype=object)))
            if len(axes) != panels:
                raise OptionError(f"ax: expected {panels} axes, one for each panel, got {len(axes)}")
            figure = axes[0].figure
        yield figure, axes


@functools.cache
def _figure_class() -> type[Figure]:
    """Return a figure that saves itself with TrueType fonts, and 300 dots per inch where nothing else is asked for."""
    matplotlib = require("matplotlib", "plot")

    class PaperFigure(require("matplotlib.figure", "plot").Figure):  # type: ignore[misc]
        def savefig(self, fname: Any, **options: Any) -> None:
            with matplotlib.rc_context(SAVED):
                super().savefig(fname, **options)

    return PaperFigure


def inches_of(width: float | str | None, panels: int) -> float:
    """Return the width of a figure in inches: as given, or a column for one panel and a page for several."""
    if width is None:
        width = "column" if panels == 1 else "page"
    if isinstance(width, str):
        if width not in WIDTHS:
            raise OptionError(f"width: expected inches, column or page, got {width!r}")
        return WIDTHS[width]
    if not (isinstance(width, (int, float)) and 1.0 <= width <= 100.0):
        raise OptionError(f"width: expected 1 to 100 inches, column or page, got {width!r}")
    return float(width)


def fill(i: int) -> dict[str, Any]:
    """Return what makes the bars of the i-th of several quantities differ from the others, in grey too."""
    colour, hatch = FILLS[i % len(FILLS)]
    return {"facecolor": colour, "hatch": hatch, "edgecolor": "black" if i else colour, "linewidth": 0.3}


def line(i: int, *, marker: bool = True) -> dict[str, Any]:
    """Return what makes the line of the i-th of several differ from the others, in grey too."""
    turn = i // len(TONES)
    made = {"color": TONES[i % len(TONES)], "linestyle": LINES[(i + turn) % len(LINES)]}
    return made | ({"marker": MARKERS[(i + turn) % len(MARKERS)]} if marker else {})


def shades(count: int) -> list[Any]:
    """Return colours from dark to light for values that have an order."""
    colours = require("matplotlib", "plot").colormaps["cividis"]
    return [colours(0.0 if count == 1 else 0.78 * i / (count - 1)) for i in range(count)]


def key(axes: Axes, **options: Any) -> None:
    """Write the legend of a panel above it, in as many columns as there is room for."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        at: Any = {
            "loc": "lower center",
            "bbox_to_anchor": (0.5, 1.0),
            "borderaxespad": 0.2,
            "handlelength": 1.4,
        }
        room = axes.bbox.width / axes.figure.dpi
        axes.legend(handles, labels, ncols=_columns(labels, room), **at | options)


def key_of_all(figure: Figure, axes: Sequence[Axes], look: Mapping[str, Any], **options: Any) -> None:
    """Write one legend for several panels: above the figure, or in the first of the axes given."""
    known: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if look.get("ax") is not None:
        axes[0].legend(list(known.values()), list(known), **options)
    elif known:
        columns = _columns(list(known), figure.get_figwidth())
        place: dict[str, Any] = {"loc": "outside upper center", "ncols": columns}
        figure.legend(list(known.values()), list(known), **place | options)


def _columns(labels: Sequence[str], room: float) -> int:
    """Return how many columns of a legend fit: a letter of 7 points takes about a twentieth of an inch."""
    widest = 0.45 + 0.05 * max(map(len, labels))
    most = max(1, min(len(labels), int(room / widest)))
    return -(-len(labels) // -(-len(labels) // most))  # no row much shorter than the others


def rows_of(axes: Sequence[Axes], names: Sequence[str], what: str) -> None:
    """Give panels a row for each device, the first on top, with their names where the panels begin."""
    first = min(panel.get_position().x0 for panel in axes)
    for panel in axes:
        panel.set_yticks(range(len(names)), labels=names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        begins = panel.get_position().x0 <= first + 1e-9
        panel.tick_params(axis="y", length=0, labelleft=begins)
        if begins:
            panel.set_ylabel(what)


def drawn(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of a kind: "png", "pdf" or "svg"."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    return buffer.getvalue()


def band(axes: Axes, x: Any, low: Any, high: Any, colour: Any) -> None:
    """Shade what lies between two lines."""
    axes.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0)


def logarithmic(axis: Any) -> None:
    """Make an axis logarithmic, with plain numbers at few enough places where they are short."""
    ticker = require("matplotlib.ticker", "plot")
    of = axis.axes
    (of.set_xscale if axis.axis_name == "x" else of.set_yscale)("log")
    axis.set_minor_formatter(ticker.NullFormatter())
    low, high = sorted(axis.get_view_interval())
    if low > 0 and math.log10(high / low) < 1.2:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    if low >= 1e-3 and high <= 2e4:
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def no_path(path: tuple[Any, ...]) -> None:
    """Refuse what is given to ``plot`` by position: a path, which it does not take."""
    if path:
        given = ", ".join(map(repr, path))
        raise OptionError(f"plot: takes no path; draw and save: solution.plot().savefig({given})")


def single(solution: Solution, what: str = "plot") -> None:
    """Refuse a batch."""
    if solution.batch_shape:
        raise ProblemError(
            f"{what}: expected a single instance, got a batch {solution.batch_shape}: use solution[i]"
        )


def drawable(solution: Solution) -> None:
    """Refuse a batch, and a solution without a point; say why there is none."""
    single(solution)
    if not solution.status.usable:
        infeasible = solution.status is Status.INFEASIBLE
        reason = solution.why_infeasible() if infeasible else solution.status.message
        raise ProblemError(f"plot: {solution.status.name}: {reason}")


def shown_rows(count: int) -> NDArray[np.int64]:
    """Choose the devices that have a row: all, or :data:`MOST_ROWS` evenly over their numbers."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(np.int64))


def drawn_name(name: object) -> str:
    r"""Return a name as a picture shows it: cut where it is long, and never read as a formula.

    Examples
    --------
    >>> print(drawn_name("a device at the end of a long street"), drawn_name("$x$"))
    a device at the end of … \$x\$
    """
    text = str(name)
    cut = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
    return cut.replace("$", r"\$")
