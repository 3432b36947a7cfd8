"""D2D with a list of links by trying every graph in plain NumPy."""

from __future__ import annotations

import time

from radioopt.d2d import SparseGraphProblem
from validation.d2d import enumeration
from validation.reference import Answer, reference


@reference("d2d-sparse", "enumeration", modules=(), max_devices=5)
def solve(problem: SparseGraphProblem, time_limit_s: float) -> Answer:
    """Every graph of allowed links, whether they could move anything or not.

    Parameters
    ----------
    problem : SparseGraphProblem
        A single instance of few devices.
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
    value, source, count = enumeration.best(problem.dense())
    return Answer({"source": source}, value, time.perf_counter() - start, 0.0, f"{count} graphs", "numpy")
