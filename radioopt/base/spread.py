"""Spread independent work over threads, processes or a cluster; the results are the same wherever it is done."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from radioopt.base.carried import Carried
from radioopt.base.errors import OptionError, require
from radioopt.base.problem import Problem

#: where work may be done
BACKENDS = ("loky", "threading", "dask")
#: seconds to wait for a scheduler to answer, and for a worker to be there
PATIENCE_S = 30.0


def check_backend(backend: str, scheduler: str | None) -> None:
    """Refuse a backend that there is not, or that would hang, or a scheduler that nobody asks.

    Parameters
    ----------
    backend : str
        One of :data:`BACKENDS`.
    scheduler : str or None
        Address of a dask scheduler.

    Raises
    ------
    OptionError
        With what is accepted.
    """
    if backend == "multiprocessing":
        raise OptionError(
            "backend 'multiprocessing': forks processes, which hang once Numba's threads have run: take loky"
        )
    if backend not in BACKENDS:
        raise OptionError(f"unknown backend {backend!r}, choose from {', '.join(BACKENDS)}")
    if (scheduler is not None) != (backend == "dask"):
        raise OptionError(
            "scheduler: the address of a dask scheduler, as tcp://127.0.0.1:8786, goes with backend='dask', and only "
            "with it"
        )


def spread(
    function: Callable[..., Any],
    work: Iterable[tuple[Any, ...]],
    *,
    jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    extra: str = "learning",
) -> Iterator[Any]:
    """Call a function with each tuple of arguments, somewhere, and give back the results in order.

    Parameters
    ----------
    function : callable
        What is called; the methods that the user registered go with it.
    work : iterable of tuple
        Arguments.
    jobs : int, default 1
        Processes or threads of this machine; -1 takes all cores, 1 works here. A cluster has its own.
    backend : {"loky", "threading", "dask"}, default "loky"
        Processes or threads by joblib, or a cluster by dask.
    scheduler : str, optional
        Address of the cluster's scheduler.
    extra : str, default "learning"
        What to install for joblib.

    Yields
    ------
    object
        What the function returned.

    Raises
    ------
    OptionError
        If there is no such backend, or the cluster's scheduler cannot be reached or has no worker for half a minute.
    MissingExtraError
        If joblib or dask is not installed.

    Examples
    --------
    >>> list(spread(divmod, [(7, 2), (9, 4)]))
    [(3, 1), (2, 1)]
    """
    check_backend(backend, scheduler)
    if backend == "dask":
        yield from _on_cluster(Carried(function), work, scheduler)
        return
    if jobs == 1:
        yield from (function(*given) for given in work)
        return
    joblib = require("joblib", extra)
    if backend == "loky":
        # Where warnings are errors this one would end the thread that hands out the work, and the caller would wait
        # for ever. It says nothing: another process takes the place of the idle one that stopped.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    calls = (joblib.delayed(Carried(function))(*given) for given in work)
    yield from joblib.Parallel(n_jobs=jobs, backend=backend, return_as="generator")(calls)


def _on_cluster(
    function: Callable[..., Any], work: Iterable[tuple[Any, ...]], scheduler: str | None
) -> Iterator[Any]:
    """Call on the workers of a dask cluster; what is not done is given up if the caller stops."""
    distributed = require("distributed", "dask")
    try:
        client = distributed.Client(scheduler, set_as_default=False, timeout=PATIENCE_S)
    except (OSError, ValueError) as error:
        raise OptionError(f"scheduler {scheduler}: there is none: {error}") from error
    with client:
        _await_worker(client, scheduler)
        futures = [client.submit(function, *given, pure=False) for given in work]
        try:
            for future in futures:
                _await(future, client, scheduler)
                yield future.result()
                future.release()
        finally:
            client.cancel([future for future in futures if not future.done()])


def _await(future: Any, client: Any, scheduler: str | None) -> None:
    """Wait until something is done, for as long as there are workers that may do it."""
    while True:
        try:
            future.exception(timeout=PATIENCE_S)  # what it raised is returned
            return
        except TimeoutError:
            _await_worker(client, scheduler)
        except CancelledError as error:
            raise OptionError(f"scheduler {scheduler}: it was there, and is gone: start it again") from error


def _await_worker(client: Any, scheduler: str | None) -> None:
    """Wait until the cluster has a worker, but not for ever."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise OptionError(
            f"scheduler {scheduler}: it has no worker for {PATIENCE_S:g} s: start one, as dask worker {scheduler}"
        ) from error


def solve_chunks(
    problem: Problem[Any],
    size: int,
    method: str | None = None,
    *,
    jobs: int = -1,
    backend: str = "threading",
    scheduler: str | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Solve a batch in chunks, on threads, processes or a cluster, and give back the solutions in order.

    Parameters
    ----------
    problem : Problem
        With at least one batch axis, along the first of which it is cut.
    size : int
        Instances of a chunk >= 1.
    method : str, optional
        As for :meth:`Problem.solve`.
    jobs, backend, scheduler
        Where; see :func:`spread`. Kernels release the interpreter's lock, so that threads are fastest on one machine.
    **options
        As for :meth:`Problem.solve`.

    Yields
    ------
    Solution
        Of one chunk; the same numbers as of the whole batch at once.

    Raises
    ------
    OptionError
        If there is no batch, the size is none, or there is no such backend.

    Examples
    --------
    >>> import numpy as np
    >>> from radioopt import Scenario
    >>> problem = Scenario.load("feel-cpu").draw(seed=1, size=5).problem("feel")
    >>> [len(solution.objective) for solution in solve_chunks(problem, 2, jobs=2)]
    [2, 2, 1]
    """
    if not problem.batch_shape:
        raise OptionError("solve_chunks: expected a batch of problems, got a single one: call solve()")
    if size < 1:
        raise OptionError(f"size: expected at least 1, got {size}")
    check_backend(backend, scheduler)
    given = {} if method is None else {"method": method}
    work = (
        (problem[start : start + size], given | options) for start in range(0, problem.batch_shape[0], size)
    )
    yield from spread(_solve, work, jobs=jobs, backend=backend, scheduler=scheduler)


def _solve(problem: Problem[Any], options: dict[str, Any]) -> Any:
    return problem.solve(**options)
