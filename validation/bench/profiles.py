"""Random instances, put to every solver one by one: the times of a performance profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from radioopt.base.status import Status
from validation.bench.results import FOUND_GAP
from validation.bench.suite import OURS
from validation.cross_check import cross_check
from validation.reference import room
from validation.thorough import MOST

#: name of the instances, and the limit for a generic solver on each [s]
PROFILE, LIMIT_S = "random instances", 5.0


def profile(family: str, number: int, references: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Put a random instance to every method and generic solver twice, and keep the shorter time of each.

    Parameters
    ----------
    family : str
        Its zoo draws the instance.
    number : int
        Seed.
    references : iterable of str, optional
        Generic solvers; all that take the size by default.

    Returns
    -------
    list of dict
        "family", "instance", "solver" ("radioopt" before the name of its own), "seconds" and "found": whether
        its repaired answer is certified within :data:`~validation.bench.results.FOUND_GAP`. Empty if nobody finds
        it.
    """
    zoo, most = room(family), MOST["references"].get(family)
    problem = zoo.random(number, **({} if most is None else {"max_devices": most}))
    references = None if references is None else tuple(references)
    tables = [cross_check(problem, references=references, time_limit_s=LIMIT_S) for _ in range(2)]
    judged, default = tables[0], next(iter(problem.methods))
    good = [(table["gap"] <= FOUND_GAP) & (table["verdict"] != Status.FAILED.name) for table in tables]
    shorter = np.fmin(
        *(table["seconds"].where(one).to_numpy(float) for table, one in zip(tables, good, strict=True))
    )
    either = good[0] | good[1]
    return [
        {
            "family": family,
            "instance": number,
            "solver": f"{OURS} {solver}" if kind == "method" or solver == default else str(solver),
            "seconds": float(seconds),
            "found": bool(found),
        }
        for solver, kind, seconds, found in zip(judged.index, judged["kind"], shorter, either, strict=True)
        if either.any()
    ]


def shares(profiles: Iterable[Mapping[str, Any]], family: str) -> dict[str, np.ndarray]:
    """Return how many times longer than the fastest each solver took for each instance of a family.

    Parameters
    ----------
    profiles : iterable of mapping
        Rows of :func:`profile`.
    family : str
        Which rows.

    Returns
    -------
    dict of str to ndarray
        Per solver a number for each instance, sorted: its time over that of the fastest solver that found the optimum;
        infinite where it did not find it.

    Examples
    --------
    >>> rows = [dict(family="feel", instance=0, solver=name, seconds=s, found=True) for name, s in zip("ab", (1, 3))]
    >>> {solver: times.tolist() for solver, times in shares(rows, "feel").items()}
    {'a': [1.0], 'b': [3.0]}
    """
    rows = [row for row in profiles if row["family"] == family]
    fastest: dict[int, float] = {}
    for row in rows:
        if row["found"]:
            fastest[row["instance"]] = min(row["seconds"], fastest.get(row["instance"], np.inf))
    found: dict[str, list[float]] = {row["solver"]: [np.inf] * len(fastest) for row in rows}
    for row in rows:
        if row["found"]:
            found[row["solver"]][list(fastest).index(row["instance"])] = (
                row["seconds"] / fastest[row["instance"]]
            )
    return {solver: np.sort(times) for solver, times in found.items()}
