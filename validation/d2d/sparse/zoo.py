"""Instances of D2D with a list of links: those with matrices, listed."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.d2d import GraphProblem, SparseGraphProblem
from validation.d2d import zoo

_PAIRS = ("outage_probability", "trust", "allowed")


def listed(problem: GraphProblem, rng: np.random.Generator | None = None) -> SparseGraphProblem:
    """Pose a single instance with a list of the links that may be used.

    Parameters
    ----------
    problem : GraphProblem
        A single instance with two links at least.
    rng : numpy.random.Generator, optional
        Shuffles them.

    Returns
    -------
    SparseGraphProblem
        The same question.

    Examples
    --------
    >>> listed(zoo.draw(5)).sizes["link"]
    20
    """
    i, j = np.nonzero(problem.allowed & ~np.eye(problem.sizes["device"], dtype=np.bool_))
    order = np.arange(len(i)) if rng is None else rng.permutation(len(i))
    i, j = i[order], j[order]
    common = {name: value for name, value in problem._given().items() if name not in _PAIRS}
    return GraphProblem.sparse(
        receiver=i,
        transmitter=j,
        outage_probability=problem.outage_probability[i, j],
        trust=problem.trust[j, i],
        **common,
        **problem.settings,
    )


def draw(devices: int, seed: int = 0, **changes: Any) -> SparseGraphProblem:
    """Draw devices as :func:`validation.d2d.zoo.draw` and list all their links.

    Parameters
    ----------
    devices : int
        N, at least 2.
    seed : int, default 0
        The same seed gives the same instance.
    **changes
        Fields of the problem with matrices that differ.

    Returns
    -------
    SparseGraphProblem
        A single instance.

    Examples
    --------
    >>> bool(draw(5).solve("enumerate").objective == zoo.draw(5).solve("enumerate").objective)
    True
    """
    return listed(zoo.draw(devices, seed, **changes))


def random(seed: int, max_devices: int = 7) -> SparseGraphProblem:
    """Draw an instance whose size, choices and weights are drawn as well, with all links or about half.

    Parameters
    ----------
    seed : int
        The same seed gives the same instance.
    max_devices : int, default 7
        Largest N.

    Returns
    -------
    SparseGraphProblem
        A single instance that enumeration answers.

    Examples
    --------
    >>> random(3) == random(3)
    True
    """
    problem, rng = zoo.random(seed, max_devices), np.random.default_rng([seed, 13])
    allowed = rng.random(problem.allowed.shape) < rng.choice([0.5, 1.0])
    if np.count_nonzero(allowed & ~np.eye(len(allowed), dtype=np.bool_)) < 2:
        allowed[:] = True
    return listed(problem.replace(allowed=allowed), rng)


def named() -> dict[str, SparseGraphProblem]:
    """Those of the problem with matrices that have links.

    Returns
    -------
    dict of str to SparseGraphProblem
        Single instances of few devices, by name.

    Examples
    --------
    >>> named()["nobody_trusts"].solve("enumerate").objective.item()
    0.0
    """
    return {name: listed(problem) for name, problem in zoo.named().items() if problem.sizes["device"] > 1}
