"""Limits: when a run ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learning.options import real, suggestion, whole
from learning.radio.base import Sent
from learning.runs.ledger import HARDWARE, LOWER, Ledger
from radioopt.base.errors import OptionError, ProblemError

#: rounds of a run that is limited by nothing else
DEFAULT_ROUNDS = 200


@dataclass(frozen=True)
class Limits:
    """When a run ends: after so many rounds, so much simulated time [s] or energy [J], at a target, or at rest.

    Targets are numbers of the table of rounds, by name; all of them have to be reached.
    """

    rounds: float
    seconds: float
    joules: float
    targets: Mapping[str, float]
    epsilon: float

    @classmethod
    def of(
        cls,
        rounds: int | None,
        seconds: float | None,
        joules: float | None,
        target_accuracy: float | None,
        target: Mapping[str, float] | None,
        epsilon: float | None,
    ) -> Limits:
        """Check the limits that are given; the others never bind."""
        if rounds is None and seconds is None and joules is None:
            rounds = DEFAULT_ROUNDS
        targets: dict[str, float] = {}
        if target_accuracy is not None:
            targets["test_accuracy"] = real("target_accuracy", target_accuracy, high=1.0, closed=True)
        if not isinstance(target, Mapping | None):
            raise OptionError(
                f"target: expected numbers by name, as {{'private_accuracy': 0.9}}, got {target!r}"
            )
        for name, value in (target or {}).items():
            targets[name] = real(f"target: {name}", value)
        return cls(
            math.inf if rounds is None else whole("rounds", rounds),
            math.inf if seconds is None else real("seconds", seconds),
            math.inf if joules is None else real("joules", joules),
            targets,
            0.0 if epsilon is None else real("epsilon", epsilon),
        )

    def refuse_unknown(self, columns: Sequence[str] | None) -> None:
        """Refuse targets that are no numbers of the rounds, where these are known before the first of them."""
        for name in self.targets:
            if columns is not None and name not in columns:
                near = suggestion(name, [*columns, "private_accuracy"])
                raise OptionError(f"target: rounds have no {name!r}, choose from {', '.join(columns)}{near}")

    def reached(self, ledger: Ledger) -> str | None:
        """Name the reason to end after the rounds done, if there is one."""
        if self.targets and all(
            _good(name, ledger.figure(name), goal) for name, goal in self.targets.items()
        ):
            return "target_accuracy" if list(self.targets) == ["test_accuracy"] else "target"
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


def _good(name: str, value: float, goal: float) -> bool:
    return value <= goal if name.endswith(LOWER) else value >= goal
