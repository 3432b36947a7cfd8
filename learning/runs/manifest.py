"""Manifests: what a run was told, as plain values, and where it was done."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: packages that numbers depend on, and those that only show them
DEPENDS = ("radioopt", "numpy", "scipy", "numba", "torch")
PACKAGES = (*DEPENDS, "pandas", "scikit-learn", "matplotlib", "joblib")
#: settings that differ between runs of the same kind
PER_RUN = ("seed", "fingerprints")
#: settings that say when a run ends: it may go on with others
LIMITS = ("rounds", "seconds", "joules", "targets", "epsilon")


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
    told = plain(config)
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": told,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def plain(value: Any) -> Any:
    """Make a value fit for strict JSON: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
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
