"""Locks: one process at a time writes a run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from radioopt.base.errors import OptionError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keep others from writing something inside the block.

    Parameters
    ----------
    path : path-like
        A file that exists while it is locked, with the number of the process in it. The system takes the lock back
        when that process ends in whatever way, so a file that is left of a dead one stops nobody.
    what : str
        What is locked, for the message.

    Raises
    ------
    OptionError
        If it is locked already; the message names the process.

    Notes
    -----
    On file systems and systems that cannot lock (Windows) nothing is locked.
    """
    file = _taken(Path(path), what)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                os.unlink(path)  # still locked: nobody else can have made it his
            file.close()


def _taken(path: Path, what: str) -> BinaryIO | None:
    if fcntl is None:
        return None
    while True:
        try:
            file = open(path, "a+b")  # noqa: SIM115 (open as long as it is locked)
        except OSError:  # there is no such folder, or nothing can be written there: writing will say so
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read(200).decode(errors="replace").strip()
            file.close()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise OptionError(
                    f"{what} is being written by {owner or 'another process'}: wait until it ends, or end it; then "
                    "the same goes on from there"
                ) from None
            return None
        if _same(file, path):
            break
        file.close()  # its owner removed it between our opening and locking it
    file.truncate(0)
    file.write(f"process {os.getpid()}, since {datetime.now():%H:%M:%S}".encode())
    file.flush()
    return file


def _same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
