"""Objective, residuals and bound of a plan, from scipy's negative binomial laws: the oracle for the enumeration.

The optimum over finitely many candidates is the least of their objectives: evaluated here once more, by other formulas
than those of :class:`~radioopt.channel.SlotCount` (the paper's (4), device by device).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array
from radioopt.numerics.arrays import quotient

if TYPE_CHECKING:
    from radioopt.mix2fld.problem import RoundPlanProblem


def evaluate(
    problem: RoundPlanProblem,
    *,
    num_channels: ArrayLike,
    max_slots: ArrayLike,
    seed_samples: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
) -> Certificate:
    """Measure a plan and bound the optimum by all candidates.

    Parameters
    ----------
    problem : RoundPlanProblem
        The question.
    num_channels, max_slots, seed_samples : array_like, shape (...)
        The plan.
    options : SolveOptions, optional
        Tolerances.

    Returns
    -------
    Certificate
        Residuals: candidates (inf for a value that is none), participation (what lacks of the least share). The bound
        is the least objective of all feasible candidates.
    """
    shape = problem.batch_shape
    given = [np.broadcast_to(value, shape) for value in (num_channels, max_slots, seed_samples)]
    objective, bound = np.full(shape, np.nan), np.full(shape, np.nan)
    unknown, lacking = np.full(shape, np.inf), np.full(shape, np.inf)
    for index in np.ndindex(shape):
        one = problem[index] if shape else problem
        time, least = _all_plans(one)
        allowed = (least >= one.min_participation - options.feasibility_tol) & np.isfinite(time) & (least > 0)
        if allowed.any():
            bound[index] = time[allowed].min()
        known = [
            np.flatnonzero(candidates == value[index])
            for candidates, value in zip(
                (one.num_channels, one.max_slots, one.seed_samples), given, strict=True
            )
        ]
        if all(len(place) for place in known):
            at = tuple(int(place[0]) for place in known)
            objective[index], unknown[index] = time[at], 0.0
            lacking[index] = one.min_participation - least[at]
    residuals = {"candidates": unknown, "participation": lacking}
    return Certificate.judge(objective, bound, residuals, sense=problem.sense, options=options)


@np.errstate(all="ignore")
def _all_plans(problem: RoundPlanProblem) -> tuple[Array, Array]:
    """Objective of each candidate of a single instance, and its least share of devices, both (C, M, S)."""
    from scipy.stats import binom

    shape = (len(problem.num_channels), len(problem.max_slots), len(problem.seed_samples))
    time, least = np.empty(shape), np.empty(shape)
    slots, devices = np.arange(problem.max_slots[-1] + 1), problem.sizes["device"]

    def in_time(bits: Any, band_hz: Any, power_w: Any, threshold: Any) -> Array:
        """P(T <= t) of each device and slot (K, T): n or more of t slots are decoded."""
        noise = threshold, problem.noise_psd_w_per_hz, band_hz
        chance = np.exp(-quotient(noise, (power_w, problem.channel_gain)))
        full = quotient((bits,), (problem.slot_s, band_hz, math.log1p(threshold) / math.log(2.0)))
        full = np.ceil(np.minimum(full, len(slots)) - 1e-9)  # more than there are slots is never in time
        return np.asarray(binom.sf(np.maximum(full, 1.0) - 1, slots, chance[:, None]))

    down = in_time(
        problem.model_bits,
        problem.bandwidth_hz,
        np.full(devices, problem.downlink_power_w),
        problem.downlink_snr_threshold,
    )
    for c, channels in enumerate(problem.num_channels):
        band = problem.bandwidth_hz * channels / devices
        link = (band, problem.transmit_power_w, problem.uplink_snr_threshold)
        up = in_time(problem.output_bits, *link)
        for s, samples in enumerate(problem.seed_samples):
            first = in_time(problem.output_bits + samples * problem.sample_bits, *link)
            for m, limit in enumerate(problem.max_slots):
                share = float((up[:, limit] * down[:, limit]).mean())
                least[c, m, s] = min(share, float(first[:, limit].mean()))
                if share == 0.0:
                    time[c, m, s] = math.inf
                    continue
                rounds = problem.rounds[s] / share
                spent = [
                    problem.slot_s * float((1.0 - law[:, :limit].prod(0)).sum()) for law in (first, up, down)
                ]
                waiting = spent[0] + (rounds - 1.0) * spent[1] + rounds * spent[2]
                time[c, m, s] = waiting + rounds * problem.compute_time_s
    return time, least
