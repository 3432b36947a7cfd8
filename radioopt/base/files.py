"""Files written whole or not at all: a reader never sees half of one, a crash never leaves one."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file beside its destination, then move it there in one step.

    Parameters
    ----------
    path : path-like
        Destination; an existing file is replaced, and folders that are missing are made.
    data : bytes
        The whole content.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    OSError
        If the folder cannot be made or written; the destination is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


@contextmanager
def whole_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a temporary folder beside the destination; rename it there only if the block succeeds.

    Parameters
    ----------
    path : path-like
        Destination; its parents are created.

    Yields
    ------
    pathlib.Path
        The temporary folder to fill.

    Raises
    ------
    FileExistsError
        If the destination exists already, or another process has made it meanwhile.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            raise FileExistsError(f"{path} exists already: choose another name or remove it") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _beside(path: Path) -> Path:
    """Name a hidden neighbour that nobody else uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
