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
The bound holds for integer batch sizes as well.

With wide limits the last sum magnifies rounding: an error :math:`\epsilon` in :math:`\lambda_k p_k` costs
:math:`\epsilon u_k / \sum B`. So a second choice of :math:`\lambda` is tried and the better bound kept:
exactly :math:`\theta^2/p_k` for the devices strictly between their limits, which makes their term constant
in B, and :math:`\propto \phi_k^2/a_k` for the others, summing to :math:`2\theta`.
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
        Residuals: batchsize (relative), uplink_slots and downlink_slots (relative to the frame).
        A bound of infinity says that this point proves nothing.
    """
    b = np.asarray(batchsize, np.float64)
    phi = np.asarray(uplink_slot_s, np.float64) / np.expand_dims(problem.uplink_frame_s, -1)
    psi = np.asarray(downlink_slot_s, np.float64) / np.expand_dims(problem.downlink_frame_s, -1)
    low, high = problem.min_batchsize, problem.max_batchsize
    base, slope, update = problem.base_time_s, problem.seconds_per_sample, problem.update_time_s
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    with np.errstate(all="ignore"):
        phase_up = (base + slope * b + upload / phi).max(-1)
        phase_down = (download / psi + update).max(-1)
        total = b.sum(-1)
        latency = phase_up + phase_down
        objective = problem.loss_decay * np.sqrt(total) / latency

        weight = psi**2 / download
        scale = weight.sum(-1)
        phase_down_bound = (weight * update).sum(-1) / scale + psi.sum(-1) ** 2 / scale

        def kappa_bound(theta: Array, price: Array, free: Array) -> Array:
            squared = np.expand_dims(theta**2, -1)
            terms = [price * (base + slope * end) - squared * end for end in (b, low, high)]
            inner = np.where(free, terms[0], np.minimum(*terms[1:])).sum(-1)
            outer = 2 * theta * phase_down_bound + np.sqrt(price * upload).sum(-1) ** 2
            return np.where(np.isfinite(outer + inner), outer + inner, 0.0)

        theta = latency / total
        weight = phi**2 / upload
        price = np.expand_dims(2 * theta / weight.sum(-1), -1) * weight
        first = kappa_bound(theta, price, np.zeros_like(b, np.bool_))

        free = (low < b) & (b < high)
        inverse = np.where(free, 1 / slope, 0.0).sum(-1)
        clamped = np.where(free, 0.0, weight).sum(-1)
        theta = np.where(clamped > 0, theta, 2 / inverse)
        level = np.where(clamped > 0, (2 * theta - theta**2 * inverse) / clamped, 0.0)
        price = np.where(free, np.expand_dims(theta**2, -1) / slope, np.expand_dims(level, -1) * weight)
        second = np.where(level >= 0, kappa_bound(theta, price, free), 0.0)

        kappa = np.maximum(first, second)
        bound = np.where(kappa > 0, problem.loss_decay / np.sqrt(kappa), np.inf)
    positive = np.where((phi > 0).all(-1) & (psi > 0).all(-1), 0.0, np.inf)
    residuals = {
        "batchsize": np.maximum((low - b) / low, (b - high) / high).max(-1),
        "uplink_slots": np.maximum(phi.sum(-1) - 1, positive),
        "downlink_slots": np.maximum(psi.sum(-1) - 1, positive),
    }
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
    return {
        "batchsize": np.clip(batchsize, problem.min_batchsize, problem.max_batchsize),
        "uplink_slot_s": uplink / uplink.sum(-1, keepdims=True) * frames[0],
        "downlink_slot_s": downlink / downlink.sum(-1, keepdims=True) * frames[1],
    }
