"""What parallel kernels do in a forked process: the same work, on one thread.

A fork copies the calling thread alone. Threads that kernels ran on before are missing in the child, and Numba ends a
child that calls for them; if another library, PyTorch for instance, ran its own on the same OpenMP, the child waits for
them for ever. The child cannot see which threads its parent had, so every forked process goes on one thread, also one
that was forked before radioopt was imported, of which the kernel of Linux tells. Processes started by spawn or
forkserver, and by joblib, have threads of their own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: bit in the flags of a process of Linux: it was forked, and has not begun another program since
FORKED = 0x40


def forked_before() -> bool:
    """Tell whether this process was forked off a program that ran, before radioopt was imported; only Linux knows.

    Not so a child of multiprocessing's forkserver, which has no threads when it forks.
    """
    try:
        flags = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[6]
        parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    except (OSError, IndexError):
        return False
    return bool(int(flags) & FORKED) and b"multiprocessing.forkserver" not in parent


_forked = forked_before()


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def as_in_a_fork() -> Iterator[None]:
    """Have kernels run on one thread inside the block, as they do in a forked process: to make them ready for one."""
    global _forked
    before, _forked = _forked, True
    try:
        yield
    finally:
        _forked = before


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
