r"""Objective, residuals, bound and repair of a FEEL point in plain NumPy: the oracle for every solver.

It takes decisions only (batch sizes, slots) and calls no kernel, so that it can judge the kernels.

For any shares :math:`\phi > 0` and any :math:`\theta`, weak duality bounds the optimum of
:math:`\kappa = (T + T_D)^2 / \sum B`, because :math:`x^2/B \ge 2\theta x - \theta^2 B`. With
:math:`\lambda_k = 2\theta\, (\phi_k^2/a_k) / \sum (\phi^2/a)`,

.. math::
    \kappa^* \ge 2\theta T_D + \Big(\sum_k \sqrt{\lambda_k a_k}\Big)^2
             + \sum_k \min_{B \in \{l_k, u_k\}} \lambda_k (o_k + p_k B) - \theta^2 B,

and the learning efficiency is at most :math:`\xi/\sqrt{\kappa}`. :math:`T_D` is bounded from below by
:math:`\sum w c + (\sum\sqrt{w b})^2` with :math:`w_k \propto \psi_k^2/b_k`, :math:`\sum w = 1`.
The bound holds for integer batch sizes as well, also for those below a fractional l, which take as long as l.

A deadline D on the round adds a multiplier :math:`\nu \ge 0`: the :math:`\lambda` then sum to
:math:`2\theta + \nu` and :math:`\nu (T_D - D)` is added. A fixed total N bounds the latency itself, by
:math:`\lambda` that sum to one and a free multiplier :math:`\gamma` in place of :math:`\theta^2`, plus
:math:`\gamma N`.

With wide limits the last sum magnifies rounding: an error :math:`\epsilon` in :math:`\lambda_k p_k` costs
:math:`\epsilon u_k / \sum B`. So a second choice of :math:`\lambda` is tried and the better bound kept:
exactly :math:`\theta^2/p_k` for the devices strictly between their limits, which makes their term constant
in B, and :math:`\propto \phi_k^2/a_k` for the others, summing to :math:`2\theta`. An allowance for rounding is
taken off every bound, of the size of the terms that may cancel: with a deadline that is just met, or where
:math:`o_k` and :math:`p_k B` nearly cancel, they are many times their sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array

if TYPE_CHECKING:
    from radioopt.feel.problem import BatchsizeProblem

#: relative rounding error allowed for in a bound; NumPy adds up in pairs
ROUNDING = 1e-15


@np.errstate(all="ignore")
def evaluate(
    problem: BatchsizeProblem,
    *,
    batchsize: ArrayLike,
    uplink_slot_s: ArrayLike,
    downlink_slot_s: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
) -> Certificate:
    """Measure a point and bound the optimum from it.

    Parameters
    ----------
    problem : BatchsizeProblem
        The question.
    batchsize, uplink_slot_s, downlink_slot_s : array_like, shape (..., K)
        The point to judge [samples, s, s].
    options : SolveOptions, optional
        Tolerances.

    Returns
    -------
    Certificate
        Residuals: batchsize (relative), uplink_slots and downlink_slots (relative to the frame), and
        total_batchsize and round_latency (relative) where the problem has them.
        A bound of infinity says that this point proves nothing.
    """
    b = np.asarray(batchsize, np.float64)
    phi = np.asarray(uplink_slot_s, np.float64) / np.expand_dims(problem.uplink_frame_s, -1)
    psi = np.asarray(downlink_slot_s, np.float64) / np.expand_dims(problem.downlink_frame_s, -1)
    low, high = problem.min_batchsize, problem.max_batchsize
    base, slope, update = problem.base_time_s, problem.seconds_per_sample, problem.update_time_s
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    fixed, deadline = problem.total_batchsize, problem.max_round_latency_s
    phase_up = (base + slope * np.maximum(b, low) + upload / phi).max(-1)
    if problem.downlink == "broadcast":
        phase_down = (download / psi).max(-1) + update.max(-1)
        least_down = download.max(-1) + update.max(-1)
        downlink_use = psi.max(-1)
    else:
        phase_down = (download / psi + update).max(-1)
        w = psi**2 / download
        least_down = ((w * update).sum(-1) + psi.sum(-1) ** 2) / w.sum(-1) * (1 - ROUNDING)
        downlink_use = psi.sum(-1)
    total = b.sum(-1)
    latency = phase_up + phase_down
    objective = problem.loss_decay * np.sqrt(total) / latency

    w = phi**2 / upload
    weight = w.sum(-1)
    free = (low < b) & (b < high)
    inverse = np.where(free, 1 / slope, 0.0).sum(-1)
    clamped, unclamped = np.where(free, 0.0, w).sum(-1), np.where(free, w, 0.0).sum(-1)

    def dual(gamma: Array, level: Array, split: bool) -> Array:
        gamma, level = np.expand_dims(gamma, -1), np.expand_dims(level, -1)
        price = np.where(free, gamma / slope, level * w) if split else level * w
        least, most = (price * (base + slope * end) - gamma * end for end in (low, high))
        end = np.where(least < most, low, high)
        end = np.where(free, b, end) if split else end
        inner = (price * (base + slope * end) - gamma * end).sum(-1)
        roots = np.sqrt(price * upload).sum(-1) ** 2
        size = (price * (np.abs(base) + slope * end) + gamma * end).sum(-1)
        return np.asarray(roots + inner - ROUNDING * (roots + size))

    # m^2 as the point implies it: from the free devices, or between those at their limits
    implied = 1 / (slope * w)
    above = np.where((b <= low) & (low < high), implied, 0.0).max(-1)
    below = np.where((b >= high) & (low < high), implied, np.inf).min(-1)
    between = np.where(above == 0, np.where(below < np.inf, below, 1.0), np.sqrt(above) * np.sqrt(below))
    between = np.where((above > 0) & (below == np.inf), above, between)
    ratio = np.where(inverse > 0, inverse / unclamped, between)

    # total batch fixed: multipliers of the devices sum to one
    gamma = 1 / (ratio * weight)
    latencies = [dual(gamma, 1 / weight, False) + gamma * fixed]
    gamma = 1 / (inverse + ratio * clamped)
    latencies += [dual(gamma, ratio * gamma, True) + gamma * fixed]
    shortest = least_down + np.fmax(*latencies)
    bound_fixed = np.where(shortest > 0, problem.loss_decay * np.sqrt(fixed) / shortest, np.inf)

    # total batch free, multipliers summing to 2 theta, plus the price of the deadline where it is met
    theta = latency / total
    kappas = [2 * theta * least_down + dual(theta**2, 2 * theta / weight, False)]
    gamma = theta**2
    price = gamma * (inverse + ratio * clamped) - 2 * theta
    with_price = (
        (2 * theta + price) * least_down
        - price * np.maximum(deadline, latency) * (1 + ROUNDING)
        + dual(gamma, ratio * gamma, True)
    )
    kappas += [np.where((price > 0) & (latency >= deadline * (1 - 1e-9)), with_price, 0.0)]
    theta = 2 / (inverse + ratio * clamped)
    second = 2 * theta * least_down + dual(theta**2, ratio * theta**2, True)
    kappas += [np.where(inverse > 0, second, 0.0)]
    kappa = np.fmax.reduce(kappas)
    bound = np.where(kappa > 0, problem.loss_decay / np.sqrt(kappa), np.inf)
    positive = np.where((phi > 0).all(-1) & (psi > 0).all(-1), 0.0, np.inf)
    smallest = np.maximum(1.0, np.floor(low))
    residuals = {
        "batchsize": np.maximum((smallest - b) / smallest, (b - high) / high).max(-1),
        "uplink_slots": np.maximum(phi.sum(-1) - 1, positive),
        "downlink_slots": np.maximum(downlink_use - 1, positive),
    }
    if np.isfinite(fixed).any():
        residuals["total_batchsize"] = np.where(np.isfinite(fixed), np.abs(total - fixed) / fixed, 0.0)
        bound = np.where(np.isfinite(fixed), bound_fixed, bound)
    if np.isfinite(deadline).any():
        residuals["round_latency"] = np.where(np.isfinite(deadline), (latency - deadline) / deadline, 0.0)
    return Certificate.judge(objective, bound, residuals, sense=problem.sense, options=options)


def repair(
    problem: BatchsizeProblem, *, batchsize: ArrayLike, uplink_slot_s: ArrayLike, downlink_slot_s: ArrayLike
) -> dict[str, Array]:
    """Clip the batch sizes to their limits and scale the slots to fill their frames.

    Parameters
    ----------
    problem : BatchsizeProblem
        The question.
    batchsize, uplink_slot_s, downlink_slot_s : array_like, shape (..., K)
        A nearly feasible point, a generic solver's for instance.

    Returns
    -------
    dict of str to ndarray
        The same three decisions, feasible.
    """
    uplink, downlink = np.maximum(uplink_slot_s, 0.0), np.maximum(downlink_slot_s, 0.0)
    frames = np.expand_dims(problem.uplink_frame_s, -1), np.expand_dims(problem.downlink_frame_s, -1)
    used = downlink if problem.downlink == "broadcast" else downlink.sum(-1, keepdims=True)
    return {
        "batchsize": np.clip(batchsize, problem.min_batchsize, problem.max_batchsize),
        "uplink_slot_s": uplink / uplink.sum(-1, keepdims=True) * frames[0],
        "downlink_slot_s": downlink / used * frames[1],
    }
