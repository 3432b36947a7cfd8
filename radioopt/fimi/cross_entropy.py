"""The paper's method as a method of the problem: a seeded cross-entropy search, judged by the same certificate."""

from __future__ import annotations

import math

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.status import Status
from radioopt.fimi import (
    infeasible,
    solver,  # noqa: F401 (newton registers first, and is the default)
)
from radioopt.fimi import kernel_cross_entropy as kernel
from radioopt.fimi.device import Canonical
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

#: the search has converged where every time split is known to this much of the round
STOP = 1e-9
#: draws that may be infeasible before a round goes on with those found, per draw asked for
PATIENCE = 20
#: between these an instance's numbers keep their digits in products of a few
SMALL, LARGE = 1e-75, 1e75


@SynthesisProblem.method("cross-entropy", exact=False)
def cross_entropy(
    problem: SynthesisProblem,
    options: SolveOptions,
    *,
    rounds: int = 50,
    draws: int = 100,
    elite: int = 10,
    smoothing: float = 0.3,
    seed: int = 0,
    inner_bisection: bool = False,
    tolerance: float = 1e-10,
) -> SynthesisSolution:
    """Paper's Algorithms 1 to 3, corrected: a random search over the time splits; a baseline, slow.

    Parameters
    ----------
    problem : SynthesisProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances to judge by; ``max_iterations`` limits the rounds too.
    rounds : int, default 50
        Rounds of the search, the paper's J.
    draws : int, default 100
        Feasible time splits drawn per round, the paper's M.
    elite : int, default 10
        Best draws from which the next distribution is estimated, the paper's K.
    smoothing : float, default 0.3
        Weight in [0, 1) of the previous distribution in the next.
    seed : int, default 0
        Seed >= 0, the same for every instance of a batch: an instance alone gets the same answer.
    inner_bisection : bool, default False
        Search the bandwidth at a price by bisection, as Algorithm 2 does, instead of its closed form by
        Lambert W: the same answer, slower.
    tolerance : float, default 1e-10
        Relative width at which a bisection ends; for the answer itself they run until floating point ends them.

    Returns
    -------
    SynthesisSolution
        ``iterations`` counts draws. Rarely optimal, so FEASIBLE as a rule, with the certified gap. An instance
        without a feasible draw is INFEASIBLE if the exact method proves it, FAILED otherwise.

    Raises
    ------
    OptionError
        If an option is out of its range.

    Notes
    -----
    What was corrected in the paper is listed in :mod:`radioopt.fimi.kernel_cross_entropy`.

    References
    ----------
    P. Li et al., "Filling the Missing", IEEE Transactions on Mobile Computing, 2024: Algorithms 1 to 3,
    Theorems 1 (25) and 2 (33).
    """
    for name, given, least in (("rounds", rounds, 1), ("elite", elite, 1), ("seed", seed, 0)):
        if given < least:
            raise OptionError(f"cross-entropy: {name}: expected at least {least}, got {given}")
    if elite > draws:
        raise OptionError(f"cross-entropy: elite: expected at most draws = {draws}, got {elite}")
    if not 0.0 <= smoothing < 1.0:
        raise OptionError(f"cross-entropy: smoothing: expected a number in [0, 1), got {smoothing}")
    if not 0.0 <= tolerance < 1.0:
        raise OptionError(f"cross-entropy: tolerance: expected a number in [0, 1), got {tolerance}")

    p = Canonical.of(problem)
    devices, count = problem.sizes["device"], math.prod(problem.batch_shape)
    shape = (count, devices)
    with np.errstate(all="ignore"):
        kappa = p.k * p.a / p.power
        shortest = p.a / (p.B * np.log1p(p.power / (p.k * p.B)))
        rows = (p.A, p.k, p.F, p.low, p.high, kappa, p.low / (p.F * p.T), 1.0 - shortest / p.T)
    full = (*problem.batch_shape, devices)
    block = np.stack([np.broadcast_to(row, full).reshape(shape) for row in rows], axis=1)
    scalars = np.stack(
        [np.broadcast_to(x[..., 0], problem.batch_shape).ravel() for x in (p.a, p.T, p.Y, p.B, p.beta)]
    )
    eta, samples, shares = (np.full(shape, np.nan) for _ in range(3))
    made = np.zeros(count, np.int64)
    for i in range(count):
        if (block[i, kernel.ETA_MIN] < block[i, kernel.ETA_MAX]).all() and _keeps_digits(
            block[i], scalars[:, i]
        ):
            energy, made[i] = kernel.search(
                np.random.default_rng(seed),
                block[i],
                tuple(scalars[:, i].tolist()),
                min(rounds, options.max_iterations),
                draws,
                elite,
                smoothing,
                STOP,
                PATIENCE * draws,
                inner_bisection,
                tolerance,
                eta[i],
                samples[i],
                shares[i],
            )
            if not energy < math.inf:
                eta[i] = samples[i] = shares[i] = np.nan
    return _judged(problem, options, eta.reshape(full), samples.reshape(full), shares.reshape(full), made)


def _keeps_digits(rows: np.ndarray, scalars: np.ndarray) -> bool:
    """Whether products of a few of an instance's numbers stay within float64; if not, no draw is worth making."""
    chosen = rows[[kernel.A, kernel.GAIN, kernel.SPEED, kernel.LOW, kernel.KAPPA]]
    return all(bool(((part >= SMALL) & (part <= LARGE)).all()) for part in (chosen, scalars))


def _judged(
    problem: SynthesisProblem,
    options: SolveOptions,
    eta: np.ndarray,
    samples: np.ndarray,
    shares: np.ndarray,
    made: np.ndarray,
) -> SynthesisSolution:
    """Turn time splits, samples and bandwidth into decisions, and let the certificate judge them."""
    p = Canonical.of(problem)
    with np.errstate(all="ignore"):
        cycles = np.expand_dims(problem.local_epochs, -1) * problem.cycles_per_sample
        u = p.a / (shares * (p.T - eta * p.T))
        power = np.minimum(p.k * shares * np.expm1(u), p.power)
        decisions = {
            "synthetic_samples": samples - problem.local_samples,
            "cpu_frequency_hz": np.minimum(cycles * samples / (eta * p.T), problem.max_cpu_frequency_hz),
            "bandwidth_hz": shares,
            "transmit_power_w": power,
        }
    otherwise = np.full(problem.batch_shape, int(Status.FAILED))
    missing = np.flatnonzero(np.isnan(eta).any(-1))
    if missing.size:
        otherwise.reshape(-1)[missing[infeasible.proven(problem._select(missing))]] = Status.INFEASIBLE
    made = made.reshape(problem.batch_shape)
    return SynthesisSolution.judged(problem, "cross-entropy", options, made, otherwise, **decisions)
