"""Graphs over clusters of points, and over lists of links, by any method: as :mod:`validation.fuzz.solving` does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt import RadioOptError, SolveOptions, Status, problem_class
from radioopt.base.quantity import Array
from validation.fuzz.draw import DECADES
from validation.fuzz.solving import compare, judge, look_at

#: options with which a method takes milliseconds
QUICK: dict[str, dict[str, Any]] = {
    "q-learning": {"iterations": 40},
    "enumerate": {"max_graphs": 2_000},
    "local-search": {"starts": 3},
}
#: most devices, and most links of a list
DEVICES, LINKS = 5, 12


def trial(seed: int) -> str:
    """Draw a problem, solve it by a method, and look at all that a user would.

    Parameters
    ----------
    seed : int
        The same seed makes the same trial.

    Returns
    -------
    str
        What came of it: ``"refused"``, or the names of the statuses.

    Raises
    ------
    DeniedError
        If a claim is not so. Any other error or warning that gets out is a fault as well.
    """
    rng = np.random.default_rng([seed, 7])
    family = str(rng.choice(["d2d-clusters", "d2d-sparse"]))
    try:
        problem: Any = problem_class(family)(**fields(family, rng), strict=None)
        method = str(rng.choice(list(problem.methods)))
        options = SolveOptions(
            gap_tol=float(rng.choice([1e-9, 1e-6, 0.0])), max_iterations=int(rng.choice([500, 20, 1]))
        )
        solution = problem.solve(method, options, throw=False, **QUICK.get(method, {}))
    except RadioOptError:
        return "refused"
    look_at(solution, rng)
    judge(solution, options, whole=False)
    if rng.random() < 0.3:
        compare(problem, solution, method)
    return ", ".join(sorted({Status(int(code)).name for code in np.atleast_1d(solution.status_code)}))


def fields(family: str, rng: np.random.Generator) -> dict[str, Any]:
    """Draw what the constructor gets: ordinary numbers, times powers of ten that are drawn as well."""
    decades, devices = float(rng.choice(DECADES)), int(rng.integers(1, DEVICES + 1))

    def numbers(scale: float, *shape: int, most: float = math.inf) -> Array:
        spread = min(decades, most) if rng.random() < 0.5 else min(decades, most, 1.0)
        common = rng.uniform(-decades, decades) if rng.random() < 0.5 and decades <= most else 0.0
        exponent = math.log10(scale) + common + rng.uniform(-spread, spread, shape)
        return np.where(rng.random(shape) < 0.1, 0.0, 10.0 ** np.clip(exponent, -320.0, 308.2))

    of = _clusters if family == "d2d-clusters" else _links
    given = of(rng, devices, numbers) | {"budgeted": str(rng.choice(["requested", "received"]))}
    ordinary = {"diversity_weight": 1.0, "outage_weight": 0.3, "cluster_weight": 0.5, "budget_penalty": 1.0}
    given |= {name: numbers(scale) for name, scale in ordinary.items() if rng.random() < 0.3}
    if rng.random() < 0.5:
        given["clusters"] = rng.integers(0, devices, devices)
        given["budgets"] = float(rng.choice([0.0, 10.0, 1e3, 1e-300, 1e300, math.inf]))
    return given


def _clusters(rng: np.random.Generator, devices: int, numbers: Any) -> dict[str, Any]:
    several = (int(rng.integers(1, 4)),) if rng.random() < 0.35 else ()
    shape = (*several, devices, int(rng.integers(1, 4)))
    size = int(rng.integers(1, 4))
    some = rng.normal(size=(*shape, size, size))
    with np.errstate(all="ignore"):
        spread = some @ np.swapaxes(some, -1, -2) * numbers(1.0, *shape, 1, 1)
    given: dict[str, Any] = {
        "centroids": np.sign(rng.uniform(-1.0, 1.0, (*shape, size))) * numbers(1.0, *shape, size),
        "covariances": spread / 2 + np.swapaxes(spread, -1, -2) / 2,
        "counts": numbers(60.0, *shape),
        "requested_points": numbers(40.0, *shape[:-1]),
        "outage_probability": np.minimum(numbers(0.2, *shape[:-1], devices, most=3.0), 1.0),
        "matching": str(rng.choice(["nearest", "assignment"])),
        "update": "resample" if rng.random() < 0.1 else "merge",
    }
    if rng.random() < 0.5:
        given["thresholds"] = numbers(20.0, *shape)
    if rng.random() < 0.3:
        given["trust"] = rng.random((*shape[:-1], devices, shape[-1])) < 0.7
    if rng.random() < 0.3:
        given["allowed"] = rng.random((*shape[:-1], devices)) < 0.7
    if rng.random() < 0.3:
        given["regularisation"] = numbers(1e-3)
    return given


def _links(rng: np.random.Generator, devices: int, numbers: Any) -> dict[str, Any]:
    pairs = rng.permutation(np.argwhere(~np.eye(devices, dtype=np.bool_)))[: int(rng.integers(0, LINKS))]
    if rng.random() < 0.95:
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    classes = int(rng.integers(1, 5))
    given: dict[str, Any] = {
        "class_counts": numbers(60.0, devices, classes),
        "thresholds": numbers(40.0, devices, classes),
        "receiver": pairs[:, 0],
        "transmitter": pairs[:, 1],
        "outage_probability": np.minimum(numbers(0.2, len(pairs), most=3.0), 1.0),
        "metric": str(rng.choice(["wasserstein", "total-variation", "jensen-shannon"])),
        "score": str(rng.choice(["improvement", "change"])),
        "request": str(rng.choice(["deficit", "compensated"])),
    }
    if rng.random() < 0.3:
        given["trust"] = rng.random((len(pairs), classes)) < 0.7
    if rng.random() < 0.3:
        given["allowed"] = rng.random(len(pairs)) < 0.7
    if rng.random() < 0.3:
        given["ideal_distribution"] = numbers(1.0, classes)
    if rng.random() < 0.2:
        given["min_classes"], given["gate"] = numbers(1.0), np.minimum(numbers(0.5), 1.0)
    return given
