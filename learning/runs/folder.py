"""Run folders: numbers, picture and manifest of a run; what an interrupted one needs to go on."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from learning.runs.manifest import differences, manifest_of, plain
from radioopt.base.errors import OptionError
from radioopt.base.files import whole_directory, write_whole
from radioopt.base.pictures import drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


#: the files of a run
METRICS, CURVES, MANIFEST = "metrics.csv", "curves.csv", "manifest.json"
PICTURES = ("plot.png", "plot.pdf")
#: seconds and joules by device, of a single run
DEVICES = "devices.csv"
#: what makes a folder without a manifest one of an unfinished run, and what it goes on from
UNFINISHED, CHECKPOINT = "unfinished.json", "checkpoint.npz"
#: a file that is there and locked while a process writes the run, see :func:`learning.runs.lock.locked`
LOCK = "lock"
#: the command of a finished run, by which it goes on
COMMAND = "command.json"
#: files that are kept for that
KEPT = (COMMAND, CHECKPOINT, f"{CHECKPOINT}.prepared")


class Saveable(Protocol):
    """What a run's folder is made of: a run, or a comparison of several."""

    config: dict[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """Return the metrics."""
        ...

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return more tables, by the name of their file."""
        ...

    def ended(self) -> dict[str, Any]:
        """Return how it ended."""
        ...

    def plot(self) -> Figure:
        """Draw it."""
        ...


def save_run(result: Saveable, name: str, folder: str | os.PathLike[str] = "runs") -> Path:
    """Write a run to a folder of its own: ``metrics.csv``, ``devices.csv``, ``manifest.json``, pictures.

    Parameters
    ----------
    result : TrainingResult or Comparison
        A run, whose metrics are a row per round, and whose devices are a row each; or a comparison, with a row per
        run, the rounds of all runs in ``curves.csv``, and means with intervals per round in ``rounds.csv``.
        ``plot.png`` and ``plot.pdf`` draw it.
    name : str
        Name of the folder: letters, digits, ``-``, ``_`` and ``.``, not starting with a dot.
    folder : path-like, default "runs"
        Where run folders are; made if there is none.

    Returns
    -------
    pathlib.Path
        The folder written. After an error or an interruption there is none, or the unfinished one of
        :func:`begin_run`, which is completed: the manifest comes last. The checkpoint of a single run stays, so that it
        can go on with more rounds.

    Raises
    ------
    OptionError
        If the name is no such name, or that of a finished run.
    OSError
        If the folder cannot be written.

    Notes
    -----
    Numbers are saved before the picture is drawn; where it cannot be, a warning says why. The manifest holds all
    settings and their SHA-256, SHA-256 of the data, the partition and the initial weights, the versions of the
    packages, the processor, and how the run ended: what is needed to do it again and to compare it with others
    (``radioopt compare``).
    """
    path = Path(folder) / name if is_unfinished(Path(folder) / name) else run_folder(name, folder)
    files = _numbers(result)
    if is_unfinished(path):
        for file, content in files.items():
            write_whole(path / file, content)
        for left in (*path.glob(".*"), *path.glob("*.npz*"), path / UNFINISHED):
            if not left.name.startswith(CHECKPOINT):
                left.unlink(missing_ok=True)
    else:
        with whole_directory(path) as target:
            for file, content in files.items():
                (target / file).write_bytes(content)
    draw(result.plot, path)
    return path


def _numbers(result: Saveable) -> dict[str, bytes]:
    """Name the files of a run and what is in them, the manifest last."""
    files = {METRICS: _csv(result.to_frame())}
    files |= {name: _csv(frame) for name, frame in result.tables().items()}
    manifest = manifest_of(result.config) | {"result": plain(result.ended())}
    files[MANIFEST] = json.dumps(manifest, indent=1, allow_nan=False).encode() + b"\n"
    return files


def draw(plot: Callable[[], Figure], path: Path) -> None:
    """Draw the picture of a run whose numbers are saved: it can be drawn again, a run cannot be done again."""
    try:
        figure = plot()
        pictures = {name: drawn(figure, name.rpartition(".")[2]) for name in PICTURES}
        for name, content in pictures.items():
            write_whole(path / name, content)
    except Exception as error:  # matplotlib can fail in any way: settings, fonts, LaTeX, memory
        for name in PICTURES:
            (path / name).unlink(missing_ok=True)  # of fewer rounds, if there was one
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        warnings.warn(f"no {' and '.join(PICTURES)}: {reason}; the numbers are saved", stacklevel=3)


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv().encode()


def begin_run(name: str, settings: Mapping[str, Any], folder: str | os.PathLike[str] = "runs") -> Path:
    """Make the folder of a run that can be interrupted, or find the one that was.

    Parameters
    ----------
    name : str
        As for :func:`save_run`.
    settings : mapping
        All that is needed to go on, fit for JSON; kept in ``unfinished.json`` until :func:`save_run`.
    folder : path-like, default "runs"
        Where run folders are; made if there is none.

    Returns
    -------
    pathlib.Path
        The folder, a place for the checkpoint of :func:`learning.train`.

    Raises
    ------
    OptionError
        If the name is no such name, that of a finished run, or that of an unfinished one with other settings; the
        message names them.
    """
    path = Path(folder) / str(name)
    if not is_unfinished(path):
        try:
            return _begun(run_folder(name, folder), settings)
        except (FileExistsError, OptionError):
            if not is_unfinished(path):
                raise
            # else it was made by another process or thread since we looked
    other = list(differences(told_settings(path), json.loads(json.dumps(plain(settings)))))
    if other:
        raise OptionError(
            f"run {name!r}: {path} is unfinished, with other settings ({'; '.join(other[:4])}): radioopt train "
            f"--resume {path} goes on with it; or choose another name"
        )
    return path


def begin_another(name: str, settings: Mapping[str, Any], folder: str | os.PathLike[str] = "runs") -> Path:
    """Make the folder of a new run, with a number after its name where that is taken.

    Parameters
    ----------
    name, settings, folder
        As for :func:`begin_run`.

    Returns
    -------
    pathlib.Path
        The folder, which no other run has, even if it is begun at the same time.
    """
    for number in itertools.count(1):
        path = Path(folder) / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            return _begun(path, settings)
    raise AssertionError


def _begun(path: Path, settings: Mapping[str, Any]) -> Path:
    with whole_directory(path) as target:
        (target / UNFINISHED).write_text(json.dumps(plain(settings), indent=1) + "\n")
    return path


def is_unfinished(path: Path) -> bool:
    """Whether a folder is that of a run that was begun and not finished."""
    return (path / UNFINISHED).is_file() and not (path / MANIFEST).exists()


def is_finished(path: Path) -> bool:
    """Whether a folder is that of a finished run that can go on."""
    return all((path / name).is_file() for name in (MANIFEST, COMMAND, CHECKPOINT))


def finish_run(result: Saveable, path: Path, settings: Mapping[str, Any]) -> None:
    """Complete the folder of a run that was begun or that went on, and keep the command by which it goes on.

    Parameters
    ----------
    result : TrainingResult or Comparison
        A run or a comparison.
    path : path-like
        Its folder, from :func:`begin_run`.
    settings : mapping
        What :func:`begin_run` was given, with the limits that it has now.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    further = is_finished(path)
    if further:
        for name in PICTURES:  # of fewer rounds: a run that is broken off here is drawn anew
            (path / name).unlink(missing_ok=True)
    if (path / CHECKPOINT).exists():
        write_whole(path / COMMAND, (json.dumps(plain(settings), indent=1) + "\n").encode())
    if not further:
        save_run(result, path.name, path.parent)
        return
    for file, content in _numbers(result).items():
        write_whole(path / file, content)
    draw(result.plot, path)


def is_undrawn(path: Path) -> bool:
    """Whether a run is finished, and its picture is missing: it was killed before, or could not be drawn."""
    return (path / MANIFEST).is_file() and not all((path / name).is_file() for name in PICTURES)


def told_settings(path: str | os.PathLike[str], *, further: bool = False) -> dict[str, Any]:
    """Return the settings of a run that is to go on.

    Parameters
    ----------
    path : path-like
        Its folder.
    further : bool, default False
        Whether a finished run is to go on too, which needs other limits.

    Returns
    -------
    dict
        What :func:`begin_run` was given.

    Raises
    ------
    OptionError
        If there is no such folder, the run is finished, it is no run, or its settings are damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise OptionError(f"run {path}: no such folder")
    file = path / (COMMAND if is_finished(path) and further else UNFINISHED)
    if (path / MANIFEST).exists() and file.name == UNFINISHED:
        how = (
            "ask for more rounds, seconds or joules, or another target"
            if is_finished(path)
            else "train anew with these limits: comparisons, and runs saved without a checkpoint, have kept no state"
        )
        raise OptionError(
            f"run {path} is finished: its numbers are in {METRICS}, its settings in {MANIFEST}; to go on, {how}"
        )
    if not file.exists():
        raise OptionError(f"{path} is no run: there is neither {MANIFEST} nor {UNFINISHED} in it")
    try:
        settings = json.loads(file.read_bytes())
        if not isinstance(settings, dict):
            raise ValueError("no settings in it")
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{file} is damaged ({error}): remove {path} and start again") from error
    return settings


def abandon_run(path: Path) -> bool:
    """Remove an unfinished run that has kept nothing yet; say whether it did."""
    if not is_unfinished(path) or any(path.glob("*.npz")):
        return False
    shutil.rmtree(path)
    return True


def run_folder(name: str, folder: str | os.PathLike[str] = "runs") -> Path:
    """Return the path for a new run, or refuse a name that cannot be used; best asked before a long run.

    Parameters
    ----------
    name : str
        As for :func:`save_run`.
    folder : path-like, default "runs"
        Where run folders are.

    Returns
    -------
    pathlib.Path
        A path that does not exist.

    Raises
    ------
    OptionError
        If the name is no such name, or exists already.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise OptionError(f"run name {name!r}: expected letters, digits, - _ and ., not starting with a dot")
    path = Path(folder) / name
    if is_unfinished(path):
        raise OptionError(
            f"run {name!r}: {path} is unfinished: radioopt train --resume {path} goes on with it"
        )
    if path.exists():
        raise OptionError(f"run {name!r}: {path} exists already: choose another name or remove that folder")
    return path
