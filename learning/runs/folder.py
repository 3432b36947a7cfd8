"""Run folders: numbers, picture and manifest of a run; what an interrupted one needs to go on."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.base.errors import OptionError
from radioopt.base.files import whole_directory, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from learning.loop import TrainingResult
    from learning.study.compare import Comparison

PACKAGES = ("radioopt", "numpy", "scipy", "numba", "pandas", "torch", "scikit-learn", "matplotlib", "joblib")


#: the files of a run
METRICS, CURVES, PICTURE, MANIFEST = "metrics.csv", "curves.csv", "plot.png", "manifest.json"
#: what makes a folder without a manifest one of an unfinished run, and what it goes on from
UNFINISHED, CHECKPOINT = "unfinished.json", "checkpoint.npz"


def save_run(result: TrainingResult | Comparison, name: str, folder: str | os.PathLike[str] = "runs") -> Path:
    """Write a run to a folder of its own: ``metrics.csv``, ``plot.png``, ``manifest.json``.

    Parameters
    ----------
    result : TrainingResult or Comparison
        A run, whose metrics are a row per round; or a comparison, with a row per run, and the rounds of all runs
        in ``curves.csv``.
    name : str
        Name of the folder: letters, digits, ``-``, ``_`` and ``.``, not starting with a dot.
    folder : path-like, default "runs"
        Where run folders are; made if there is none.

    Returns
    -------
    pathlib.Path
        The folder written. After an error or an interruption there is none, or the unfinished one of
        :func:`begin_run`, which is completed: the manifest comes last, and what was kept to go on is removed.

    Raises
    ------
    OptionError
        If the name is no such name, or that of a finished run.
    MissingExtraError
        If matplotlib is not installed.
    OSError
        If the folder cannot be written.

    Notes
    -----
    The manifest holds all settings and their SHA-256, SHA-256 of the data, the partition and the initial
    weights, the versions of the packages, the processor, and how the run ended: what is needed to do it again and
    to compare it with others (``radioopt compare``).
    """
    path = Path(folder) / name if is_unfinished(Path(folder) / name) else run_folder(name, folder)
    files = _files(result)
    if is_unfinished(path):
        for file, content in files.items():
            write_whole(path / file, content)
        for left in (*path.glob(".*"), *path.glob("*.npz"), path / UNFINISHED):
            left.unlink(missing_ok=True)
        return path
    with whole_directory(path) as target:
        for file, content in files.items():
            (target / file).write_bytes(content)
    return path


def _files(result: TrainingResult | Comparison) -> dict[str, bytes]:
    """Name the files of a run and what is in them, the manifest last."""
    import pandas as pd

    from learning.loop import TrainingResult

    files = {METRICS: _csv(result.to_frame())}
    ended = {}
    if isinstance(result, TrainingResult):
        ledger = result.ledger
        ended = {
            "stopped": result.stopped,
            "rounds": len(ledger),
            "seconds": ledger.seconds,
            "energy_j": ledger.energy_j,
            "test_accuracy": ledger.accuracy,
        }
    else:
        files[CURVES] = _csv(pd.concat(result.curves, names=["policy", "seed"]))
    picture = io.BytesIO()
    result.plot().savefig(picture, format="png", dpi=150)
    files[PICTURE] = picture.getvalue()
    manifest = manifest_of(result.config) | {"result": _plain(ended)}
    files[MANIFEST] = json.dumps(manifest, indent=1, allow_nan=False).encode() + b"\n"
    return files


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
        The folder, a place for the checkpoint of :func:`learning.loop.train`.

    Raises
    ------
    OptionError
        If the name is no such name, that of a finished run, or that of an unfinished one with other settings; the
        message names them.
    """
    path = Path(folder) / str(name)
    if not is_unfinished(path):
        path = run_folder(name, folder)
        with whole_directory(path) as target:
            (target / UNFINISHED).write_text(json.dumps(_plain(settings), indent=1) + "\n")
        return path
    other = list(differences(unfinished_settings(path), json.loads(json.dumps(_plain(settings)))))
    if other:
        raise OptionError(
            f"run {name!r}: {path} is unfinished, with other settings ({'; '.join(other[:4])}): radioopt train "
            f"--resume {path} goes on with it; or choose another name"
        )
    return path


def is_unfinished(path: Path) -> bool:
    """Whether a folder is that of a run that was begun and not finished."""
    return (path / UNFINISHED).is_file() and not (path / MANIFEST).exists()


def unfinished_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of an unfinished run.

    Parameters
    ----------
    path : path-like
        Its folder.

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
    if (path / MANIFEST).exists():
        raise OptionError(f"run {path} is finished: its numbers are in {METRICS}, its settings in {MANIFEST}")
    if not (path / UNFINISHED).exists():
        raise OptionError(f"{path} is no run: there is neither {MANIFEST} nor {UNFINISHED} in it")
    try:
        settings = json.loads((path / UNFINISHED).read_bytes())
        if not isinstance(settings, dict):
            raise ValueError("no settings in it")
    except ValueError as error:
        raise OptionError(
            f"{path / UNFINISHED} is damaged ({error}): remove {path} and start again"
        ) from error
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


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Say what differs between two settings, key by key.

    Parameters
    ----------
    there, here : object
        Nested mappings of plain values.
    name : str
        What they are.

    Yields
    ------
    str
        "key: this there, that here".
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in {**there, **here}:
            inner = f"{name}.{key}" if name else str(key)
            yield from differences(there.get(key, "not set"), here.get(key, "not set"), inner)
    elif there != here:
        yield f"{name}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def manifest_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a run so that it can be done again.

    Parameters
    ----------
    config : mapping
        Settings of the run, as in its result.

    Returns
    -------
    dict
        ``created`` (UTC), ``config``, ``config_sha256``, ``versions``, ``hardware``; fit for strict JSON, infinite
        numbers as null.
    """
    plain = _plain(config)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": plain,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()
