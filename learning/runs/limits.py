"""Limits: when a run ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from learning.options import real, whole
from learning.radio.link import Sent
from learning.runs.ledger import HARDWARE, Ledger
from radioopt.base.errors import ProblemError

#: rounds of a run that is limited by nothing else
DEFAULT_ROUNDS = 200


@dataclass(frozen=True)
class Limits:
    """When a run ends: after so many rounds, so much simulated time [s] or energy [J], at an accuracy, or at rest."""

    rounds: float
    seconds: float
    joules: float
    target_accuracy: float
    epsilon: float

    @classmethod
    def of(
        cls,
        rounds: int | None,
        seconds: float | None,
        joules: float | None,
        target_accuracy: float | None,
        epsilon: float | None,
    ) -> Limits:
        """Check the limits that are given; the others never bind."""
        if rounds is None and seconds is None and joules is None:
            rounds = DEFAULT_ROUNDS
        return cls(
            math.inf if rounds is None else whole("rounds", rounds),
            math.inf if seconds is None else real("seconds", seconds),
            math.inf if joules is None else real("joules", joules),
            math.inf
            if target_accuracy is None
            else real("target_accuracy", target_accuracy, high=1.0, closed=True),
            0.0 if epsilon is None else real("epsilon", epsilon),
        )

    def reached(self, ledger: Ledger) -> str | None:
        """Name the reason to end after the rounds done, if there is one."""
        if ledger.accuracy >= self.target_accuracy:
            return "target_accuracy"
        if not math.isfinite(ledger.loss):
            return "diverged"
        if ledger.change < self.epsilon:
            return "epsilon"
        return "rounds" if len(ledger) >= self.rounds else None

    def exceeded(self, ledger: Ledger, sent: Sent) -> str | None:
        """Name the budget that another round would exceed, if there is one."""
        if ledger.seconds + sent.seconds > self.seconds:
            return "seconds"
        if self.joules == math.inf:
            return None
        energy = ledger.energy_j + sent.energy_j
        if math.isnan(energy):
            raise ProblemError(
                f"joules: the energy of computing is unknown: give {HARDWARE} in the scenario, or limit rounds or "
                "seconds"
            )
        return "joules" if energy > self.joules else None

    @property
    def total(self) -> float:
        """Amount of work for the progress bar: rounds, or simulated seconds or joules where those are limited."""
        return next(limit for limit in (self.rounds, self.seconds, self.joules) if limit < math.inf)

    def done(self, ledger: Ledger) -> float:
        """Work done, in the unit of the total."""
        if self.rounds < math.inf:
            return len(ledger)
        return ledger.seconds if self.seconds < math.inf else ledger.energy_j
