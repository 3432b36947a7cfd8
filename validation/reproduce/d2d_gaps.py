"""How far the paper's Q-learning and its baselines stay from the best D2D graph known: gaps and times by size.

The best known is proven by enumeration for few devices, and what local search finds from 20 starts for more; gaps are
relative to it. Both scores are shown, since the paper's own is probably the change of the data. Takes a minute::

    python -m validation.reproduce.d2d_gaps
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from validation.d2d.zoo import draw
from validation.reproduce.registry import Setup

#: instances per number of devices; up to PROVEN devices the optimum is enumerated
INSTANCES = {6: 20, 20: 10, 50: 10, 100: 5}
PROVEN = 7
METHODS = ("local-search", "q-learning", "closest", "most-trusted", "uniform")


def gaps(devices: int, count: int, score: str = "improvement", iterations: int = 3000) -> pd.DataFrame:
    """Compare the methods on some instances.

    Parameters
    ----------
    devices : int
        N.
    count : int
        Number of instances.
    score : str, default "improvement"
        Score of the data.
    iterations : int, default 3000
        Steps of Q-learning.

    Returns
    -------
    pandas.DataFrame
        Per method: mean and largest gap to the best known, shortest seconds of a solve, median over instances.

    Examples
    --------
    >>> found = gaps(4, 2, iterations=200)
    >>> bool((found["mean gap"] >= -1e-12).all())
    True
    """
    lost: dict[str, list[float]] = {method: [] for method in METHODS}
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(count):
        problem = draw(devices, seed, score=score)
        best = problem.solve("enumerate") if devices <= PROVEN else problem.solve(starts=20)
        for method in METHODS:
            options: dict[str, Any] = {"iterations": iterations} if method == "q-learning" else {}
            times = []
            for _ in range(3):
                start = time.perf_counter()
                found = problem.solve(method, **options)
                times.append(time.perf_counter() - start)
            lost[method].append(float(1 - found.objective / best.objective))
            seconds[method].append(min(times))
    return pd.DataFrame(
        {
            "mean gap": {method: np.mean(values) for method, values in lost.items()},
            "largest gap": {method: np.max(values) for method, values in lost.items()},
            "seconds": {method: np.median(values) for method, values in seconds.items()},
        }
    )


def table() -> pd.DataFrame:
    """Tabulate :func:`gaps` over scores and sizes.

    Returns
    -------
    pandas.DataFrame
        Indexed by score, N and method.
    """
    for method in METHODS:
        draw(4).solve(method)  # compiles
    rows = {
        (score, devices): gaps(devices, count, score)
        for score in ("improvement", "change")
        for devices, count in INSTANCES.items()
    }
    return pd.concat(rows, names=["score", "N", "method"])


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce d2d``."""
    setting = {"steps of Q-learning": 3000, "instances by number of devices": str(INSTANCES)}
    return {"setting": setting, "rows": table().reset_index()}


if __name__ == "__main__":
    with pd.option_context("display.float_format", "{:.3g}".format):
        print(table().to_string())
