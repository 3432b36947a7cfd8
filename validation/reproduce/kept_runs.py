"""Campaigns whose every run is a file of its own, so that what was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learning.progress import progress_bar
from radioopt.base.errors import OptionError, require

#: a function and its arguments; it writes a file
Call = tuple[Callable[..., Any], tuple[Any, ...]]


def run_stages(title: str, stages: Sequence[Sequence[Call]], jobs: int, *, progress: bool = True) -> None:
    """Make calls in several processes, those of a stage after all of the stage before.

    Parameters
    ----------
    title : str
        Of the bar.
    stages : sequence of sequences of (callable, tuple)
        Functions of modules, not of a script, and their arguments.
    jobs : int
        Processes.
    progress : bool, default True
        Show a bar.
    """
    joblib = require("joblib", "learning")
    total, done = sum(map(len, stages)), 0
    with progress_bar(title, max(total, 1), enabled=progress) as bar:
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        for calls in stages:
            for _ in parallel(joblib.delayed(function)(*given) for function, given in calls):
                done += 1
                bar(done, f"{done} of {total} runs")


def folder_of(folder: str | Path, name: str, setting: Any) -> Path:
    """Name the folder of a setting, a dataclass, so that another setting never finds its runs."""
    digest = hashlib.sha256(json.dumps(asdict(setting), sort_keys=True).encode()).hexdigest()[:8]
    return Path(folder) / f"{name}-{digest}"


def refuse_below_one(**flags: int | None) -> None:
    """Refuse counts of a command line that are below one."""
    for flag, value in flags.items():
        if value is not None and value < 1:
            raise OptionError(f"--{flag}: expected at least 1, got {value}")
