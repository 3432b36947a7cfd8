"""What parallel kernels do in a forked process: the same work, on one thread.

A fork copies the calling thread alone. Threads that kernels ran on before are missing in the child, and Numba ends a
child that calls for them; if another library, PyTorch for instance, ran its own on the same OpenMP, the child waits for
them for ever. None of this can be seen from the child. Processes started by spawn or forkserver, and by joblib, have
threads of their own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def forkable(parallel: Callable[..., Any], serial: Callable[..., Any]) -> Callable[..., Any]:
    """Call a kernel compiled for all threads, or its twin for one thread in a forked process.

    Parameters
    ----------
    parallel, serial : callable
        The same kernel, compiled twice.

    Returns
    -------
    callable
        Takes what they take. Python calls it, not kernels.
    """

    @functools.wraps(parallel)
    def call(*arguments: Any) -> Any:
        return serial(*arguments) if _forked else parallel(*arguments)

    call.on_all_threads = parallel  # type: ignore[attr-defined]
    return call
