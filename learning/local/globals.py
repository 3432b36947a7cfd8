"""Torch's settings that are the whole process's: taken while training goes on, and left as they were."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch


class _Held:
    """A setting of the whole process, held by trainings that may overlap in several threads.

    The first to come remembers what was set, the last to go restores it.

    Parameters
    ----------
    read, write : callable
        Get and set it.
    threaded : bool, default False
        Whether each thread has a copy of its own of what was set when it began, and sets both: then every thread
        restores when it goes, which those inside do not notice.
    """

    def __init__(
        self, read: Callable[[], Any], write: Callable[[Any], None], *, threaded: bool = False
    ) -> None:
        self._read, self._write, self._threaded = read, write, threaded
        self._lock = threading.Lock()
        self._inside = 0
        self._before: Any = None
        self._own = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._alone)

    @contextmanager
    def at(self, value: Any) -> Iterator[None]:
        """Hold it at a value inside the block."""
        outer = self._outer()
        with self._lock:
            if outer is None:
                if not self._inside:
                    self._before = self._read()
                self._inside += 1
            self._write(value)
        self._own.value = value
        try:
            yield
        finally:
            self._own.value = outer
            with self._lock:
                if outer is not None:
                    self._write(outer)
                else:
                    self._inside -= 1
                    if self._threaded or not self._inside:
                        self._write(self._before)

    def _outer(self) -> Any:
        """Return the value of the block of this thread around this place; None if there is none."""
        return getattr(self._own, "value", None)

    def _alone(self) -> None:
        """In a forked process the other threads are gone, and so is what they hold."""
        self._lock = threading.Lock()
        if self._inside and self._outer() is None:
            self._write(self._before)
        self._inside = int(self._outer() is not None)


def _let_threads_end(patience: float = 1.0) -> None:
    """Wait until no thread is about to end, for at most so many seconds.

    A thread that Python has joined still runs for a moment, and gives MKL's locks back only then. It is not one of
    Python's any longer, and not asleep, as those of pools are.
    """
    tasks = Path("/proc/self/task")
    alive = {str(thread.native_id) for thread in threading.enumerate()}
    until = time.monotonic() + patience
    while time.monotonic() < until:
        for task in tasks.iterdir() if tasks.exists() else ():
            with suppress(OSError):  # it has ended meanwhile
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                if task.name not in alive and state != "S":
                    break
        else:
            return
        time.sleep(0.0002)


def _make_forks_safe() -> None:
    """Let MKL give back, before every fork, what it keeps per thread, when no thread is in the midst of that.

    A forked process that inherits a lock of an ending thread, or what ended ones have left, waits in MKL for ever.
    """
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))
        os.register_at_fork(before=library.mkl_serv_free_buffers)
        os.register_at_fork(before=_let_threads_end)  # the last registered is the first to run
    except (OSError, AttributeError):  # no MKL in this torch, or no fork
        return


_make_forks_safe()
_THREADS = _Held(torch.get_num_threads, torch.set_num_threads, threaded=True)
_KIND = _Held(torch.get_default_dtype, torch.set_default_dtype)


def torch_threads(count: int) -> AbstractContextManager[None]:
    """Run torch on so many threads inside the block."""
    return _THREADS.at(count)


@contextmanager
def same_threads() -> Iterator[None]:
    """Keep torch's threads as they are over a block that runs a parallel kernel, which sets their number anew."""
    count = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(count)


@contextmanager
def fresh_torch() -> Iterator[None]:
    """Let training do what it does whatever a user has set in torch: modes, autocast, default device, number type.

    It is a decorator too.
    """
    place = torch.get_default_device()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if place.type != "cpu":  # a default device slows every operation down
            torch.set_default_device(None)
            stack.callback(torch.set_default_device, place)
        stack.enter_context(_KIND.at(torch.float32))
        yield
