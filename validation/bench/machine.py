"""Where and with what a benchmark ran, as far as a reader of its numbers needs to know."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

#: load average per core above which times are not to be trusted
QUIET = 0.25


def describe(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Describe the machine and the versions.

    Parameters
    ----------
    packages : iterable of str
        Distributions beside radioopt's own dependencies; those not installed are given as None.

    Returns
    -------
    dict
        Date (UTC), git commit if there is one, CPU model, cores, threads, versions, load average.
    """
    import numba

    names = dict.fromkeys(("radioopt", "numpy", "scipy", "numba", "llvmlite", *packages))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": available_cores(),
        "threads": numba.get_num_threads(),
        "threading_layer": numba.config.THREADING_LAYER,  # type: ignore[attr-defined]
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "load_start": load(),
        "load_end": None,
    }


def version(name: str) -> str | None:
    """Version of an installed distribution, None if it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def cpu_model() -> str:
    """Name of the processor, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> float | None:
    """Load average of the last minute, None where the system has none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def peak_memory_bytes() -> float:
    """Most memory that this process has held so far [byte]; NaN where the system does not tell."""
    try:  # what getrusage tells begins with the memory of the process that started this one
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    return math.nan


def commit() -> str | None:
    """Commit of the checkout that runs, with "+" if files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def unquiet(machine: dict[str, Any]) -> str:
    """Say why the times are not to be trusted; empty if the machine was quiet at the start.

    The benchmark is itself a load, so only the load before it counts.
    """
    start, cores = machine["load_start"], machine["cores"]
    if start is None or start <= QUIET * cores:
        return ""
    return f"the machine was not quiet: load average {start:g} on {cores} cores before the start"
