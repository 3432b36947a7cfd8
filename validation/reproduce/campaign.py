"""Many runs in several processes behind one progress bar."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learning.progress import progress_bar
from radioopt.base.errors import require

#: a function that workers can import, and what it is called with
Call = tuple[Callable[..., Any], tuple[Any, ...]]


def work_through(
    title: str, stages: Sequence[Sequence[Call]], jobs: int, *, progress: bool = True
) -> list[Any]:
    """Make all calls, a stage after the other.

    Parameters
    ----------
    title : str
        Of the bar.
    stages : sequence of sequences of (callable, tuple)
        Calls of one stage may run at once; a stage begins when the one before is over.
    jobs : int
        Processes.
    progress : bool, default True
        Show the bar.

    Returns
    -------
    list
        What the calls returned, in the order in which they ended.

    Examples
    --------
    >>> sorted(work_through("powers", [[(pow, (2, 3))], [(pow, (3, 2)), (pow, (1, 1))]], 1, progress=False))
    [1, 8, 9]
    """
    joblib = require("joblib", "learning")
    total = sum(map(len, stages))
    found: list[Any] = []
    with progress_bar(title, max(total, 1), enabled=progress) as bar:
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        for stage in stages:
            for result in parallel(joblib.delayed(function)(*given) for function, given in stage):
                found.append(result)
                bar(len(found), f"{len(found)} of {total}")
    return found


def folder_of(parent: Path, kind: str, setting: Any) -> Path:
    """Say where the runs of a setting are kept: runs of another setting are never taken for them.

    Parameters
    ----------
    parent : pathlib.Path
        Folder of all settings.
    kind : str
        What a reader calls the setting.
    setting : dataclass
        All of it.

    Returns
    -------
    pathlib.Path
        A folder named by both.
    """
    digest = hashlib.sha256(json.dumps(asdict(setting), sort_keys=True).encode()).hexdigest()[:8]
    return parent / f"{kind}-{digest}"
