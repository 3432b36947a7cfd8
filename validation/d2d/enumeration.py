"""D2D by trying every graph in plain NumPy, useless links too: the oracle for small instances."""

from __future__ import annotations

import time

import numpy as np

from radioopt.base.quantity import Array
from radioopt.d2d import GraphProblem, rewards
from validation.reference import Answer, NoAnswerError, reference

#: graphs tried at most, and at once
MOST, SLICE = 900_000, 8_192


@reference("d2d", "enumeration", modules=(), max_devices=5)
def solve(problem: GraphProblem, time_limit_s: float) -> Answer:
    """Every graph of allowed links, whether they could move anything or not.

    Parameters
    ----------
    problem : GraphProblem
        A single instance of at most seven devices.
    time_limit_s : float
        Unused: the number of graphs is what is limited.

    Returns
    -------
    Answer
        The best graph.

    Raises
    ------
    NoAnswerError
        If there are too many graphs.
    """
    start = time.perf_counter()
    value, source, count = best(problem)
    seconds = time.perf_counter() - start
    return Answer({"source": source}, value, seconds, 0.0, f"{count} graphs", "numpy")


def best(problem: GraphProblem) -> tuple[float, Array, int]:
    """Objective and graph of the best of all, and how many there are; see :func:`solve`."""
    devices = problem.sizes["device"]
    allowed = problem.allowed & ~np.eye(devices, dtype=np.bool_)
    choices = [np.append(-1, np.flatnonzero(row)) for row in allowed]
    sizes = [len(choice) for choice in choices]
    count = int(np.prod(sizes, dtype=np.float64))
    if count > MOST:
        raise NoAnswerError(f"{count} graphs, more than {MOST}")
    value, source = -np.inf, np.full(devices, -1)
    for start in range(0, count, SLICE):
        digits = np.unravel_index(np.arange(start, min(count, start + SLICE)), sizes)
        graphs = np.stack([choice[digit] for choice, digit in zip(choices, digits, strict=True)], -1)
        found = rewards(problem, graphs).objective
        if found.max() > value:
            value, source = float(found.max()), graphs[found.argmax()]
    return value, source, count
