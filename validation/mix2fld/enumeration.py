"""Plans of rounds by trying all of them, with the slots of every device counted through a Markov chain.

Neither incomplete beta functions, as the solver, nor SciPy's binomial law, as the certificate: the state of a device is
the number of its good slots so far, each slot adds one with probability p, and n of them absorb.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from radioopt.base.quantity import Array
from radioopt.mix2fld import RoundPlanProblem
from validation.reference import Answer, NoAnswerError, reference


class Candidate(NamedTuple):
    """A plan and what it takes.

    Attributes
    ----------
    num_channels, max_slots, seed_samples : int
        The plan.
    time_s : float
        Expected time to convergence [s]; infinite if nobody ever takes part.
    participation : float
        The smaller one of the shares of devices in a round, and of those whose seed samples arrive.
    """

    num_channels: int
    max_slots: int
    seed_samples: int
    time_s: float
    participation: float


class Links(NamedTuple):
    """Good slots needed, and the probability of one, per device.

    Attributes
    ----------
    up, first, down : int
        Good slots of an upload, of the first one, and of a download.
    up_chance, down_chance : ndarray, shape (K,)
        Probability that a slot is good.
    """

    up: int
    first: int
    down: int
    up_chance: Array
    down_chance: Array


@reference("mix2fld", "markov-chain", modules=())
def solve(problem: RoundPlanProblem, time_limit_s: float) -> Answer:
    """Every plan, its slots counted by a Markov chain.

    Parameters
    ----------
    problem : RoundPlanProblem
        A single instance.
    time_limit_s : float
        Unused: the work is known.

    Returns
    -------
    Answer
        The best plan.

    Raises
    ------
    NoAnswerError
        If no plan has enough devices take part.
    """
    start = time.perf_counter()
    every = list(candidates(problem))
    best = choose(every, float(problem.min_participation))
    seconds = time.perf_counter() - start
    return answer(best, seconds, f"{len(every)} plans", "numpy")


def answer(best: Candidate, seconds: float, status: str, version: str) -> Answer:
    """Write a plan down as an answer."""
    decisions = {name: np.asarray(value) for name, value in zip(Candidate._fields[:3], best[:3], strict=True)}
    return Answer(decisions, best.time_s, seconds, 0.0, status, version)


def choose(every: list[Candidate], least: float) -> Candidate:
    """Take the plan of least time among those in which enough devices take part."""
    allowed = [one for one in every if one.participation >= least - 1e-9 and math.isfinite(one.time_s)]
    if not allowed:
        raise NoAnswerError(
            f"no plan has a share of {least:g} of the devices, the most is {max(c.participation for c in every):.6g}"
        )
    return min(allowed, key=lambda one: one.time_s)


def links(problem: RoundPlanProblem, channels: int, seeds: int) -> Links:
    """Slots and chances of a plan, from the paper's SNR and (4)."""
    devices = len(problem.transmit_power_w)
    band = float(problem.bandwidth_hz) * channels / devices

    def chance(power_w: Array, width_hz: float, threshold: float) -> Array:
        mean_snr = power_w * problem.channel_gain / (width_hz * problem.noise_psd_w_per_hz)
        return np.asarray(np.exp(-threshold / mean_snr))

    def full(bits: float, width_hz: float, threshold: float) -> int:
        per_slot = float(problem.slot_s) * width_hz * math.log2(1.0 + threshold)
        return max(1, math.ceil(bits / per_slot - 1e-9))

    above, below = float(problem.uplink_snr_threshold), float(problem.downlink_snr_threshold)
    first = float(problem.output_bits) + seeds * float(problem.sample_bits)
    whole = float(problem.bandwidth_hz)
    return Links(
        full(float(problem.output_bits), band, above),
        full(first, band, above),
        full(float(problem.model_bits), whole, below),
        chance(problem.transmit_power_w, band, above),
        chance(np.full(devices, float(problem.downlink_power_w)), whole, below),
    )


def done_by(needed: int, chance: Array, slots: int) -> Array:
    """Probability that each device has had enough good slots after 0, 1, ... slots, (slots + 1, K).

    Parameters
    ----------
    needed : int
        Good slots, n >= 1.
    chance : ndarray, shape (K,)
        Probability of one.
    slots : int
        How far to count.

    Returns
    -------
    ndarray, shape (slots + 1, K)
        The mass of the absorbing state.
    """
    state = np.zeros((needed + 1, len(chance)))
    state[0] = 1.0
    found = np.zeros((slots + 1, len(chance)))
    for t in range(1, slots + 1):
        moving = state[:-1] * chance
        state[:-1] -= moving
        state[1:] += moving
        found[t] = state[-1]
    return found


def candidates(problem: RoundPlanProblem) -> Iterator[Candidate]:
    """All plans of a single instance, one by one."""
    last = int(problem.max_slots[-1])
    for channels in problem.num_channels.tolist():
        for s, seeds in enumerate(problem.seed_samples.tolist()):
            link = links(problem, channels, seeds)
            up, first = (done_by(n, link.up_chance, last) for n in (link.up, link.first))
            down = done_by(link.down, link.down_chance, last)
            for limit in problem.max_slots.tolist():
                share = float((up[limit] * down[limit]).mean())
                least = min(share, float(first[limit].mean()))
                rounds = float(problem.rounds[s]) / share if share > 0 else math.inf
                waits = [float((1.0 - law[:limit].prod(1)).sum()) for law in (first, up, down)]
                yield Candidate(channels, limit, seeds, total_time(problem, rounds, *waits), least)


def total_time(problem: RoundPlanProblem, rounds: float, first: float, up: float, down: float) -> float:
    """Time of so many rounds [s], given the mean slots of the first upload, of a later one and of a download."""
    if not math.isfinite(rounds):
        return math.inf
    slots = first + (rounds - 1.0) * up + rounds * down
    return float(problem.slot_s) * slots + rounds * float(problem.compute_time_s)
