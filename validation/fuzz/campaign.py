"""Run trials in processes of their own, so that a crash or a hang is a finding and not the end.

A campaign may be stopped at any time: what was done is kept a span of seeds at a time, if a folder for it is given, and
is not done again. Spans with a fault are, so that the same command tells whether it is mended.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from radioopt.base.errors import InputWarning
from radioopt.base.files import write_whole

#: the campaigns, by the module with their ``trial(seed)``, and how many inputs each has in full: a million in all
CAMPAIGNS = {
    "arrays": 400_000, "files": 120_000, "commands": 30_000, "peers": 4_000, "graphs": 10_000, "solving": 436_000,
}  # fmt: skip
#: seconds of computing after which a trial hangs; for the first ones of a process, which may compile; and by the clock
LIMIT_S, FIRST_S, WAITING_S, FIRST = 10.0, 240.0, 600.0, 400
#: trials that are kept together, and those after which a process is replaced
SPAN, LIFE = 5_000, 50_000


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
    folder: str | os.PathLike[str] | None = None,
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
    folder : path-like, optional
        Where ``<name>.jsonl`` keeps every span of seeds that was done. Those without a fault are not done again.

    Returns
    -------
    Report
        Outcomes and faults, those of spans kept before included.
    """
    report, end = Report(), first + count
    kept = None if folder is None else Path(folder) / f"{name}.jsonl"
    before = _read(kept)
    gap: list[tuple[int, int]] = []  # seeds still to try
    for start in range(first, end, SPAN):
        span = start, min(end, start + SPAN)
        if span in before:
            report.outcomes.update(before[span])
        elif gap and gap[-1][1] == start:
            gap[-1] = gap[-1][0], span[1]
        else:
            gap.append(span)
    for start, stop in gap:
        _run(name, start, stop, report, most_faults, tell, kept)
        if len(report.faults) >= most_faults:
            break
    return report


def _read(kept: Path | None) -> dict[tuple[int, int], dict[str, int]]:
    """Read the outcomes of spans that were done without a fault."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for line in kept.read_text().splitlines() if kept is not None and kept.exists() else ():
        span = json.loads(line)
        if not span["faults"]:
            found[span["first"], span["end"]] = span["outcomes"]
    return found


def _run(
    name: str,
    seed: int,
    end: int,
    report: Report,
    most_faults: int,
    tell: Callable[[int, str], None] | None,
    kept: Path | None,
) -> None:
    """Make trials one after the other, and keep every span that is over."""
    context = multiprocessing.get_context("spawn")
    start, span = seed, Report()

    def met(done: int, outcome: str, fault: str) -> None:
        nonlocal start, span
        for each in (report, span):
            each.outcomes[outcome] += 1
            if fault:
                each.faults[done] = fault
        if fault and tell is not None:
            tell(done, fault)
        if done + 1 == min(end, start + SPAN):
            if kept is not None:
                line = {
                    "first": start,
                    "end": done + 1,
                    "outcomes": dict(span.outcomes),
                    "faults": sorted(span.faults),
                }
                before = kept.read_bytes() if kept.exists() else b""
                write_whole(kept, before + json.dumps(line).encode() + b"\n")
            start, span = done + 1, Report()

    while seed < end and len(report.faults) < most_faults:
        theirs, mine = context.Pipe()
        with tempfile.TemporaryDirectory() as scratch:
            dump = Path(scratch) / "dump.txt"
            process = context.Process(target=_work, args=(name, seed, min(end, seed + LIFE), mine, str(dump)))
            process.start()
            mine.close()
            while True:
                try:
                    done, outcome, fault = theirs.recv()
                except EOFError:
                    break
                met(done, outcome, fault)
                seed = done + 1
            process.join()
            if process.exitcode:  # it died of this very trial
                text = dump.read_text() if dump.exists() else ""
                met(seed, "died", f"the process ended with {process.exitcode}\n{text}")
                seed += 1


def _work(name: str, first: int, end: int, connection: Connection, dump: str) -> None:
    """Make trials one after the other; what hangs leaves its stack and ends the process."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    with open(dump, "w") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGPROF, file, chain=True)  # which then ends the process, as by default
        trial = importlib.import_module(f"validation.fuzz.{name}").trial
        for seed in range(first, end):
            signal.setitimer(signal.ITIMER_PROF, FIRST_S if seed < first + FIRST else LIMIT_S)
            faulthandler.dump_traceback_later(WAITING_S, exit=True, file=file)
            try:
                outcome, fault = once(trial, seed), ""
            except BaseException:
                outcome, fault = "fault", traceback.format_exc()
            faulthandler.cancel_dump_traceback_later()
            connection.send((seed, outcome, fault))
