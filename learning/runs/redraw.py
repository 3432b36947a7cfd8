"""Draw the picture of a finished run anew, from what its folder holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning.runs.folder import MANIFEST, METRICS, draw
from learning.runs.plots import plot_comparison, plot_training
from learning.runs.read import SavedRun, read_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
    saved = read_runs(path)
    draw(lambda: _figure(path, saved), path)


def _figure(path: Path, saved: list[SavedRun]) -> Figure:
    import pandas as pd

    config = json.loads((path / MANIFEST).read_bytes())["config"]
    if "policies" not in config:
        (run,) = saved
        return plot_training(run.curve, config, "")
    runs = pd.read_csv(path / METRICS, index_col=0, converters={"policy": str})
    keys = [(policy, seed) for policy in config["policies"] for seed in config["seeds"]]
    return plot_comparison(
        _Compared(config, runs, dict(zip(keys, (run.curve for run in saved), strict=True)))
    )
