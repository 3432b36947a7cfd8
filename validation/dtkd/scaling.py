"""Numbers of a DT-KD instance in units in which generic solvers work: shares of the totals, seconds, cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.quantity import Array
from radioopt.dtkd.pricing import actions_of
from radioopt.dtkd.problem import DistillationProblem
from validation.reference import NoAnswerError


@dataclass(frozen=True)
class Scaling:
    """Arrays (K, A) of every action, a = 2m + x, with F and B as the units of the shares.

    Parameters
    ----------
    constant : ndarray
        Cost apart from delay and bandwidth.
    local_s, compute_s, send_s : ndarray
        Time at the user, at the whole server, and on the whole band; with a noise density the last is
        bits ln 2 / B, to be divided by phi ln(1 + s/phi) at a share phi.
    signal : ndarray (K, 1)
        s = p h/(N0 B) of a noise density; 0 for a noise power.
    allowed : ndarray of bool
        Whether the action may be chosen.
    low, high : ndarray (2, K)
        Bounds of the shares of CPU and band.
    deadline_s : ndarray (K,)
        Deadlines.
    weight, price : float
        Cost of a second, and of the whole band.
    """

    constant: Array
    local_s: Array
    compute_s: Array
    send_s: Array
    signal: Array
    allowed: Array
    low: Array
    high: Array
    deadline_s: Array
    weight: float
    price: float

    @classmethod
    def of(cls, problem: DistillationProblem) -> Self:
        """Scale a single instance; a batch raises ``OptionError``."""
        if problem.batch_shape:
            raise OptionError(f"expected a single instance, got a batch of {problem.batch_shape}: index it")
        table, shape = actions_of(problem), actions_of(problem).allowed.shape
        server, band = float(problem.server_cpu_frequency_hz), float(problem.bandwidth_hz)
        received = (problem.transmit_power_w * problem.channel_gain)[:, None]
        if problem.noise_psd_w_per_hz > 0:
            signal = received / (problem.noise_psd_w_per_hz * band)
            send = table.bits * math.log(2) / band * np.ones_like(received)
        else:
            signal = np.zeros_like(received)
            send = table.bits * math.log(2) / band / np.log1p(received / problem.noise_power_w)
        return cls(
            constant=np.broadcast_to(table.constant, shape),
            local_s=np.broadcast_to(table.local_s, shape),
            compute_s=np.broadcast_to(table.cycles / server, shape),
            send_s=send,
            signal=signal,
            allowed=table.allowed,
            low=np.stack([problem.min_server_cpu_frequency_hz / server, problem.min_bandwidth_hz / band]),
            high=np.stack([problem.max_server_cpu_frequency_hz / server, problem.max_bandwidth_hz / band]),
            deadline_s=np.asarray(problem.max_delay_s),
            weight=float(problem.delay_weight_per_s),
            price=float(problem.bandwidth_price_per_hz) * band,
        )

    def fixed(self) -> Array:
        """Return the one action of every user; raise ``NoAnswerError`` where it is free."""
        if (self.allowed.sum(-1) != 1).any():
            raise NoAnswerError(
                "this model takes given models and places (Problem 3): fix them, problem.fix(model=..., "
                "trains_locally=...), or take a model that chooses, in pyomo"
            )
        return self.allowed.argmax(-1)

    def chosen(self, problem: DistillationProblem, picked: Array) -> dict[str, Array]:
        """Decisions for picked actions, with the best shares by the formulas of the paper's problem."""
        own = np.arange(len(picked)), picked
        roots = [np.sqrt(part[own]) for part in (self.compute_s, self.send_s)]
        shares = [root / root.sum() if root.any() else root for root in roots]
        if self.price > 0:  # no more bandwidth than pays
            shares[1] = np.minimum(shares[1], roots[1] * math.sqrt(self.weight / self.price))
        return self.decisions(problem, picked, *shares)

    def decisions(
        self, problem: DistillationProblem, picked: Array, cpu: Array, band: Array
    ) -> dict[str, Array]:
        """Turn actions and shares into the decisions of the problem, in its units."""
        return {
            "model": np.asarray(picked) // 2,
            "trains_locally": np.asarray(picked) % 2 == 1,
            "server_cpu_frequency_hz": np.asarray(cpu, np.float64) * problem.server_cpu_frequency_hz,
            "bandwidth_hz": np.asarray(band, np.float64) * problem.bandwidth_hz,
        }


def refuse_extensions(problem: DistillationProblem, what: str = "this model has") -> None:
    """Raise ``NoAnswerError`` unless the problem is the paper's own."""
    if not problem.is_plain:
        raise NoAnswerError(
            f"{what} no bounds, deadlines or noise density: ask cvxpy-scip or fix the choices"
        )
