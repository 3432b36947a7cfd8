"""Run trials in processes of their own, so that a crash or a hang is a finding and not the end."""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import os
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from radioopt.base.errors import InputWarning

#: the campaigns, by the module with their ``trial(seed)``, and how many inputs each has in full: a million in all
CAMPAIGNS = {"solving": 450_000, "arrays": 400_000, "files": 120_000, "commands": 30_000}
#: seconds after which a trial hangs; and for the first ones of a process, which may compile
LIMIT_S, FIRST_S, FIRST = 10.0, 240.0, 400
#: trials after which a process is replaced
SPAN = 5_000


@dataclass
class Report:
    """What came of a campaign.

    Parameters
    ----------
    outcomes : Counter
        How often each outcome was met.
    faults : dict of int to str
        What went wrong, by seed.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)


def once(trial: Callable[[int], str], seed: int) -> str:
    """Make one trial, with every warning an error but those about inputs.

    Parameters
    ----------
    trial : callable
        Takes a seed, returns the outcome.
    seed : int
        Which trial.

    Returns
    -------
    str
        The outcome.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", InputWarning)
        return trial(seed)


def run(
    name: str,
    count: int,
    first: int = 0,
    *,
    most_faults: int = 50,
    tell: Callable[[int, str], None] | None = None,
) -> Report:
    """Run a campaign, or a part of one.

    Parameters
    ----------
    name : str
        A key of :data:`CAMPAIGNS`.
    count, first : int
        How many trials, and the seed of the first one.
    most_faults : int, default 50
        Faults after which it ends.
    tell : callable, optional
        Called with the seed of a fault and its text as soon as it is met.

    Returns
    -------
    Report
        Outcomes and faults.
    """
    report, seed, end = Report(), first, first + count

    def fault_at(which: int, text: str) -> None:
        report.faults[which] = text
        if tell is not None:
            tell(which, text)

    context = multiprocessing.get_context("spawn")
    while seed < end and len(report.faults) < most_faults:
        theirs, mine = context.Pipe()
        with tempfile.TemporaryDirectory() as folder:
            dump = Path(folder) / "dump.txt"
            process = context.Process(target=_work, args=(name, seed, min(end, seed + SPAN), mine, str(dump)))
            process.start()
            mine.close()
            while True:
                try:
                    done, outcome, fault = theirs.recv()
                except EOFError:
                    break
                seed = done + 1
                report.outcomes[outcome] += 1
                if fault:
                    fault_at(done, fault)
            process.join()
            if process.exitcode:  # it died of this very trial
                report.outcomes["died"] += 1
                text = dump.read_text() if dump.exists() else ""
                fault_at(seed, f"the process ended with {process.exitcode}\n{text}")
                seed += 1
    return report


def _work(name: str, first: int, end: int, connection: Connection, dump: str) -> None:
    """Make trials one after the other; what hangs leaves its stack and ends the process."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    with open(dump, "w") as file:
        faulthandler.enable(file)
        trial = importlib.import_module(f"validation.fuzz.{name}").trial
        for seed in range(first, end):
            faulthandler.dump_traceback_later(
                FIRST_S if seed < first + FIRST else LIMIT_S, exit=True, file=file
            )
            try:
                outcome, fault = once(trial, seed), ""
            except BaseException:
                outcome, fault = "fault", traceback.format_exc()
            faulthandler.cancel_dump_traceback_later()
            connection.send((seed, outcome, fault))
