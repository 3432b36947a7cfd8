"""Plans of rounds by playing rounds slot by slot: a Monte-Carlo estimate that uses no law of slots at all."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from radioopt.base.quantity import Array
from radioopt.mix2fld import RoundPlanProblem
from validation.mix2fld.enumeration import Candidate, answer, choose, links, total_time
from validation.reference import Answer, NoAnswerError, reference

#: rounds played per plan, and how many of them at once
ROUNDS, AT_ONCE = 1_000, 250


class Played(NamedTuple):
    """What was seen of a plan.

    Attributes
    ----------
    time_s, participation : float
        Estimates of a :class:`~validation.mix2fld.enumeration.Candidate`.
    first_share, share : ndarray, shape (rounds,)
        Share of the devices whose seed samples arrived, and of those that took part, in each round played.
    first, up, down : ndarray, shape (rounds,)
        Slots waited for the first upload, a later one, the download.
    """

    time_s: float
    participation: float
    first_share: Array
    share: Array
    first: Array
    up: Array
    down: Array


@reference("mix2fld", "simulation", modules=(), max_devices=12)
def solve(problem: RoundPlanProblem, time_limit_s: float) -> Answer:
    """Every plan, rounds of it played slot by slot with the same fading for all.

    Parameters
    ----------
    problem : RoundPlanProblem
        A single instance.
    time_limit_s : float
        Plans are played for so long [s].

    Returns
    -------
    Answer
        The plan that came out best; its objective is an estimate.

    Raises
    ------
    NoAnswerError
        If in no plan enough devices took part, or the time is too short for all plans.
    """
    start = time.perf_counter()
    every: list[Candidate] = []
    plans = len(problem.num_channels) * len(problem.seed_samples) * len(problem.max_slots)
    for channels in problem.num_channels.tolist():
        for seeds in problem.seed_samples.tolist():
            if time.perf_counter() - start > time_limit_s:
                raise NoAnswerError(f"time limit: {len(every)} of {plans} plans played")
            for limit, seen in play(problem, channels, seeds, np.random.default_rng(0)).items():
                every.append(Candidate(channels, limit, seeds, seen.time_s, seen.participation))
    best = choose(every, float(problem.min_participation))
    return answer(best, time.perf_counter() - start, f"{len(every)} plans of {ROUNDS} rounds", "numpy")


def play(
    problem: RoundPlanProblem,
    channels: int,
    seeds: int,
    rng: np.random.Generator,
    rounds: int = ROUNDS,
) -> dict[int, Played]:
    """Play rounds of a plan with each limit on the slots.

    Parameters
    ----------
    problem : RoundPlanProblem
        A single instance.
    channels, seeds : int
        Bands and seed samples.
    rng : numpy.random.Generator
        Source of the fading.
    rounds : int, default 1000
        Rounds.

    Returns
    -------
    dict of int to Played
        By the limit.
    """
    link, last = links(problem, channels, seeds), int(problem.max_slots[-1])
    slots: dict[str, list[Array]] = {"up": [], "first": [], "down": []}
    for _ in range(-(-rounds // AT_ONCE)):
        for way, chance in (("up", link.up_chance), ("down", link.down_chance)):
            fading = rng.standard_exponential((AT_ONCE, last, len(chance)), np.float32)
            good = np.cumsum(fading >= -np.log(chance), axis=1, dtype=np.int32)
            for what, needed in (("up", link.up), ("first", link.first), ("down", link.down)):
                if (what == "down") == (way == "down"):
                    slots[what].append((good < needed).sum(1) + 1)  # last + 1 if not done by then
    taken = {what: np.concatenate(counts)[:rounds] for what, counts in slots.items()}
    found = {}
    s = problem.seed_samples.tolist().index(seeds)
    for limit in problem.max_slots.tolist():
        share = ((taken["up"] <= limit) & (taken["down"] <= limit)).mean(1)
        first_share = (taken["first"] <= limit).mean(1)
        waits = {what: np.minimum(count.max(1), limit) for what, count in taken.items()}
        expected = float(problem.rounds[s]) / float(share.mean()) if share.any() else float(np.inf)
        time_s = total_time(problem, expected, *(float(waits[w].mean()) for w in ("first", "up", "down")))
        least = min(float(share.mean()), float(first_share.mean()))
        found[limit] = Played(time_s, least, first_share, share, waits["first"], waits["up"], waits["down"])
    return found
