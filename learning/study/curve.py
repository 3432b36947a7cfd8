"""The learning curve of a data set, measured on a model that is trained on more and more of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from learning.data.sources import Source
from learning.options import whole
from learning.progress import progress_bar
from learning.training import train
from radioopt import Scenario
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten

if TYPE_CHECKING:
    from radioopt.fimi.learning_curve import CurveFit


def measure_curve(
    data: Source = "digits",
    *,
    sizes: Sequence[int] = (25, 50, 100, 200, 400, 800),
    seeds: int = 3,
    rounds: int = 40,
    progress: bool = True,
    **options: Any,
) -> CurveFit:
    r"""Measure the error after training on so many samples, and fit the curve that FIMI plans with.

    Parameters
    ----------
    data : str, Dataset, ...
        As for :func:`learning.train`.
    sizes : sequence of int, default (25, 50, 100, 200, 400, 800)
        Samples trained with, at least three different numbers, each at least one per class.
    seeds : int, default 3
        Times that each is measured >= 1, on other samples and from other weights.
    rounds : int, default 40
        Passes over the samples >= 1.
    progress : bool, default True
        Show a bar on a terminal.
    **options
        More for :func:`learning.train` and its scheme "central", as ``model="cnn"`` or ``learning_rate=0.1``.

    Returns
    -------
    CurveFit
        The curve with its measurements, ``samples`` and ``error`` = 1 - test accuracy; ``print`` says how well it fits.

    Raises
    ------
    OptionError
        If a number is out of its range.
    ProblemError
        If the errors do not fall with the samples.

    Notes
    -----
    A curve is that of the samples measured: in a scenario whose samples stand for s times fewer that are trained with,
    alpha is :math:`\alpha s^\beta`. What is measured levels off, so gamma often ends at 0; then the curve promises
    less of more samples than rounds of federated training show, and the calibrated curves of
    :data:`radioopt.fimi.LEARNING_CURVES` are the better plan.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", (1) and Fig. 3.

    Examples
    --------
    >>> found = measure_curve(sizes=(20, 60, 200), seeds=1, rounds=10, progress=False)
    >>> len(found.table), float(found.curve.alpha) > 0
    (3, True)
    """
    from radioopt.fimi.learning_curve import fit_curve

    if isinstance(sizes, str) or len(set(sizes)) < 3:
        raise OptionError(f"sizes: expected at least 3 different numbers of samples, got {shorten(sizes)}")
    cell = Scenario.load("fimi", {"devices.count": 1})
    work = [(whole("sizes", size), seed) for size in sizes for seed in range(whole("seeds", seeds))]
    rows = []
    with progress_bar("learning curve", len(work), enabled=progress) as report:
        for size, seed in work:
            result = train(
                cell,
                scheme="central",
                radio="fdma",
                data=data,
                public=size,
                rounds=whole("rounds", rounds),
                seed=seed,
                progress=False,
                **{"judge_every": rounds, **options},
            )
            rows.append({"samples": float(size), "error": 1.0 - result.ledger.accuracy, "seed": seed})
            report(len(rows), f"{size} samples")
    return fit_curve(pd.DataFrame(rows))
