"""Every kernel of a family, compiled to look at each index.

    NUMBA_BOUNDSCHECK=1 RADIOOPT_COMPILE=wait python -m validation.fuzz.bounds feel

A kernel that would read or write outside its arrays raises ``IndexError`` then. Kernels for all threads run as a forked
process runs them, on one, since an error does not leave a thread. Thresholds are taken down, so that small problems
reach the kernels of large ones, and no answer is looked at. Compiling takes half a minute to a minute, which
``NUMBA_CACHE_DIR`` saves the next time.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from radioopt import RadioOptError
from radioopt.base import rooms
from radioopt.base.forks import as_in_a_fork
from radioopt.base.problem import Problem
from radioopt.numerics import dispatch
from validation.fuzz import draw
from validation.fuzz.solving import QUICK

#: trials as the campaign draws them; with up to so many devices; of so many instances; of crowds, by the first method
TRIALS, SOME, MANY, CROWDS = 300, (20, 70), (300, 41), (20, 3_000)
#: devices from which on kernels for all threads are called here
THREADS_FROM = 100


def main(family: str) -> int:
    """Solve problems by all methods, and differentiate the answers.

    Parameters
    ----------
    family : str
        Whose kernels.

    Returns
    -------
    int
        How many answers there were.

    Raises
    ------
    AssertionError
        If a kernel that runs on all threads was not called.
    """
    _take_down(rooms.room("radioopt", family, "solver"))
    if family in rooms.with_room("radioopt", "adjoint"):
        _take_down(rooms.room("radioopt", family, "adjoint"))
    answers = 0
    for seed in range(TRIALS):
        answers += _solved(_drawn(family, seed))
    for seed in range(SOME[0]):
        answers += _solved(_drawn(family, seed, most=SOME[1]))
    if family != "d2d":  # which solves instances one by one, and has links as the square of devices
        for seed in range(MANY[0]):
            one = _drawn(family, seed, batch=True)
            answers += _solved(one and one[np.arange(MANY[1]) % len(one)])
        for seed in range(CROWDS[0]):
            answers += _solved(_drawn(family, seed, most=CROWDS[1], batch=False), all_methods=False)
    if family in ("feel", "fimi"):  # which stream, from 100,000 and 20,000 devices on
        zoo = rooms.room("validation", family, "zoo")
        for problem in zoo.random_batch(np.random.default_rng(0), 1, 120_000):
            answers += _solved(problem, all_methods=False)
    left = [
        name
        for kernel in dispatch._kernels
        if (name := f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}").endswith(".serial")
        and name.startswith(f"radioopt.{family}.")
        and not kernel.overloads
    ]
    if left:
        raise AssertionError(f"never called: {', '.join(sorted(left))}")
    return answers


def _take_down(module: ModuleType) -> None:
    """Set the sizes from which on all threads are called to what crowds here exceed."""
    known: Any = getattr(module, "PARALLEL_FROM", None)
    if known is not None:
        vars(module)["PARALLEL_FROM"] = (
            dict.fromkeys(known, THREADS_FROM) if isinstance(known, dict) else THREADS_FROM
        )


def _drawn(family: str, seed: int, **size: Any) -> Problem[Any] | None:
    try:
        return draw.problem(family, np.random.default_rng([seed, 6]), **size)
    except RadioOptError:
        return None


def _solved(problem: Problem[Any] | None, *, all_methods: bool = True) -> int:
    """Solve by all methods, or the first; return how many answered."""
    if problem is None:
        return 0
    answers = 0
    derivatives = problem.family in rooms.with_room("radioopt", "adjoint")
    for method, known in list(problem.methods.items())[: None if all_methods else 1]:
        for whole in (False, True) if all_methods and "integer" in known.options else (False,):
            options: dict[str, Any] = QUICK.get((problem.family, method), {}) | (
                {"integer": True} if whole else {}
            )
            try:
                found = problem.solve(method, throw=False, **options)
                if derivatives:
                    found.vjp({"objective": 1.0})
            except RadioOptError:
                continue
            answers += 1
    return answers


if __name__ == "__main__":
    with as_in_a_fork():
        print(main(sys.argv[1]))
