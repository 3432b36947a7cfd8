"""Generic solvers in processes of their own: one that hangs, crashes or prints takes nobody with it.

Solvers look at their time limit where it suits them, and two of them in one process can wait for each other for
good. A worker process is killed soon after the limit. It is started as a module rather than by
``multiprocessing``, which would run the caller's script again, and it is kept for the next problem because
importing a modelling language takes longer than most solves.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from radioopt.base.errors import RadioOptError
from radioopt.base.problem import Problem, problem_class
from validation.reference import Answer, Reference, installed, references

#: what a worker may take beyond the limit before it is killed, and to start [s]
GRACE_S, START_S = 2.0, 120.0

_Message = tuple[str, Any]


class WorkerError(RadioOptError, RuntimeError):
    """A worker that died or had to be killed."""


class Worker:
    """A process that answers for one reference."""

    def __init__(self, family: str, name: str) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "validation.worker", family, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
        )
        self.inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._receive(START_S)

    def ask(self, problem: Problem[Any], time_limit_s: float) -> Answer:
        """Send a problem and wait; raise what the solver raised, or ``WorkerError`` if there is no reply."""
        assert self.process.stdin is not None
        try:
            pickle.dump((problem.to_dict() | problem.settings, time_limit_s), self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("crashed between two problems") from None
        answer: Answer = self._receive(time_limit_s + GRACE_S)
        return answer

    def stop(self) -> None:
        """Kill the process and wait for its end."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it has not read is lost
            self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                self.inbox.put(pickle.load(self.process.stdout))
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            self.inbox.put(("lost", None))
        finally:
            self.process.stdout.close()

    def _receive(self, limit_s: float) -> Any:
        try:
            kind, content = self.inbox.get(timeout=limit_s)
        except queue.Empty:
            self.stop()
            raise WorkerError(f"killed: no answer after {limit_s:g} s") from None
        if kind == "lost":
            raise WorkerError(f"crashed: exit code {self.process.wait()}")
        if kind == "error":
            raise content
        return content


_WORKERS: dict[tuple[str, str], Worker] = {}


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
    Exception
        Whatever the reference raised.
    """
    key = problem.family, peer.name
    try:
        if key not in _WORKERS:
            _WORKERS[key] = Worker(*key)
        return _WORKERS[key].ask(problem, time_limit_s)
    except WorkerError:
        if key in _WORKERS:
            _WORKERS.pop(key).stop()
        raise


@atexit.register
def stop_all() -> None:
    """Kill all workers."""
    while _WORKERS:
        _WORKERS.popitem()[1].stop()


def serve(family: str, name: str, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until they end; what a worker process runs.

    Parameters
    ----------
    family, name : str
        Which reference.
    requests, replies : binary file
        Pickled ``(fields, time_limit_s)``; pickled ``(kind, content)`` of kind "ready", "answer" or "error".
    """

    def reply(kind: str, content: Any) -> None:
        pickle.dump((kind, content), replies)
        replies.flush()

    peer = installed(references(family)[name])
    cls = problem_class(family)
    reply("ready", None)
    while True:
        try:
            fields, time_limit_s = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = peer.solve(cls(**fields), time_limit_s)
        except Exception as error:
            reply("error", RadioOptError(f"{type(error).__name__}: {error}"))
        else:
            reply("answer", answer)


if __name__ == "__main__":
    # replies get a pipe of their own; what solvers print goes nowhere
    with os.fdopen(os.dup(1), "wb") as replies_pipe, open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        serve(sys.argv[1], sys.argv[2], sys.stdin.buffer, replies_pipe)
