"""The four verdicts on what a paper prints, and how an interval of ours leads to one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What became of a printed figure, value or claim."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    UNPRINTED = "not computable from what is printed"
    NEEDS = "needs data or compute"


@dataclass(frozen=True)
class Entry:
    """A printed figure, value or claim beside ours.

    Parameters
    ----------
    where : str
        Figure, table or section of the paper, as "Fig. 4" or "Table II".
    what : str
        Which value or claim.
    printed, ours : str
        What the paper has, and what came out here; "" where there is nothing.
    verdict : Verdict
        One of four.
    why : str
        The reason for a difference, what is missing, or the command to run.

    Raises
    ------
    ValueError
        If a verdict that needs a reason has none.
    """

    where: str
    what: str
    printed: str
    ours: str
    verdict: Verdict
    why: str = ""

    def __post_init__(self) -> None:
        if not self.why and self.verdict is not Verdict.REPRODUCED:
            raise ValueError(f"{self.where}, {self.what}: expected a reason for {self.verdict.value!r}")


#: what studies call the outcome of a claim, and what that is here
WORDS = {
    "reproduces": Verdict.REPRODUCED,
    "holds": Verdict.REPRODUCED,
    "plausible": Verdict.REPRODUCED,
    "by calibration": Verdict.REPRODUCED,
    "direction": Verdict.DIFFERS,
    "differs": Verdict.DIFFERS,
    "contradicted": Verdict.DIFFERS,
    "does not reproduce": Verdict.DIFFERS,
    "not reproducible": Verdict.DIFFERS,
    "open": Verdict.NEEDS,
    "not reached": Verdict.NEEDS,
    "no ratio": Verdict.NEEDS,
}


def of_word(words: str) -> Verdict:
    """Translate the outcome of a claim, which may be counted: the worst of several words counts.

    Parameters
    ----------
    words : str
        Such as "reproduces", "open (one seed)" or "reproduces 3 of 4, open 1 of 4".

    Returns
    -------
    Verdict
        "differs" if any part differs, else "needs data or compute" if any part is open, else "reproduced".

    Raises
    ------
    ValueError
        If no word is known.

    Examples
    --------
    >>> of_word("reproduces 3 of 4, open 1 of 4").value
    'needs data or compute'
    >>> of_word("reproduces, size differs").value, of_word("does not reproduce").value
    ('differs', 'differs')
    """
    rest = words
    if "does not reproduce" in rest or "not reproducible" in rest:
        return Verdict.DIFFERS
    found = {verdict for word, verdict in WORDS.items() if word in rest}
    for verdict in (Verdict.DIFFERS, Verdict.NEEDS, Verdict.REPRODUCED):
        if verdict in found:
            return verdict
    raise ValueError(f"no verdict among {words!r}")


def of_interval(low: float, high: float, printed: float) -> Verdict:
    """Say whether an interval holds a printed value: nan ends, of one seed, leave it open.

    Examples
    --------
    >>> of_interval(0.1, 0.3, 0.2).value, of_interval(0.1, 0.3, 1.2).value
    ('reproduced', 'differs')
    """
    if math.isnan(low) or math.isnan(high):
        return Verdict.NEEDS
    return Verdict.REPRODUCED if low <= printed <= high else Verdict.DIFFERS


def arithmetic(
    where: str, what: str, printed: float, found: float, tolerance: float, unit: str = ""
) -> Entry:
    """Judge a number that follows from others that are printed.

    Parameters
    ----------
    where, what : str
        As of :class:`Entry`.
    printed, found : float
        As printed, and as it follows.
    tolerance : float
        Half of a unit of the last printed digit, or what the text's "about" allows.
    unit : str, default ""
        Of both.

    Returns
    -------
    Entry
        Reproduced if they agree.

    Examples
    --------
    >>> arithmetic("Section V", "ratio", 2.0, 2.06, 0.1).verdict.value
    'reproduced'
    """
    agrees = abs(printed - found) <= tolerance
    why = "" if agrees else "It does not follow from the printed values that it is about."
    shown = f"{found:.5g}{unit}, from the printed values"
    return Entry(
        where, what, f"{printed:g}{unit}", shown, Verdict.REPRODUCED if agrees else Verdict.DIFFERS, why
    )


#: stored results by name: see :mod:`validation.reproduce.registry`
Results = Mapping[str, Mapping[str, Any]]


def rows_of(results: Results, name: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a result, none if it is not there."""
    rows: Sequence[Mapping[str, Any]] = results[name]["rows"] if name in results else ()
    return rows


def drawings(named: Mapping[str, str]) -> list[Entry]:
    """List figures that show how things are arranged and hold no values."""
    return [
        Entry(where, what, "a drawing", "", Verdict.UNPRINTED, "It holds no values.")
        for where, what in named.items()
    ]
