"""Generic solvers in processes of their own: one that hangs, crashes or prints takes nobody with it.

Solvers look at their time limit where it suits them, and two of them in one process can wait for each other for
good. A worker process is killed soon after the limit. It is started with a command of its own rather than by
``multiprocessing``, which would run the caller's script again, and it is kept for the next problem because
importing a modelling language takes longer than most solves. For the same reason references of all families that need
the same packages share a worker.

A worker has one question at a time: threads that need the same one take turns, whoever is interrupted while
waiting takes the worker down, and a forked process starts workers of its own. Every question has a number, which its
answer repeats. Nothing in the folder where the caller works is seen by a worker.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import os
import pickle
import queue
import subprocess
import tempfile
import threading
from typing import IO, Any

from radioopt.base.errors import RadioOptError
from radioopt.base.problem import Problem, problem_class
from validation.process import command
from validation.reference import Answer, Reference, references

#: what a worker may take beyond the limit before it is killed, and to start [s]
GRACE_S, START_S = 2.0, 120.0
#: number of the question, kind ("ready", "answer", "error" or "lost"), content
_Message = tuple[int, str, Any]


class WorkerError(RadioOptError, RuntimeError):
    """A worker that died or had to be killed."""


class Worker:
    """A process that answers for references that need certain packages, one question at a time."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.numbers = itertools.count(1)
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `stop`
        self.inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            command("validation.worker", " ".join(modules)),
            bufsize=0,  # nothing that a fork could write twice
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            cwd=os.sep,
            start_new_session=True,  # a terminal interrupts whoever asks, not all workers
        )
        try:
            threading.Thread(target=self._listen, daemon=True).start()
            kind, content = self._receive(0, START_S)
            if kind == "error":
                raise WorkerError(f"did not start: {content}")
        except BaseException:
            self.stop()
            raise

    def ask(self, name: str, problem: Problem[Any], time_limit_s: float) -> tuple[str, Any]:
        """Send a problem to a reference and wait for "answer" or "error" and what it is.

        Without a reply that is a ``WorkerError``.
        """
        assert self.process.stdin is not None
        number = next(self.numbers)
        fields = problem.to_dict() | problem.settings
        try:
            _write(self.process.stdin, (number, problem.family, name, fields, time_limit_s))
        except BrokenPipeError:
            raise WorkerError("crashed between two problems") from None
        kind, content = self._receive(number, START_S)
        return self._receive(number, time_limit_s + GRACE_S) if kind == "ready" else (kind, content)

    def stop(self) -> None:
        """Kill the process and wait for its end."""
        self.process.kill()
        self.process.wait()
        self._close()

    def leave_to_the_parent(self) -> None:
        """Let go of a process that belongs to the one that this was forked from."""
        self.process.returncode = 0  # not ours to wait for
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._close()

    def _close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.complaints.close()

    def _listen(self) -> None:
        replies = self.process.stdout
        assert replies is not None
        try:
            while True:
                self.inbox.put(_read(replies))
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            self.inbox.put((0, "lost", None))
        finally:
            replies.close()

    def _receive(self, number: int, limit_s: float) -> tuple[str, Any]:
        try:
            answered, kind, content = self.inbox.get(timeout=limit_s)
        except queue.Empty:
            raise WorkerError(f"killed: no answer after {limit_s:g} s") from None
        if kind == "lost":
            raise WorkerError(f"crashed: exit code {self.process.wait()}{self._last_words()}")
        if answered != number:
            raise WorkerError(f"killed: answered question {answered} when asked {number}")
        return kind, content

    def _last_words(self) -> str:
        """Return the last line of what it wrote to its standard error, which names the exception."""
        self.complaints.seek(0)
        lines = self.complaints.read().decode(errors="replace").split("\n")
        return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")


#: by the packages they have imported
_WORKERS: dict[tuple[str, ...], Worker] = {}
_LOCKS: dict[tuple[str, ...], threading.Lock] = {}


def ask(peer: Reference, problem: Problem[Any], time_limit_s: float) -> Answer:
    """Let a reference solve a problem in its worker process.

    Parameters
    ----------
    peer : Reference
        The generic solver.
    problem : Problem
        A single instance.
    time_limit_s : float
        Limit for the solver [s]; its process is killed two seconds later.

    Returns
    -------
    Answer
        What the solver returned.

    Raises
    ------
    WorkerError
        If the process crashed or was killed.
    RadioOptError
        With the words of whatever the reference raised.

    Notes
    -----
    Threads may ask at once: those that want the same packages take turns, so that no solver is timed while another of
    its kind runs. Whatever interrupts a question ends its worker, since its answer would come later.
    """
    key = peer.modules
    with _LOCKS.setdefault(key, threading.Lock()):
        try:
            if key not in _WORKERS:
                _WORKERS[key] = Worker(key)
            kind, content = _WORKERS[key].ask(peer.name, problem, time_limit_s)
        except BaseException:
            if key in _WORKERS:
                _WORKERS.pop(key).stop()
            raise
    if kind == "error":
        raise content
    answer: Answer = content
    return answer


@atexit.register
def stop_all() -> None:
    """Kill all workers."""
    while _WORKERS:
        _WORKERS.popitem()[1].stop()


def _after_fork() -> None:
    """Start anew in a forked process: the workers are the parent's, a lock may be held by a thread of it."""
    _LOCKS.clear()
    while _WORKERS:
        _WORKERS.popitem()[1].leave_to_the_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def serve(modules: tuple[str, ...], requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until they end; what a worker process runs.

    Parameters
    ----------
    modules : tuple of str
        Packages that its references need.
    requests, replies : unbuffered binary file
        Pickled ``(number, family, name, fields, time_limit_s)``; pickled ``(number, kind, content)`` of kind "ready",
        "answer" or "error". The number of a reply is that of its request, 0 of the first, when ready for any.
    """
    try:
        for module in modules:
            importlib.import_module(module)
    except Exception as error:
        _write(replies, (0, "error", f"{type(error).__name__}: {error}"))
        raise
    _write(replies, (0, "ready", None))
    while True:
        try:
            number, family, name, fields, time_limit_s = _read(requests)
        except EOFError:
            return
        try:
            peer, problem = references(family)[name], problem_class(family)(**fields, **{"strict": None})
            _write(replies, (number, "ready", None))  # what a family has to import is not the solver's time
            answer = peer.solve(problem, time_limit_s)
        except Exception as error:
            _write(replies, (number, "error", RadioOptError(f"{type(error).__name__}: {error}")))
        else:
            _write(replies, (number, "answer", answer))


def main(modules: str) -> None:
    """Be a worker: questions at standard input, answers to standard output.

    Parameters
    ----------
    modules : str
        Packages that its references need, with blanks between them.
    """
    # replies get a pipe of their own; what solvers print goes nowhere
    with os.fdopen(os.dup(1), "wb", buffering=0) as replies, open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        with os.fdopen(os.dup(0), "rb", buffering=0) as requests:
            serve(tuple(modules.split()), requests, replies)


def _write(pipe: IO[bytes], message: Any) -> None:
    """Write a message after its length."""
    content = pickle.dumps(message)
    left = memoryview(len(content).to_bytes(8, "little") + content)
    while left:
        left = left[pipe.write(left) :]


def _read(pipe: IO[bytes]) -> Any:
    """Read a message as written by `_write`; ``EOFError`` where there is none or only a part of it."""
    length = int.from_bytes(_exactly(pipe, 8), "little")
    return pickle.loads(_exactly(pipe, length))


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        part = pipe.read(length - len(found))
        if not part:
            raise EOFError
        found += part
    return bytes(found)
