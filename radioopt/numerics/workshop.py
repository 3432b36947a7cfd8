"""Kernels made in the background, by another process that leaves them where the next one looks for them.

The process reads what to compile from its standard input and answers line by line. It is ended by nobody: where the
program that asked has ended meanwhile, what was asked for is finished, so that the next program finds it. Files are
written whole, and one process at a time compiles for a folder; an interruption costs the kernel in hand.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from radioopt.base.errors import CompileWarning

# What the process imports before it holds the lock should be little: many may wait.

#: kernels that may wait for the process at a time; what does not fit is asked for again
MOST = 16
_DONE, _FAILED = b"radioopt: done", b"radioopt: failed: "

#: what asks for a kernel may be told
UNDER_WAY, IMPOSSIBLE, FAILED = "under way", "impossible", "failed"

_START = "import sys; sys.path[:] = {path!r}; from radioopt.numerics.workshop import main; main()"


class _Helper:
    """A process, and what it was asked for and has not answered yet."""

    def __init__(self) -> None:
        detached: dict[str, Any] = {"start_new_session": True}  # Ctrl-C in the terminal is not for it
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
        process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **detached,
        )
        assert process.stdin is not None
        self.input: IO[bytes] = process.stdin
        self.pending: list[Any] = []
        # Only the thread holds the process, so that nothing complains of one that outlives the program.
        threading.Thread(target=_attend, args=(self, process), name="radioopt-compile", daemon=True).start()


_changed = threading.Condition()
_helper: _Helper | None = None
_failures: dict[Any, str] = {}  # why a version could not be made
_broken = ""  # why no process can be used
_warned = False
_forked = False


def request(kernel: Any, types: tuple[Any, ...], folder: str | None) -> str:
    """Ask for a version of a kernel to be compiled.

    Parameters
    ----------
    kernel : Kernel
        What is to be compiled.
    types : tuple
        Numba's types of its arguments.
    folder : str, optional
        Where compiled versions are kept; None if nowhere.

    Returns
    -------
    str
        ``UNDER_WAY``; ``IMPOSSIBLE`` where there is nothing to be handed over, or in the workers of a pool, each of
        which would start its own; ``FAILED``, of which the first one is told by a warning.
    """
    global _helper, _broken, _warned
    key = name, types = _name(kernel), types
    with _changed:
        reason = _broken or _failures.get(key, "")
        if not reason:
            if _helper is not None and key in _helper.pending:
                return UNDER_WAY
            if folder is None or _in_worker() or not _importable(kernel):
                return IMPOSSIBLE
            try:
                if _helper is None:
                    _helper = _Helper()
                if len(_helper.pending) < MOST:
                    pickle.dump((folder, *name, pickle.dumps(types)), _helper.input)
                    _helper.input.flush()
                    _helper.pending.append(key)
                return UNDER_WAY
            except Exception as error:  # no process, no pipe, or types that cannot be sent: all the same
                reason = _broken = f"{type(error).__name__}: {error}"
        told, _warned = _warned, True
    if not told:
        warnings.warn(
            f"kernels cannot be compiled in the background ({reason}): this process compiles them itself",
            CompileWarning,
            stacklevel=2,
        )
    return FAILED


def wait(kernel: Any, types: tuple[Any, ...], tick: Callable[[], None]) -> None:
    """Wait for a version of a kernel if it is being compiled in the background."""
    key = _name(kernel), types
    with _changed:
        while _helper is not None and key in _helper.pending:
            _changed.wait(0.2)
            tick()


def finish(limit_s: float) -> bool:
    """Wait until nothing is compiled in the background, at most so many seconds; say whether that is so."""
    with _changed:
        return _changed.wait_for(lambda: _helper is None, limit_s)


def _attend(helper: _Helper, process: subprocess.Popen[bytes]) -> None:
    """Take the answers of a process, end it when it has nothing to do, and note what it failed at."""
    global _helper, _broken
    assert process.stdout is not None
    last = b""
    with process.stdout as answers:
        for line in answers:
            last = line.strip() or last
            if not line.startswith((_DONE, _FAILED)):
                continue
            with _changed:
                key = helper.pending.pop(0)
                if line.startswith(_FAILED):
                    _failures[key] = line.removeprefix(_FAILED).decode(errors="replace").strip()
                if not helper.pending:
                    _dismiss(helper)
                _changed.notify_all()
    code = process.wait()
    with _changed:
        if helper.pending:
            _broken = f"the process ended with exit code {code}: {last.decode(errors='replace')}"
            helper.pending.clear()
        _dismiss(helper)
        _changed.notify_all()


def _dismiss(helper: _Helper) -> None:
    """Let a process end."""
    global _helper
    if _helper is helper:
        _helper = None
    with suppress(OSError):
        helper.input.close()


def _name(kernel: Any) -> tuple[str, str]:
    return kernel.py_func.__module__, kernel.py_func.__qualname__


def _importable(kernel: Any) -> bool:
    """Whether another process finds the kernel under its name."""
    module, name = _name(kernel)
    return module != "__main__" and _found(sys.modules.get(module), name) is kernel


def _found(module: Any, name: str) -> Any:
    """Return the kernel of a name; one for all threads stands behind a function that knows of forks."""
    found = getattr(module, name, None)
    return getattr(found, "on_all_threads", found)


def _in_worker() -> bool:
    """Whether this is a process of a pool, or forked by hand."""
    return (
        _forked
        or multiprocessing.parent_process() is not None
        or multiprocessing.current_process().name != "MainProcess"
    )


def _after_fork() -> None:
    """Leave the parent's process to the parent."""
    global _changed, _helper, _forked
    _changed, _helper, _forked = threading.Condition(), None, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def main() -> None:
    """Compile what is asked for on standard input."""
    os.environ["RADIOOPT_COMPILE"] = "wait"
    while True:
        try:
            folder, module, name, types = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        with _alone(folder):
            answer = _make(module, name, types)
        with suppress(OSError):  # nobody listens any more
            os.write(1, answer + b"\n")


def _make(module: str, name: str, types: bytes) -> bytes:
    """Compile a version and see that it is kept; what to answer."""
    try:
        kernel = _found(importlib.import_module(module), name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", CompileWarning)  # what is not kept is of no use
            kernel.compile(pickle.loads(types))
    except Exception as error:
        return _FAILED + " ".join(f"{type(error).__name__}: {error}".split()).encode()
    return _DONE


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Wait until no other process compiles for this folder. Whoever ends, however, gives it back."""
    with ExitStack() as held:
        with suppress(ImportError, OSError):  # no such locks here: two may do the same work
            import fcntl

            file = held.enter_context(open(Path(folder) / "radioopt.lock", "ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
