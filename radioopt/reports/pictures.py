"""Figures as markup that stands in a page: colours of lines and letters follow the page, nothing is loaded."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from radioopt.base.errors import require
from radioopt.reports.page import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: bytes from which a drawing is kept as pixels
MOST_BYTES = 250_000
#: pixels of the page for an inch of the figure: letters of 10 points are 13 pixels high
PIXELS = 96
#: what a drawing says of the program and the time it was made at: nothing, so that equal figures are equal
_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def picture(figure: Figure, caption: str, name: str, *, paper: bool = False) -> Picture:
    """Draw a figure for a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Not changed.
    caption : str
        What it shows.
    name : str
        Letters and digits that no other picture of the page has.
    paper : bool, default False
        Whether it stays black on white on a dark page: where colours of a scale, or letters on colours, need that.

    Returns
    -------
    Picture
        SVG with real text, whose black and white are the page's; pixels where that would take more than
        :data:`MOST_BYTES`.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    width = round(float(figure.get_size_inches()[0]) * PIXELS)
    drawn = _svg(figure)
    if len(drawn) > MOST_BYTES:
        return Picture(pixels(_png(figure)), caption, width, paper=True)
    return Picture(_inline(drawn.decode(), name), caption, width, paper)


def both(draw: Callable[[str], Figure], caption: str, name: str, *, paper: bool = False) -> Picture:
    """Draw what fits a page, and for narrow ones what fits a column, if that is another picture.

    Parameters
    ----------
    draw : callable
        From a width, "page" or "column", to a figure.
    caption, name, paper
        As of :func:`picture`.

    Returns
    -------
    Picture
        With its narrow drawing.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    wide, narrow = (
        picture(draw(width), caption, f"{name}{width}", paper=paper) for width in ("page", "column")
    )
    return replace(wide, narrow=narrow.markup)


@contextmanager
def any_letters() -> Iterator[None]:
    """Draw letters that fonts here lack: they are text all the same, and the reader's browser may have them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _svg(figure: Figure) -> bytes:
    matplotlib, buffer = require("matplotlib", "plot"), io.BytesIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "radioopt"}
    with matplotlib.rc_context(settings), any_letters():
        figure.savefig(buffer, format="svg", metadata=_METADATA)
    return buffer.getvalue()


def pixels(png: bytes) -> str:
    """Return the markup of a PNG image."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with any_letters():
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _inline(svg: str, name: str) -> str:
    """Take a drawing out of its file: own names, and the page's colours for black and white."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1)
    return re.sub("#(" + "|".join(_COLOURS) + ")", lambda found: _COLOURS[found[1]], svg).strip()


#: what stands for a colour in a page: black and white are the page's, and the two darkest tones lighter on a dark one
_COLOURS = {
    "000000": "var(--ink)",
    "ffffff": "var(--card)",
    "1b3a6b": "light-dark(#1b3a6b, #4a7cc4)",
    "8c2d62": "light-dark(#8c2d62, #c9679e)",
}


def blank(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure of some inches with a single panel."""
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure, figure.subplots()
