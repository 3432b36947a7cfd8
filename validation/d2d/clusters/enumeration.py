"""D2D without labels by trying every graph in plain NumPy: the oracle for small instances."""

from __future__ import annotations

import time

from radioopt.d2d.clusters import ClusterGraphProblem
from radioopt.d2d.clusters.certificate import best_of_all
from validation.reference import Answer, NoAnswerError, reference

#: graphs tried at most
MOST = 60_000


@reference("d2d-clusters", "enumeration", modules=(), max_devices=5)
def solve(problem: ClusterGraphProblem, time_limit_s: float) -> Answer:
    """Every graph of allowed links.

    Parameters
    ----------
    problem : ClusterGraphProblem
        A single instance of at most six devices.
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
    value, source, count = best_of_all(problem, MOST)
    if count > MOST:
        raise NoAnswerError(f"{count} graphs, more than {MOST}")
    return Answer({"source": source}, value, time.perf_counter() - start, 0.0, f"{count} graphs", "numpy")
