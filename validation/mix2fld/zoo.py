"""Plans of rounds to be right on: named instances, each with a reason, and random ones that can be drawn anew."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, cast

import numpy as np

from radioopt import Scenario
from radioopt.mix2fld import RoundPlanProblem
from radioopt.units import dbm_to_w


def paper(**changes: Any) -> RoundPlanProblem:
    """Return the paper's ten devices under asymmetric channels, with some fields changed.

    Parameters
    ----------
    **changes
        Fields that differ.

    Returns
    -------
    RoundPlanProblem
        A single instance.

    Examples
    --------
    >>> paper().sizes["device"]
    10
    """
    return cast(RoundPlanProblem, _ten_devices().replace(strict=None, **changes))


@cache
def _ten_devices() -> RoundPlanProblem:
    return cast(RoundPlanProblem, Scenario.load("mix2fld").draw(seed=0).problem("mix2fld"))


def named() -> dict[str, RoundPlanProblem]:
    """Instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to RoundPlanProblem
        Single feasible instances, by name.

    Examples
    --------
    >>> int(named()["one_plan"].solve().iterations)
    1
    """
    strong = np.full(10, float(dbm_to_w(40.0)))
    weights = float(paper().model_bits)
    unseeded: dict[str, Any] = {"seed_samples": [0], "rounds": [30.0]}
    uneven = 1e-12 * np.geomspace(0.3, 30.0, 10)
    return {
        "paper": paper(),
        "symmetric": paper(transmit_power_w=strong),
        "weights_up_asymmetric": paper(
            output_bits=weights, max_slots=[101, 103, 110, 130, 200], min_participation=0.1, **unseeded
        ),
        "weights_up_symmetric": paper(
            output_bits=weights, transmit_power_w=strong, max_slots=[101, 102, 103, 110], **unseeded
        ),
        "outputs_both_ways": paper(model_bits=3_200.0, max_slots=[1, 2, 3, 5, 8], **unseeded),
        "one_plan": paper(num_channels=[2], max_slots=[100], seed_samples=[10], rounds=[30.0]),
        "one_device": paper(transmit_power_w=[0.2], channel_gain=[1e-12], num_channels=[1]),
        "fifty_devices": paper(
            transmit_power_w=np.full(50, 0.2), channel_gain=np.full(50, 1e-12), max_slots=[50, 100, 400]
        ),
        "uneven_devices": paper(channel_gain=uneven, min_participation=0.5),
        "almost_no_noise": paper(noise_psd_w_per_hz=1e-30, max_slots=[4, 6, 9, 50, 160]),
        "high_thresholds": paper(uplink_snr_threshold=15.0, downlink_snr_threshold=15.0),
        "compute_is_all": paper(compute_time_s=1e4),
        "compute_is_nothing": paper(compute_time_s=0.0),
        "few_take_part": paper(max_slots=[22, 23, 24], min_participation=0.05),
        "one_round": paper(rounds=[1.0, 1.0, 1.0]),
        "short_slots": paper(slot_s=1e-4, max_slots=[300, 600, 1500]),
    }


def random(seed: int, max_devices: int = 12) -> RoundPlanProblem:
    """Draw a feasible instance whose devices, links, payloads and candidates are drawn.

    Parameters
    ----------
    seed : int
        The same seed gives the same instance.
    max_devices : int, default 12
        Largest K.

    Returns
    -------
    RoundPlanProblem
        A single instance; the largest limit suffices with the most bands and the fewest seed samples.

    Examples
    --------
    >>> random(3) == random(3)
    True
    """
    rng = np.random.default_rng([seed, 11])
    devices, seeds = int(rng.integers(1, max_devices + 1)), int(rng.integers(1, 4))
    problem = paper(
        transmit_power_w=rng.uniform(0.05, 10.0, devices),
        channel_gain=1e-12 * rng.uniform(0.5, 5.0, devices),
        downlink_power_w=float(rng.uniform(1.0, 20.0)),
        uplink_snr_threshold=float(rng.uniform(0.5, 6.0)),
        downlink_snr_threshold=float(rng.uniform(0.5, 6.0)),
        num_channels=np.unique(rng.integers(1, devices + 1, 3)),
        seed_samples=np.cumsum(rng.integers(0, 15, seeds)) + np.arange(seeds),
        rounds=np.sort(rng.uniform(5.0, 40.0, seeds))[::-1],
        compute_time_s=float(rng.choice([0.0, 0.05, 1.0])),
        min_participation=float(rng.uniform(0.2, 0.95)),
    )
    return cast(RoundPlanProblem, problem.replace(max_slots=_limits(problem, rng)))


def _limits(problem: RoundPlanProblem, rng: np.random.Generator) -> list[int]:
    """Limits around what uploads and the download take, the last one beyond doubt for some plan."""
    band = float(problem.bandwidth_hz) * float(problem.num_channels[0]) / problem.sizes["device"]
    first = float(problem.output_bits) + int(problem.seed_samples[0]) * float(problem.sample_bits)
    longest = 0.0
    for bits, power, width, threshold in (
        (first, problem.transmit_power_w, band, float(problem.uplink_snr_threshold)),
        (
            float(problem.model_bits),
            problem.downlink_power_w,
            float(problem.bandwidth_hz),
            float(problem.downlink_snr_threshold),
        ),
    ):
        good = math.ceil(bits / (float(problem.slot_s) * width * math.log2(1.0 + threshold)))
        noise = float(problem.noise_psd_w_per_hz) * width
        chance = np.exp(-threshold * noise / (power * problem.channel_gain))
        longest = max(longest, float((good + 4.0 * math.sqrt(good) + 8.0) / chance.min()))
    last = math.ceil(longest)
    return np.unique(np.append(rng.integers(max(1, last // 4), last + 1, 4), last)).tolist()
