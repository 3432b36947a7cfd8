"""A chapter of a report on the folder of a sweep."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from radioopt.base.errors import OptionError
from radioopt.reports.page import Chapter, Fact, Part, Picture, Section, Text, tabulated
from radioopt.reports.pictures import pixels

#: the files that a sweep's folder has
SUMMARY, ROWS, PICTURE = "summary.csv", "sweep.csv", "sweep.png"
#: statistics in a summary; what stands before them are problem and axes
_STATISTICS = ("draws", "infeasible", "unanswered", "mean", "low", "high", "q05", "median", "q95")
#: bytes up to which a picture is taken
_MOST_BYTES = 1_000_000


def is_swept(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / SUMMARY).is_file() and (folder / ROWS).is_file()


class Swept:
    """The folder of a sweep, to be told of.

    Parameters
    ----------
    folder : path-like
        What ``Sweep.save`` wrote.

    Raises
    ------
    OptionError
        If it is not the folder of a sweep, or that of a sweep of training, or a file in it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            header = pd.read_csv(folder / ROWS, nrows=0)
            if "scheme" in header and "problem" not in header:
                raise OptionError(
                    f"{folder}: a sweep of training, which has no page: see {PICTURE}, {SUMMARY} and {ROWS} in it"
                )
            text = (folder / SUMMARY).read_bytes()
            self.summary = pd.read_csv(io.BytesIO(text))
            self.status = pd.read_csv(folder / ROWS, usecols=["problem", "status"])
            if list(self.summary.columns[-len(_STATISTICS) :]) != list(_STATISTICS):
                raise ValueError("its columns are others")
        except OptionError:
            raise
        except (ValueError, FileNotFoundError) as error:
            raise OptionError(
                f"{folder}: not the folder of a sweep, or damaged ({error}): sweep again"
            ) from error

    def chapter(self, name: str) -> Chapter:
        """Tell of the sweep."""
        summary, status = self.summary, self.status
        axes = list(summary.columns[1 : -len(_STATISTICS)])
        counts = status["status"].value_counts()
        over = " × ".join(f"{summary[axis].nunique()} values of {axis}" for axis in axes)
        problems = ", ".join(map(str, summary["problem"].unique()))
        told = ", ".join(f"{count} {which}" for which, count in counts.items())
        infeasible = int(counts.get("INFEASIBLE", 0))
        first: list[Part] = []
        picture = self.folder / PICTURE
        if picture.is_file() and picture.stat().st_size <= _MOST_BYTES:
            first.append(Picture(pixels(picture.read_bytes()), f"{PICTURE} of the folder", 1000, paper=True))
        facts = [
            Fact("problems", str(summary["problem"].nunique()), problems),
            Fact("points", str(len(summary))),
            Fact("draws at a point", str(summary["draws"].max())),
            Fact("solved", str(len(status)), told),
        ]
        if infeasible:
            facts.append(Fact("infeasible", f"{100 * infeasible / len(status):.3g} %"))
        table = tabulated(
            summary,
            index=False,
            note="low, high: 95 % interval of the mean; q05, q95: quantiles; over the draws with an answer.",
            rest=f"{SUMMARY} has all",
        )
        lead = f"{problems} over {over}, {len(status)} problems solved: {told}."
        shown = [table] if len(summary) else [Text("There are no points.")]
        return Chapter(
            f"Sweep {self.folder.name}", lead, facts=facts, first=first, sections=[Section("Summary", shown)]
        )
