"""What every candidate plan takes, from the closed forms of block fading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from radioopt.base.options import DEFAULT_OPTIONS
from radioopt.base.quantity import Array
from radioopt.channel import BlockFadingLink, SlotCount
from radioopt.mix2fld.problem import RoundPlanProblem

#: slots whose lateness is evaluated at once
BLOCK = 128


class Plans(NamedTuple):
    """All candidates of a single instance, each field of shape (C, M, S).

    Attributes
    ----------
    time_s : ndarray
        Expected time to convergence [s], the objective.
    num_rounds : ndarray
        Rounds until then, R.
    participation, first_participation : ndarray
        Expected shares of devices in a round, a, and of those whose samples arrive.
    first_round_s, round_s : ndarray
        Expected time of the first and of any later round [s].
    """

    time_s: Array
    num_rounds: Array
    participation: Array
    first_participation: Array
    first_round_s: Array
    round_s: Array

    def feasible(
        self, problem: RoundPlanProblem, tolerance: float = DEFAULT_OPTIONS.feasibility_tol
    ) -> Array:
        """Tell where enough devices take part, (C, M, S)."""
        least = np.minimum(self.participation, self.first_participation)
        return np.asarray(least >= problem.min_participation - tolerance) & (least > 0)


@np.errstate(all="ignore")
def plans(problem: RoundPlanProblem) -> Plans:
    """Evaluate all candidates of a single instance; a time beyond float64 is not finite.

    Parameters
    ----------
    problem : RoundPlanProblem
        Not a batch.

    Returns
    -------
    Plans
        Of the cost of one incomplete beta function per device, slot, number of bands and of samples.
    """
    limits = problem.max_slots
    up, first, down = laws(problem)
    arrives = up.arrival(limits[:, None, None]), down.arrival(limits[:, None])
    share = (arrives[0] * np.expand_dims(arrives[1], 1)).mean(-1).T[..., None]  # (C, M, 1)
    first_share = np.moveaxis(np.mean(first.arrival(limits[:, None, None, None]), -1), 0, 1)  # (C, M, S)
    waits = _slowest(up, limits)[..., None]
    first_waits = np.swapaxes(_slowest(first, limits), 1, 2)
    multicast = _slowest(down, limits)[:, None]
    later = problem.slot_s * (waits + multicast) + problem.compute_time_s
    initial = problem.slot_s * (first_waits + multicast) + problem.compute_time_s
    rounds = problem.rounds / share
    time = initial + (rounds - 1.0) * later
    return Plans(*np.broadcast_arrays(time, rounds, share, first_share, initial, later))


def laws(problem: RoundPlanProblem) -> tuple[SlotCount, SlotCount, SlotCount]:
    """Slots of an upload (C, K), of the first one (C, S, K), and of the download (K) of a single instance."""
    common = {"noise_psd_w_per_hz": problem.noise_psd_w_per_hz, "slot_s": problem.slot_s}
    devices = {"channel_gain": problem.channel_gain}
    band = problem.bandwidth_hz * problem.num_channels[:, None] / problem.sizes["device"]
    power = {"transmit_power_w": problem.transmit_power_w, "snr_threshold": problem.uplink_snr_threshold}
    up = BlockFadingLink(bandwidth_hz=band, **power, **devices, **common)
    up_first = BlockFadingLink(bandwidth_hz=band[:, None], **power, **devices, **common)
    down = BlockFadingLink(
        bandwidth_hz=problem.bandwidth_hz,
        transmit_power_w=problem.downlink_power_w,
        snr_threshold=problem.downlink_snr_threshold,
        **devices,
        **common,
    )
    first_bits = problem.output_bits + problem.seed_samples[:, None] * problem.sample_bits
    return up.slots(problem.output_bits), up_first.slots(first_bits), down.slots(problem.model_bits)


def instances(problem: RoundPlanProblem) -> Iterator[tuple[tuple[int, ...], RoundPlanProblem]]:
    """Go through the single instances of a problem, each with its index; of a single one that is ()."""
    for index in np.ndindex(problem.batch_shape):
        yield index, problem[index] if problem.batch_shape else problem


def _slowest(law: SlotCount, limits: Array) -> Array:
    """Mean slots until all devices are done or a limit is reached, limits along the last axis, by one running sum."""
    ahead = (slice(None), *(None,) * (np.ndim(law.mean) - 1))
    total: Array = np.zeros(np.shape(law.mean)[:-1])
    found = np.empty((len(limits), *total.shape))
    for start in range(0, limits[-1], BLOCK):
        slots = np.arange(start, min(start + BLOCK, limits[-1]))
        late = np.asarray(law.slowest_outage(slots[ahead]))
        sums = total + np.cumsum(late, axis=0)
        reached = (limits > start) & (limits <= start + BLOCK)
        found[reached] = sums[limits[reached] - start - 1]
        total = sums[-1]
        if (late[-1] * limits[-1] <= 1e-17 * total).all():  # all that is left, as lateness only falls
            found[limits > start + BLOCK] = total
            break
    return np.moveaxis(found, 0, -1)
