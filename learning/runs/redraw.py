"""Draw the picture of a finished run anew, from what its folder holds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from learning.runs.folder import MANIFEST, METRICS, draw
from learning.runs.plots import plot_comparison, plot_training
from learning.runs.read import read_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look


@dataclass(frozen=True, eq=False)
class _Compared:
    """A comparison as far as its picture shows it."""

    config: dict[str, Any]
    runs: pd.DataFrame
    curves: dict[tuple[str, int], pd.DataFrame]

    @property
    def policies(self) -> list[str]:
        return list(self.config["policies"])


def redraw(path: Path) -> None:
    """Draw a run or a comparison whose numbers are saved.

    Parameters
    ----------
    path : pathlib.Path
        Its folder, which gets ``plot.png`` and ``plot.pdf``; where they cannot be drawn, a warning says why.

    Raises
    ------
    ProblemError
        If the folder is no finished run, or a file in it is damaged.
    """
    read_runs(path)
    draw(lambda: figure_of(path), path)


def figure_of(path: str | os.PathLike[str], **look: Unpack[Look]) -> Figure:
    """Return the picture of a run or a comparison whose numbers are saved.

    Parameters
    ----------
    path : path-like
        Its folder.
    **look
        As of :class:`radioopt.base.pictures.Look`.

    Returns
    -------
    matplotlib.figure.Figure
        As :meth:`plot` of what was saved.

    Raises
    ------
    ProblemError
        If the folder is no finished run, or a file in it is damaged.
    """
    import pandas as pd

    path, saved = Path(path), read_runs(path)
    config = json.loads((path / MANIFEST).read_bytes())["config"]
    if "policies" not in config:
        (run,) = saved
        return plot_training(run.curve, config, "", **look)
    runs = pd.read_csv(path / METRICS, index_col=0, converters={"policy": str})
    keys = [(policy, seed) for policy in config["policies"] for seed in config["seeds"]]
    curves = dict(zip(keys, (run.curve for run in saved), strict=True))
    return plot_comparison(_Compared(config, runs, curves), **look)
