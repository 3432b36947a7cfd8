"""Tables in LaTeX with booktabs: columns grouped under headings, everything escaped."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.prefixes import prefixed

if TYPE_CHECKING:
    import pandas as pd

#: units by the ends of names, the longer first
_UNITS = {
    "dbm_per_hz": "dBm/Hz",
    "j_per_hz": "J/Hz",
    "w_per_hz": "W/Hz",
    "per_hz": "1/Hz",
    "per_s": "1/s",
    "per_cycle": "1/cycle",
    "mps": "m/s",
    "bps": "bit/s",
    "bits": "bit",
    "hz": "Hz",
    "db": "dB",
    "dbm": "dBm",
    "m": "m",
    "s": "s",
    "j": "J",
    "w": "W",
}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "µ": r"\textmu{}",
    "²": r"\textsuperscript{2}",
    "±": r"$\pm$",
    "≥": r"$\ge$",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}


def escaped(text: object) -> str:
    r"""Return text that LaTeX prints as it is.

    Examples
    --------
    >>> print(escaped("50 % of max_batchsize"))
    50 \% of max\_batchsize
    """
    return "".join(_ESCAPES.get(mark, mark) for mark in str(text))


def mean_with_interval(mean: float, half: float) -> str:
    r"""Write a mean with the half width of its interval in LaTeX: two digits of the width, else four of the mean.

    Parameters
    ----------
    mean : float
        NaN where there is none: a dash.
    half : float
        At least 0; NaN where the spread is unknown.

    Returns
    -------
    str
        In mathematical mode.

    Examples
    --------
    >>> print(mean_with_interval(12.3456, 0.4321), mean_with_interval(2.5e-7, 3e-9), mean_with_interval(17, 0.0))
    $12.35 \pm 0.43$ $(2.500 \pm 0.030) \times 10^{-7}$ $17$
    """
    if not math.isfinite(mean):
        return "--"
    power = _power(mean)
    mean, half = mean / 10.0**power + 0.0, half / 10.0**power  # no -0
    if not math.isfinite(half) or half <= 1e-12 * abs(mean):  # of equal numbers, whose mean may be rounded
        text = f"{mean:.4g}"
    else:
        places = min(max(1 - math.floor(math.log10(half)), 0), 6)
        text = rf"{mean:.{places}f} \pm {half:.{places}f}"
        text = f"({text})" if power else text
    return f"${text}" + (rf" \times 10^{{{power}}}$" if power else "$")


def mean_and_ends(mean: float, low: float, high: float) -> str:
    r"""Write a mean with its interval in LaTeX: the half width, or both ends where it does not reach as far up as down.

    Parameters
    ----------
    mean, low, high : float
        NaN ends where the spread is unknown.

    Returns
    -------
    str
        In mathematical mode.

    Examples
    --------
    >>> print(mean_and_ends(0.5, 0.4, 0.6), mean_and_ends(0.97, 0.93, 1.0), mean_and_ends(3.1e-9, 0.0, 7.2e-9))
    $0.50 \pm 0.10$ $0.970$ [$0.930$, $1$] ($3.1$ [$0$, $7.2$]) $\times 10^{-9}$
    """
    down, up = mean - low, high - mean
    if math.isclose(down, up, rel_tol=1e-6) or not math.isfinite(down + up):
        return mean_with_interval(mean, (high - low) / 2)
    power = _power(mean)
    mean, low, high = (value / 10.0**power for value in (mean, low, high))
    places = min(max(1 - math.floor(math.log10(max(mean - low, high - mean))), 0), 6)
    shown = (
        f"{value:.{places}f}" if value != round(value) else f"{value:.0f}" for value in (mean, low, high)
    )
    text = "${}$ [${}$, ${}$]".format(*shown)
    return rf"({text}) $\times 10^{{{power}}}$" if power else text


def _power(mean: float) -> int:
    """Return the power of ten that a mean is written with, 0 for one of ordinary size."""
    size = math.floor(math.log10(abs(mean))) if mean else 0
    return 0 if -3 <= size <= 4 else size


def latex_table(
    headings: Sequence[Sequence[str]],
    rows: Sequence[Sequence[str]],
    *,
    notes: Sequence[str] = (),
    caption: str | None = None,
    label: str | None = None,
) -> str:
    r"""Write a table for LaTeX, which needs ``\usepackage{booktabs}``.

    Parameters
    ----------
    headings : sequence of sequence of str
        Lines of headings, the finest last, as plain text, which is escaped; equal neighbours of a line above the last
        stand once over their columns, and "" over nothing.
    rows : sequence of sequence of str
        Cells as LaTeX, the first column to the left, the others to the right.
    notes : sequence of str, optional
        Plain text, in comments above the table.
    caption, label : str, optional
        With either of them the tabular stands in a table of its own. A caption is plain text.

    Returns
    -------
    str
        LaTeX, ending with a new line.

    Examples
    --------
    >>> print(latex_table([["", "feel", "feel"], ["W [MHz]", "a", "b"]], [["1", "2", "3"]]), end="")
    \begin{tabular}{lrr}
    \toprule
     & \multicolumn{2}{c}{feel} \\
    \cmidrule(lr){2-3}
    W [MHz] & a & b \\
    \midrule
    1 & 2 & 3 \\
    \bottomrule
    \end{tabular}
    """
    lines = ["% " + re.sub(r"\s+", " ", note) for note in notes]
    floats = caption is not None or label is not None
    if floats:
        lines += [r"\begin{table}", r"\centering"]
        lines += [rf"\caption{{{escaped(caption)}}}"] * (caption is not None)
        lines += [rf"\label{{{label}}}"] * (label is not None)
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(headings[-1]) - 1)}}}", r"\toprule"]
    for heading in headings[:-1]:
        cells, rules, at = [], [], 1
        for text, group in itertools.groupby(heading):
            width = len(list(group))
            if not text:
                cells += [""] * width
            else:
                cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(text)}}}")
                rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
            at += width
        lines += [" & ".join(cells) + r" \\", " ".join(rules)]
    lines += [" & ".join(map(escaped, headings[-1])) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"] + [r"\end{table}"] * floats
    return "\n".join(lines) + "\n"


def latex_of(
    frame: pd.DataFrame,
    units: Mapping[str, str] | None = None,
    *,
    notes: Sequence[str] = (),
    caption: str | None = None,
    label: str | None = None,
) -> str:
    r"""Write a table of numbers and words for LaTeX, which needs ``\usepackage{booktabs}``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns named as fields are, ``bandwidth_hz``; its index stands on the left.
    units : mapping of str to str, optional
        Units of columns whose names do not say theirs.
    notes, caption, label
        As of :func:`latex_table`.

    Returns
    -------
    str
        LaTeX; headings are words with units, numbers have four digits and a prefix of the unit that fits the column.

    Examples
    --------
    >>> import pandas as pd
    >>> print(latex_of(pd.DataFrame({"bandwidth_hz": [2e6, 3.5e6], "model": ["a_1", "b"]})), end="")
    \begin{tabular}{lrr}
    \toprule
     & bandwidth [MHz] & model \\
    \midrule
    0 & $2$ & a\_1 \\
    1 & $3.5$ & b \\
    \bottomrule
    \end{tabular}
    """
    labels = frame.index.to_frame(index=False)
    columns = [(str(name or ""), labels.iloc[:, i], True) for i, name in enumerate(frame.index.names)]
    columns += [(str(name), frame[name], False) for name in frame]
    headings, cells = [], []
    for name, values, index in columns:
        words, unit = words_and_unit(name)
        unit = (units or {}).get(name, unit)
        if values.dtype.kind in "fiu" and not index:
            numbers = values.to_numpy(float)
            known = np.abs(numbers[np.isfinite(numbers)])
            factor, unit = prefixed(unit or "1", float(known.max()) if known.size else math.nan)
            cells.append([_number(value * factor) for value in numbers])
        else:
            cells.append([escaped(value) for value in values])
        headings.append(f"{words} [{unit}]" if unit not in ("", "1") else words)
    rows = list(zip(*cells, strict=True))
    return latex_table([headings], rows, notes=notes, caption=caption, label=label)


def _number(value: float) -> str:
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    return mean_with_interval(value, 0.0)


def words_and_unit(name: str) -> tuple[str, str]:
    """Take a name apart: words for it, and the unit that it ends with, "" where it has none.

    Examples
    --------
    >>> words_and_unit("noise_psd_w_per_hz"), words_and_unit("uplink_rate_bps"), words_and_unit("rounds")
    (('noise psd', 'W/Hz'), ('uplink rate', 'bit/s'), ('rounds', ''))
    """
    for end, unit in _UNITS.items():
        if name.endswith(f"_{end}"):
            return name[: -len(end) - 1].replace("_", " "), unit
    return ("time", "s") if name == "seconds" else (name.replace("_", " "), "")
