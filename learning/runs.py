"""Run folders: numbers, picture and manifest of a run, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.base.errors import OptionError
from radioopt.base.files import whole_directory

if TYPE_CHECKING:
    from learning.comparison import Comparison
    from learning.loop import TrainingResult

PACKAGES = ("radioopt", "numpy", "scipy", "numba", "pandas", "torch", "scikit-learn", "matplotlib", "joblib")


def save_run(result: TrainingResult | Comparison, name: str, folder: str | os.PathLike[str] = "runs") -> Path:
    """Write a run to a folder of its own: ``metrics.csv``, ``plot.png``, ``manifest.json``.

    Parameters
    ----------
    result : TrainingResult or Comparison
        A run, whose metrics are a row per round; or a comparison, with a row per run.
    name : str
        Name of the folder: letters, digits, ``-``, ``_`` and ``.``, not starting with a dot.
    folder : path-like, default "runs"
        Where run folders are; made if there is none.

    Returns
    -------
    pathlib.Path
        The folder written. After an error or an interruption there is none.

    Raises
    ------
    OptionError
        If the name is no such name, or exists already.
    MissingExtraError
        If matplotlib is not installed.
    OSError
        If the folder cannot be written.

    Notes
    -----
    The manifest holds all settings and their SHA-256, SHA-256 of the data, the partition and the initial
    weights, the versions of the packages, and the processor: what is needed to do the run again.
    """
    path = run_folder(name, folder)
    metrics = io.StringIO()
    result.to_frame().to_csv(metrics)
    picture = io.BytesIO()
    result.plot().savefig(picture, format="png", dpi=150)
    manifest = json.dumps(manifest_of(result.config), indent=1, allow_nan=False)
    with whole_directory(path) as target:
        (target / "metrics.csv").write_text(metrics.getvalue())
        (target / "plot.png").write_bytes(picture.getvalue())
        (target / "manifest.json").write_text(manifest + "\n")
    return path


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
    if path.exists():
        raise OptionError(f"run {name!r}: {path} exists already: choose another name or remove that folder")
    return path


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
