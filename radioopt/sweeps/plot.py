"""The picture of a sweep: means with bands, a panel for each problem, for a column or a page of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from radioopt.base.errors import OptionError, require
from radioopt.base.prefixes import prefixed
from radioopt.sweeps.grid import Axis, axis_unit, value_text, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from radioopt.sweeps.result import Sweep

#: widths of a paper's column and page [inch]
WIDTHS = {"column": 3.5, "page": 7.16}
#: what tells lines apart beside their lightness
STYLES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P")
#: bands: the columns of the summary at their ends, and words for them
BANDS = {
    "quantiles": ("q05", "q95", "nine in ten draws"),
    "interval": ("low", "high", "95 % interval of the mean"),
}
FONTS = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
}


def plot_sweep(
    sweep: Sweep,
    quantity: str = "objective",
    *,
    x: str | None = None,
    by: str | None = None,
    band: Literal["quantiles", "interval"] = "quantiles",
    width: float | str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Draw the mean of a quantity with a band over an axis of a sweep, a panel for each problem that has it.

    Parameters
    ----------
    sweep : Sweep
        With at most two axes of several values.
    quantity : str, default "objective"
        A column of the tidy table.
    x, by : str, optional
        Axes along and of the lines, as of :meth:`Sweep.roles`.
    band : {"quantiles", "interval"}, default "quantiles"
        Nine in ten of the draws, or the 95 % interval of the mean.
    width : float or {"column", "page"}, optional
        Width of the figure: inches, 3.5 or 7.16 of them; by default a column for one panel and a page for several, side
        by side. In a column several panels stand one above the other.
    ax : matplotlib.axes.Axes, or sequence of them, optional
        Where to draw instead, one for each panel.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown. Lines differ in lightness, dashes and markers, so that they are told apart in grey. A hollow marker
        says that some draws there have no answer; the mean is that of the others. Where none has one, the line breaks.

    Raises
    ------
    OptionError
        If an option is out of its range, and as :meth:`Sweep.summary` and :meth:`Sweep.roles`.
    MissingExtraError
        If matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "plot")
    figure_module = require("matplotlib.figure", "plot")
    if band not in BANDS:
        raise OptionError(f"band: expected one of {', '.join(BANDS)}, got {band!r}")
    panels, (along, apart) = sweep.having(quantity), sweep.roles(x, by)
    table = sweep.summary(quantity)
    with matplotlib.rc_context(FONTS):
        if ax is None:
            inches = _inches(width, len(panels))
            beside = inches > WIDTHS["column"]
            rows, columns = (1, len(panels)) if beside else (len(panels), 1)
            height = min(0.75 * inches / columns, 2.6) * rows + 0.35
            figure: Figure = figure_module.Figure(figsize=(inches, height), layout="constrained")
            axes = figure.subplots(rows, columns, squeeze=False, sharex=not beside).ravel().tolist()
        else:
            if width is not None:
                raise OptionError("width: the axes given have theirs: leave it out")
            axes = list(np.ravel(np.asarray(ax, dtype=object)))
            if len(axes) != len(panels):
                raise OptionError(f"ax: expected one for each of {', '.join(panels)}, got {len(axes)}")
            figure = axes[0].figure
        lowest = axes if ax is not None or beside else axes[-1:]
        for panel, problem in zip(axes, panels, strict=True):
            _panel(panel, sweep, quantity, problem, along, apart, table, band)
            if len(panels) > 1:
                panel.set_title(problem)
            if panel in lowest:
                panel.set_xlabel(with_unit(along.name, axis_unit(along)[1]))
        known: dict[str, Any] = {}
        for panel in axes:
            handles, labels = panel.get_legend_handles_labels()
            known |= dict(zip(labels, handles, strict=True))
        if ax is None:
            columns = min(len(known), 2 if inches < 5 else 5)
            place: dict[str, Any] = {"loc": "outside upper center", "ncols": columns, "frameon": False}
            figure.legend(list(known.values()), list(known), **place)
        else:
            axes[0].legend(list(known.values()), list(known), frameon=False)
    return figure


def _inches(width: float | str | None, panels: int) -> float:
    if width is None:
        width = "column" if panels == 1 else "page"
    if isinstance(width, str):
        if width not in WIDTHS:
            raise OptionError(f"width: expected inches, column or page, got {width!r}")
        return WIDTHS[width]
    if not (isinstance(width, (int, float)) and 1.0 <= width <= 100.0):
        raise OptionError(f"width: expected 1 to 100 inches, column or page, got {width!r}")
    return float(width)


def _panel(
    panel: Axes,
    sweep: Sweep,
    quantity: str,
    problem: str,
    along: Axis,
    apart: Axis | None,
    table: Any,
    band: str,
) -> None:
    """Draw one problem."""
    colormaps = require("matplotlib", "plot").colormaps
    low, high, words = BANDS[band]
    own = table.loc[[problem]]
    ends = own[["mean", low, high]].abs().to_numpy(float)
    scale, unit = prefixed(
        sweep.unit(quantity, problem), float(np.nanmax(ends)) if np.isfinite(ends).any() else np.nan
    )
    factor, _ = axis_unit(along)
    places = np.array(along.values, float) * factor if along.numeric else np.arange(len(along.values))
    lines, holes = 1 if apart is None else len(apart.values), False
    for i in range(lines):
        rows = own.loc[[sweep.place(problem, along, at, apart, i) for at in range(len(places))]]
        mean = rows["mean"].to_numpy(float) * scale
        colour = colormaps["cividis"](0.0 if lines == 1 else 0.75 * i / (lines - 1))
        label = "mean" if apart is None else value_text(apart, i)
        style = {"color": colour, "linestyle": STYLES[i % len(STYLES)], "marker": MARKERS[i % len(MARKERS)]}
        ends_here = (rows[low].to_numpy(float) * scale, rows[high].to_numpy(float) * scale)
        panel.fill_between(places, *ends_here, color=colour, alpha=0.25, linewidth=0)
        panel.plot(places, mean, markersize=3.0, linewidth=1.1, label=label, **style)
        some = ((rows["infeasible"] + rows["unanswered"]) > 0).to_numpy() & np.isfinite(mean)
        if some.any():
            hollow = {"markerfacecolor": "white", "markeredgecolor": colour, "markersize": 3.4}
            panel.plot(places[some], mean[some], linestyle="", marker=style["marker"], **hollow)
            holes = True
    panel.fill_between([], [], [], color="0.45", alpha=0.3, linewidth=0, label=words)
    if holes:
        panel.plot(
            [],
            [],
            "o",
            color="0.2",
            markerfacecolor="white",
            markersize=3.4,
            label="some draws have no answer",
        )
    if not along.numeric:
        panel.set_xticks(places, [str(value) for value in along.shown])
    elif _by_ratios(along):
        panel.set_xscale("log")
    panel.set_ylabel(with_unit(sweep.name_of(quantity, problem), unit))
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", linewidth=0.4, color="0.88")
    panel.set_axisbelow(True)


def _by_ratios(axis: Axis) -> bool:
    """Tell whether the values of an axis grow by equal ratios rather than by equal steps."""
    values = np.array(axis.values, float)
    if len(values) < 3 or (values <= 0).any():
        return False
    return bool(np.ptp(np.diff(np.log(values))) < 1e-6 < np.ptp(np.diff(values)) / np.ptp(values))
