"""The picture of a sweep: means with bands, a panel for each problem, for a column or a page of a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from radioopt.base import pictures
from radioopt.base.errors import OptionError
from radioopt.base.pictures import LINES, MARKERS, Look, canvas, key_of_all, shades
from radioopt.base.prefixes import prefixed
from radioopt.sweeps.grid import Axis, axis_texts, axis_unit, value_text, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from radioopt.sweeps.result import Sweep

#: values along a logarithmic axis that are all written there
MOST_TICKS = 5
#: bands: the columns of the summary at their ends, and words for them
BANDS = {
    "quantiles": ("q05", "q95", "nine in ten draws"),
    "interval": ("low", "high", "95 % interval of the mean"),
}


def plot_sweep(
    sweep: Sweep,
    quantity: str = "objective",
    *,
    x: str | None = None,
    by: str | None = None,
    band: Literal["quantiles", "interval"] = "quantiles",
    **look: Unpack[Look],
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
    **look
        As of :class:`radioopt.base.pictures.Look`; a panel for each problem, side by side where there is room.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown. Lines differ in lightness, dashes and markers, so that they are told apart in grey. A hollow marker
        says that some draws there have no answer; the mean is that of the others. Where none has one, the line breaks.
        Where draws do not differ there is a line without a band.

    Raises
    ------
    OptionError
        If an option is out of its range, and as :meth:`Sweep.summary` and :meth:`Sweep.roles`.
    MissingExtraError
        If matplotlib is not installed.
    """
    if band not in BANDS:
        raise OptionError(f"band: expected one of {', '.join(BANDS)}, got {band!r}")
    panels, (along, apart) = sweep.having(quantity), sweep.roles(x, by)
    table = sweep.counts(quantity)
    with canvas(len(panels), look, title=repr(sweep).partition("\n")[0], least=2.2) as (figure, axes):
        for panel, problem in zip(axes, panels, strict=True):
            _panel(panel, sweep, quantity, problem, along, apart, table, band)
            if len(panels) > 1:
                panel.set_title(problem)
            panel.set_xlabel(with_unit(along.name, axis_unit(along)[1]))
        key_of_all(figure, axes, look)
    return figure


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
    low, high, words = BANDS[band]
    own = table.loc[[problem]]
    ends = own[["mean", low, high]].abs().to_numpy(float)
    scale, unit = prefixed(
        sweep.unit(quantity, problem), float(np.nanmax(ends)) if np.isfinite(ends).any() else np.nan
    )
    factor, _ = axis_unit(along)
    places = np.array(along.values, float) * factor if along.numeric else np.arange(len(along.values))
    lines, holes, wide = 1 if apart is None else len(apart.values), False, _is_wide(table, low, high)
    for i, colour in enumerate(shades(lines)):
        rows = own.loc[[sweep.place(problem, along, at, apart, i) for at in range(len(places))]]
        mean = rows["mean"].to_numpy(float) * scale
        label = ("mean" if wide else None) if apart is None else value_text(apart, i)
        style = {"color": colour, "linestyle": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)]}
        if wide:
            pictures.band(
                panel, places, rows[low].to_numpy(float) * scale, rows[high].to_numpy(float) * scale, colour
            )
        panel.plot(places, mean, label=label, **style)
        some = ((rows["infeasible"] + rows["unanswered"]) > 0).to_numpy() & np.isfinite(mean)
        if some.any():
            hollow = {"mfc": "white", "mec": colour, "linestyle": "", "marker": style["marker"]}
            panel.plot(places[some], mean[some], **hollow)
            holes = True
    if wide:
        panel.fill_between([], [], [], color="0.45", alpha=0.3, linewidth=0, label=words)
    if holes:
        panel.plot(
            [], [], "o", color="0.2", mfc="white", linestyle="", label=f"some {sweep.trials} have no answer"
        )
    if not along.numeric:
        names = axis_texts(along)
        tight = sum(map(len, names)) * 0.06 > panel.bbox.width / panel.figure.dpi
        slanted: Any = {"rotation": 20, "ha": "right"} if tight else {}
        panel.set_xticks(places, names, **slanted)
    elif _by_ratios(along):
        pictures.logarithmic(panel.xaxis)
        if len(places) <= MOST_TICKS:
            panel.set_xticks(places, axis_texts(along))
            panel.minorticks_off()
    panel.set_ylabel(with_unit(sweep.name_of(quantity, problem), unit))
    panel.grid(axis="y")


def _is_wide(table: Any, low: str, high: str) -> bool:
    """Tell whether there is a band anywhere: none is drawn, and none explained, where nothing is random."""
    return bool((table[high] > table[low]).any())


def _by_ratios(axis: Axis) -> bool:
    """Tell whether the values of an axis grow by equal ratios rather than by equal steps."""
    values = np.array(axis.values, float)
    if len(values) < 3 or (values <= 0).any():
        return False
    return bool(np.ptp(np.diff(np.log(values))) < 1e-6 < np.ptp(np.diff(values)) / np.ptp(values))
