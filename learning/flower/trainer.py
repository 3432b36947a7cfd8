"""A trainer that stays: beside each SuperNode one process with torch, data and models, for letter after letter.

Flower starts a process for every message. Here that process imports no torch: it passes the letter to the trainer of
its node over a local socket, and its answer back. The first letter starts the trainer, which ends with the SuperNode.
What devices keep goes back and forth with each letter and stays in Flower's ``context.state``, so that nothing is
lost with a trainer: the next letter starts another one.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from learning.flower import grid
from learning.flower.letters import Letter, Memory
from learning.flower.post import GRACE_S

#: the answer of a trainer, or what went wrong, with what the devices keep
Said = tuple[Letter | str, Memory]
#: seconds in which a trainer that was started has to open its socket, which is before it imports torch
OPENING_S = 60.0
#: seconds between two looks whether it has
LOOK_S = 0.02
#: seconds in which it has to make data and models, once for a run
MAKING_S = 1800.0


def client_app() -> Any:
    """Make the app that a node of a deployment runs."""
    return grid.client_app(ask)


# -- in the process that Flower starts for a message ---------------------------------------------------


def ask(letter: Letter, memory: Memory) -> Letter:
    """Have the trainer of this node do what a letter says; arguments as of :func:`learning.flower.node.answer`.

    Parameters
    ----------
    letter : Letter
        From the server.
    memory : mutable mapping
        What the devices keep; changed.

    Returns
    -------
    Letter
        What they send. Its ``load_s`` are the seconds here and there in which nobody computed.

    Raises
    ------
    RuntimeError
        If the trainer fails, or ends: because it is killed, or because it takes longer than the round's deadline. Or if
        it says nothing for so long that the server would throw the answer away.
    """
    began = time.perf_counter()
    said, kept = _within(float(letter.numbers["deadline_s"]) + GRACE_S, lambda: _told(letter, memory))
    if isinstance(said, str):
        raise RuntimeError(f"trainer: {said}")
    memory.clear()
    memory.update(kept)
    waited = time.perf_counter() - began - said.numbers["compute_s"]
    return Letter({**said.numbers, "load_s": waited}, said.arrays)


def _told(letter: Letter, memory: Memory) -> Said:
    """Pass a letter to the trainer, and return what it says."""
    with _reached(os.getppid()) as line:
        try:
            line.send((letter, dict(memory)))
            said, kept = line.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError("trainer: it ended in mid-work; the next letter starts another one") from error
    return said, kept


def _within(seconds: float, do: Callable[[], Said]) -> Said:
    """Wait so long and no longer for what talks over a socket, which could wait for ever."""
    found: list[Said] = []
    raised: list[BaseException] = []

    def note() -> None:
        try:
            found.append(do())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=note, daemon=True)  # it ends with this process
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise RuntimeError(
            f"trainer: it said nothing within {seconds:g} s; the log of the SuperNode may say why"
        )
    return found[0]


def _reached(owner: int) -> Connection[Any, Any]:
    """Connect to the trainer that ends with a process, and start it if there is none."""
    folder = _folder(owner)
    line = _connected(folder)
    if line is not None:
        return line
    (folder / "socket").unlink(missing_ok=True)
    with open(os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    command = [sys.executable, "-P", "-m", "learning.flower.trainer", str(folder), str(owner)]
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    began = time.monotonic()
    while (line := _connected(folder)) is None:
        if started.poll() is not None or time.monotonic() - began > OPENING_S:
            started.kill()
            raise RuntimeError("trainer: it did not start; the log of the SuperNode says why")
        time.sleep(LOOK_S)
    return line


def _connected(folder: Path) -> Connection[Any, Any] | None:
    """Connect to a trainer, if there is one: both have to know the key."""
    try:
        return Client(str(folder / "socket"), "AF_UNIX", authkey=(folder / "key").read_bytes())
    except (FileNotFoundError, ConnectionError, EOFError):  # none, or one that has ended
        return None


def _folder(owner: int) -> Path:
    """Return the folder of socket and key, which no other user may enter."""
    own = Path(tempfile.gettempdir()) / f"radioopt-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    about = own.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise RuntimeError(f"trainer: {own} belongs to others or is open to them: remove it, or set TMPDIR")
    folder = own / str(owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


# -- in the trainer ------------------------------------------------------------------------------------


def serve(folder: Path, owner: int) -> None:
    """Answer letters for as long as a process lives.

    Parameters
    ----------
    folder : Path
        Of the key and of the socket, which is made here.
    owner : int
        Process, Flower's SuperExec, with which this one ends.
    """
    key = (folder / "key").read_bytes()
    (folder / "pid").write_text(str(os.getpid()))
    with Listener(str(folder / "socket"), "AF_UNIX", authkey=key) as listener:
        threading.Thread(target=_end_with, args=(owner, folder), daemon=True).start()
        while True:
            try:
                with listener.accept() as line:
                    line.send(_answered(*line.recv()))
            except (AuthenticationError, EOFError, ConnectionError) as error:  # no key, or gone
                print(f"trainer: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _answered(letter: Letter, memory: Memory) -> Said:
    """Do what a letter says, or say what went wrong; end the process if it takes longer than the round."""
    import faulthandler
    import traceback

    from learning.flower.node import answer
    from learning.flower.told import made

    try:
        faulthandler.dump_traceback_later(MAKING_S, exit=True)
        made(str(letter.numbers["settings"]))  # once: it may take longer than a round
        faulthandler.dump_traceback_later(float(letter.numbers["deadline_s"]), exit=True)
        return answer(letter, memory), memory
    except Exception as error:  # whatever it is goes to the server, which says so, and to the log
        traceback.print_exc()
        return f"{type(error).__name__}: {error}", memory
    finally:
        faulthandler.cancel_dump_traceback_later()


def _end_with(owner: int, folder: Path) -> None:
    """Wait until a process has ended, then end this one."""
    try:
        if hasattr(os, "pidfd_open"):
            select.select([os.pidfd_open(owner)], [], [])
        else:
            while True:
                os.kill(owner, 0)
                time.sleep(1.0)
    except ProcessLookupError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
