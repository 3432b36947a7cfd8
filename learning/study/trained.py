"""Runs trained here or in other processes, and what is kept of each."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from learning.runs.result import TrainingResult
from learning.training import train
from radioopt.base.errors import OptionError
from radioopt.base.spread import spread
from radioopt.scenario import Scenario

#: what a comparison keeps of a run: numbers, rounds, settings
Kept = tuple[dict[str, Any], Any, dict[str, Any]]


def trained(
    scenario: Scenario,
    work: Sequence[Mapping[str, Any]],
    target: float | None,
    jobs: int,
    backend: str,
    scheduler: str | None,
) -> Iterator[Kept]:
    """Train with each set of options, in order, here or in other processes."""
    calls = ((scenario, options, target) for options in work)
    try:
        yield from spread(_train_one, calls, jobs=jobs, backend=backend, scheduler=scheduler)
    except pickle.PicklingError as error:
        reason = str(error.__cause__ or error).strip('"\n').splitlines()[-1]
        raise OptionError(
            f"jobs: an option cannot be sent to other processes ({reason}): take jobs=1"
        ) from error


def _train_one(scenario: Scenario, options: Mapping[str, Any], target: float | None) -> Kept:
    """Train, and keep what a comparison needs, which is less to send than all of a run."""
    result = train(scenario, **options)
    return measured(result, target), result.to_frame(), result.config


def measured(result: TrainingResult, target_accuracy: float | None) -> dict[str, Any]:
    """Return the numbers that are kept of a run."""
    ledger = result.ledger
    rounds = None if target_accuracy is None else ledger.rounds_to(target_accuracy)
    curve = result.to_frame()
    final = curve["test_r2"].dropna().iloc[-1] if "test_r2" in curve else ledger.accuracy
    reached = rounds is not None
    seconds, joules = ledger.spent(rounds) if rounds is not None else (math.nan, math.nan)
    return {
        "reached": reached,
        "seconds_to_target": seconds,
        "rounds_to_target": rounds if reached else math.nan,
        "energy_to_target_j": joules,
        "rounds": len(ledger),
        "seconds": ledger.seconds,
        "energy_j": ledger.energy_j,
        "final_accuracy": float(final),
        "stopped": result.stopped,
    }
