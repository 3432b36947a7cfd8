"""Whole synthetic samples: rounding that keeps the error, then swaps of single samples while they save energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array, refuse
from radioopt.base.status import Status
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

if TYPE_CHECKING:
    from collections.abc import Callable

    Relaxation = Callable[[SynthesisProblem, SolveOptions], SynthesisSolution]

#: devices up to which single samples are moved between every two of them
SWAP_UP_TO = 24
#: passes after which rounding, or moving samples, has lost its way in rounding errors: the certificate says what it is
MOST_PASSES = 1_000


@np.errstate(all="ignore")
def solve_integer(problem: SynthesisProblem, options: SolveOptions, relax: Relaxation) -> SynthesisSolution:
    """Round the relaxed optimum to whole synthetic samples and solve for the rest anew.

    Parameters
    ----------
    problem : SynthesisProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances and limits.
    relax : callable
        Solves a problem with continuous samples to optimality.

    Returns
    -------
    SynthesisSolution
        With the relaxation's bound and prices: the gap is what rounding may have cost at most.

    Raises
    ------
    ProblemError
        If no whole numbers within the limits meet the error though the limits do.

    Notes
    -----
    The relaxed optimum within whole limits is rounded down, then up where the fraction is largest until the error is
    met, and down again where that leaves it met. With at most 24 devices, samples are moved between every two of
    them, and removed from each, as long as the best of these moves saves energy; all moves are solved as one batch.
    """
    if problem.fixes_samples:
        fixed = problem.fixed_synthetic_samples
        broken = np.isfinite(fixed) & (fixed != np.floor(fixed))
        if broken.any():
            refuse(type(problem).__name__, "fixed_synthetic_samples", fixed, broken, "whole numbers")
    relaxed = relax(problem, options)
    most = np.floor(problem.max_synthetic_samples)
    beta = np.expand_dims(problem.curve_beta, -1)
    budget = problem.learning_budget
    least = ((problem.local_samples + most) ** -beta).sum(-1)
    chosen = ~np.isfinite(problem.fixed_synthetic_samples).any(-1)
    short = chosen & (least > budget) & (np.asarray(relaxed.status_code) == Status.OPTIMAL)
    if short.any():
        name = type(problem).__name__
        refuse(
            name,
            "max_synthetic_samples",
            most.max(-1),
            short,
            "whole samples enough to meet max_global_error",
        )
    start = relaxed.synthetic_samples
    if (most < problem.max_synthetic_samples).any():
        # so that one sample more each makes up for what rounding down takes
        inside = relax(problem.replace(max_synthetic_samples=most), options).synthetic_samples
        start = np.where(np.isfinite(inside), inside, start)
    count = math.prod(problem.batch_shape)
    flat = problem._select(np.arange(count))
    counts = start.reshape(count, -1).copy()
    for i in range(count):
        single = flat[i]
        if np.isfinite(counts[i]).all() and not single.fixes_samples:
            counts[i] = _round(single, counts[i])
            if counts.shape[1] <= SWAP_UP_TO:
                counts[i] = _swap(single, counts[i], options, relax)
    whole = counts.reshape(start.shape)
    solved = relax(problem.replace(fixed_synthetic_samples=np.where(np.isfinite(whole), whole, 0.0)), options)
    known = np.expand_dims(np.isfinite(relaxed.objective), -1)
    decisions = {
        "synthetic_samples": whole,
        "cpu_frequency_hz": solved.cpu_frequency_hz,
        "bandwidth_hz": solved.bandwidth_hz,
        "transmit_power_w": solved.transmit_power_w,
    }
    decisions = {name: np.where(known, value, np.nan) for name, value in decisions.items()}
    # the relaxed optimum is none of the problem where no rounding of it leaves time and band enough
    without = np.where(known[..., 0], Status.FAILED, np.asarray(relaxed.status_code))
    return SynthesisSolution.judged(
        problem, "integer", options, np.asarray(relaxed.iterations), without, relaxed=relaxed, **decisions
    )


def _round(problem: SynthesisProblem, relaxed: Array) -> Array:
    """Round down, up by largest fraction until the error is met, and down again where that leaves it met."""
    local, beta = problem.local_samples, float(problem.curve_beta)
    most = np.floor(problem.max_synthetic_samples)
    counts = np.minimum(np.floor(relaxed + 1e-9), most)
    order = np.argsort(counts - relaxed, kind="stable")

    def excess() -> float:
        return float(((local + counts) ** -beta).sum() - problem.learning_budget)

    for _ in range(MOST_PASSES):
        if not (missing := excess()) > 0:
            break
        candidates = order[counts[order] < most[order]]
        have = local[candidates] + counts[candidates]
        gained = np.cumsum(have**-beta - (have + 1) ** -beta)
        counts[candidates[: int(np.searchsorted(gained, missing)) + 1]] += 1
    for i in order[::-1]:
        if counts[i] > 0:
            counts[i] -= 1
            if excess() > 0:
                counts[i] += 1
                if counts.size > 1000:
                    break
    return counts


def _swap(problem: SynthesisProblem, counts: Array, options: SolveOptions, relax: Relaxation) -> Array:
    """Make the best move of one sample, or of one away, as long as it saves energy."""
    devices = counts.size
    unit = np.eye(devices)
    moves = np.concatenate([(unit[:, None] - unit[None]).reshape(-1, devices), -unit, np.zeros((1, devices))])
    moves = np.unique(moves, axis=0)
    beta, most = float(problem.curve_beta), np.floor(problem.max_synthetic_samples)
    best = np.inf
    for _ in range(MOST_PASSES):
        tried = counts + moves
        learned = ((problem.local_samples + np.maximum(tried, 0.0)) ** -beta).sum(-1)
        possible = (tried >= 0).all(-1) & (tried <= most).all(-1) & (learned <= problem.learning_budget)
        tried = tried[possible]
        if not tried.size:
            return counts
        energy = np.asarray(relax(problem.replace(fixed_synthetic_samples=tried), options).objective)
        energy = np.where(np.isnan(energy), np.inf, energy)
        if not energy.min() < best * (1 - 1e-14):
            return counts
        best = energy.min()
        counts = tried[int(energy.argmin())]
    return counts
