"""A catalogue of student models whose accuracies are measured, for the next allocation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from learning.options import whole
from learning.training import train
from radioopt.base.errors import OptionError
from radioopt.dtkd import ModelCatalogue
from radioopt.scenario import Scenario


@dataclass(frozen=True, eq=False)
class MeasuredCatalogue(ModelCatalogue):
    """A catalogue, and how sure its accuracies are.

    Parameters
    ----------
    own_error, average_error : ndarray, shape (M,)
        Standard errors of the accuracies over the seeds; NaN for a single one.
    runs : pandas.DataFrame
        A row for each model and seed, with what the judge found.
    """

    own_error: Any = None
    average_error: Any = None
    runs: Any = field(default=None, repr=False)


def measure_catalogue(
    scenario: str | Scenario = "dtkd",
    *,
    scheme: str = "kd",
    seeds: int | Sequence[int] = 3,
    rounds: int = 40,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **options: Any,
) -> MeasuredCatalogue:
    """Train every model of a scenario's catalogue on all users, and put the accuracies reached into the catalogue.

    Parameters
    ----------
    scenario : str or Scenario, default "dtkd"
        With a ``[dtkd]`` table, whose catalogue keeps its names, cycles and sizes.
    scheme : str, default "kd"
        A scheme whose allocation chooses: "kd", "simkd" or "stu".
    seeds : int or sequence of int, default 3
        Seeds 0 ... or the seeds, >= 1 of them.
    rounds : int, default 40
        Epochs of a run >= 1.
    checkpoints : path-like, optional
        A folder, made if need be, that keeps every run: what was interrupted goes on where it was, with the same
        numbers.
    progress : bool, default True
        Whether runs that take longer than a second show a bar.
    **options
        More for :func:`learning.train`: data, partition, model, teacher_rounds, ...

    Returns
    -------
    MeasuredCatalogue
        ``own_accuracy`` is the mean over users and seeds of the accuracy on a user's own labels, ``average_accuracy``
        that on all test samples, after the last epoch. ``scenario.replace({"dtkd.catalogue": ....to_dict()})`` solves
        with it.

    Raises
    ------
    OptionError
        If there is no seed, or a policy is given: every model is trained in turn.

    Notes
    -----
    Cycles and sizes stay the scenario's: those of the small networks that train in seconds would make delay worth
    nothing.

    Examples
    --------
    >>> short = {"rounds": 2, "seeds": 2, "teacher_rounds": 5, "data": "digits@300+100"}
    >>> measured = measure_catalogue("dtkd", scheme="kd", progress=False, **short)
    >>> measured.names[0], measured.own_error.shape, len(measured.runs)
    ('VGG-8', (4,), 8)
    """
    if "policy" in options:
        raise OptionError("measure_catalogue: policy: every model is trained in turn: leave out")
    chosen = list(range(whole("seeds", seeds))) if isinstance(seeds, int) else list(seeds)
    if not chosen:
        raise OptionError("seeds: expected at least one")
    cell = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    catalogue = cell.draw(seed=chosen[0]).problem("dtkd").catalogue  # type: ignore[attr-defined]
    folder = None if checkpoints is None else Path(checkpoints)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, name in enumerate(catalogue.names):
        for seed in chosen:
            result = train(
                cell,
                scheme=scheme,
                policy=name,
                rounds=rounds,
                seed=seed,
                progress=progress,
                checkpoint=None if folder is None else folder / f"model{place}-seed{seed}.npz",
                **{"judge_every": rounds, **options},
            )
            last = result.to_frame().iloc[-1]
            figures = {
                key: float(last[key])
                for key in ("private_accuracy", "test_accuracy", "private_top5", "test_top5")
            }
            rows.append({"model": name, "seed": seed, **figures})
    runs = pd.DataFrame(rows)
    groups = runs.groupby("model", sort=False)
    return MeasuredCatalogue(
        catalogue.names,
        catalogue.cycles,
        catalogue.parameter_bits,
        groups["private_accuracy"].mean().to_numpy(),
        groups["test_accuracy"].mean().to_numpy(),
        own_error=groups["private_accuracy"].sem().to_numpy(),
        average_error=groups["test_accuracy"].sem().to_numpy(),
        runs=runs,
    )
