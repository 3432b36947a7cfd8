"""How far the paper's cross-entropy search stays from FIMI's optimum: gaps and times over its settings and devices.

Gaps are relative to the proven optimum of the exact method. Takes about six minutes::

    python -m validation.reproduce.fimi_cross_entropy
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from radioopt.base.status import Status
from validation.fimi.zoo import paper
from validation.reproduce.registry import Setup

#: rounds J, draws M and elite K; the paper prints none
SETTINGS = ((20, 50, 5), (50, 50, 10), (50, 100, 10), (100, 200, 20))
#: draws of devices per number of devices
INSTANCES = {5: 20, 20: 20, 50: 10, 200: 5}


def gaps(devices: int, setting: tuple[int, int, int], count: int) -> dict[str, float]:
    """Search some instances, each with a seed of its own.

    Parameters
    ----------
    devices : int
        I.
    setting : tuple of int
        J, M, K.
    count : int
        Number of instances.

    Returns
    -------
    dict of str to float
        Median and largest relative gap to the optimum, median seconds of a search, and how many times as long as the
        exact method that is.

    Examples
    --------
    >>> found = gaps(2, (3, 10, 5), 2)
    >>> 0 <= found["median gap"] <= found["largest gap"]
    True
    """
    batch = paper(devices, seed=5, count=count)
    rounds, draws, elite = setting
    gap, seconds, exact = [], [], []
    for i in range(count):
        problem = batch[i]
        for _ in range(20):
            start = time.perf_counter()
            best = problem.solve()
            exact.append(time.perf_counter() - start)
        start = time.perf_counter()
        found = problem.solve("cross-entropy", rounds=rounds, draws=draws, elite=elite, seed=i)
        seconds.append(time.perf_counter() - start)
        assert best.status == Status.OPTIMAL
        assert found.objective >= best.bound  # the search never beats the bound
        gap.append(float(found.objective / best.objective - 1))
    return {
        "median gap": float(np.median(gap)),
        "largest gap": float(np.max(gap)),
        "seconds": float(np.median(seconds)),
        "times newton": float(np.median(seconds) / np.median(exact)),
    }


def table() -> pd.DataFrame:
    """Tabulate :func:`gaps` over numbers of devices and settings.

    Returns
    -------
    pandas.DataFrame
        Indexed by I, J, M and K.
    """
    paper(2).solve("cross-entropy", rounds=1, draws=2, elite=1)  # compiles
    rows = {
        (devices, *setting): gaps(devices, setting, count)
        for devices, count in INSTANCES.items()
        for setting in SETTINGS
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["I", "J", "M", "K"])


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce fimi``."""
    return {"setting": {"draws by number of devices": str(INSTANCES)}, "rows": table().reset_index()}


if __name__ == "__main__":
    with pd.option_context("display.float_format", "{:.2g}".format):
        print(table().to_string())
