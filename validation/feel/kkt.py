"""FEEL's optimality equations as the Lagrangian of the paper's problem has them, for 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np

from radioopt.feel.solution import BatchsizeSolution
from validation.kkt import Kkt, Numbers, numbers_of

RESULTS = (
    "batchsize",
    "uplink_slot_s",
    "downlink_slot_s",
    "upload_phase_s",
    "download_phase_s",
    "round_latency_s",
    "objective",
)


def kkt(solution: BatchsizeSolution) -> Kkt:
    """State the equations that hold at a single optimum.

    Parameters
    ----------
    solution : BatchsizeSolution
        A continuous optimum, which says what binds.

    Returns
    -------
    Kkt
        In B, phi, lambda (of each device's time), T, mu (of the frame), psi, T_D and the multiplier of a fixed total
        or of a deadline.
    """
    problem = solution.problem
    K = problem.sizes["device"]
    low, high, B0 = problem.min_batchsize, problem.max_batchsize, solution.batchsize
    at_low, at_high = low * (1 + 1e-10) >= B0, high * (1 - 1e-10) <= B0
    fixed = np.isfinite(problem.total_batchsize)
    broadcast = problem.downlink == "broadcast"

    phi = solution.uplink_slot_s / problem.uplink_frame_s
    a = problem.upload_time_full_frame_s
    x, total = float(solution.round_latency_s), float(B0.sum())
    late = not fixed and x >= problem.max_round_latency_s * (1 - 1e-10)
    psi = solution.downlink_slot_s / problem.downlink_frame_s
    free = ~(at_low | at_high)
    price = (1.0 if fixed else 2 * x / total) / float((phi**2 / a).sum())
    if late:
        device = int(np.argmax(free))
        price = float((x / total) ** 2 / problem.seconds_per_sample[device] * a[device] / phi[device] ** 2)
    lam = price * phi**2 / a
    of_total = float((lam * problem.seconds_per_sample)[free].mean()) if fixed else lam.sum() - 2 * x / total
    start = [*B0, *phi, *lam, solution.upload_phase_s, price, *psi, solution.download_phase_s, of_total]

    def equations(unknown: list[Any], given: Numbers) -> list[Any]:
        B, share, lam = (unknown[i * K : (i + 1) * K] for i in range(3))
        T, mu = unknown[3 * K : 3 * K + 2]
        psi, T_D, extra = unknown[3 * K + 2 : 4 * K + 2], unknown[4 * K + 2], unknown[4 * K + 3]
        s, S, x = given["payload_bits"][0], mp.fsum(B), T + T_D
        left = []
        for k in range(K):
            slope = given["seconds_per_sample"][k]
            if at_low[k] or at_high[k]:
                left.append(B[k] - given["max_batchsize" if at_high[k] else "min_batchsize"][k])
            else:
                left.append(lam[k] * slope - (extra if fixed else x**2 / S**2))
            upload = s / given["uplink_rate_bps"][k]
            left.append(mu - lam[k] * upload / share[k] ** 2)
            left.append(given["base_time_s"][k] + slope * B[k] + upload / share[k] - T)
            download = s / given["downlink_rate_bps"][k]
            left.append(psi[k] - 1 if broadcast else psi[k] * (T_D - given["update_time_s"][k]) - download)
        left.append(mp.fsum(share) - 1)
        left.append((1 if fixed else 2 * x / S + extra) - mp.fsum(lam))
        if broadcast:
            left.append(T_D - s / min(given["downlink_rate_bps"]) - max(given["update_time_s"]))
        else:
            left.append(mp.fsum(psi) - 1)
        left.append(
            S - given["total_batchsize"][0]
            if fixed
            else x - given["max_round_latency_s"][0]
            if late
            else extra
        )
        return left

    def results(unknown: list[Any], given: Numbers) -> Numbers:
        B, share = unknown[:K], unknown[K : 2 * K]
        T, psi, T_D = unknown[3 * K], unknown[3 * K + 2 : 4 * K + 2], unknown[4 * K + 2]
        return {
            "batchsize": B,
            "uplink_slot_s": [value * given["uplink_frame_s"][0] for value in share],
            "downlink_slot_s": [value * given["downlink_frame_s"][0] for value in psi],
            "upload_phase_s": [T],
            "download_phase_s": [T_D],
            "round_latency_s": [T + T_D],
            "objective": [given["loss_decay"][0] * mp.sqrt(mp.fsum(B)) / (T + T_D)],
        }

    return Kkt(numbers_of(problem, tuple(problem.quantities)), start, equations, results)
