"""FIMI's optimality equations as the Lagrangian of the paper's problem has them, for 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np

from radioopt.fimi.solution import SynthesisSolution
from validation.kkt import Kkt, Numbers, numbers_of

RESULTS = (
    "synthetic_samples",
    "cpu_frequency_hz",
    "bandwidth_hz",
    "transmit_power_w",
    "compute_energy_j",
    "upload_energy_j",
    "energy_j",
    "objective",
    "price_learning_j",
    "price_bandwidth_j_per_hz",
)


def kkt(solution: SynthesisSolution, fields: tuple[str, ...]) -> Kkt:
    """State the equations that hold at a single optimum.

    Parameters
    ----------
    solution : SynthesisSolution
        A continuous optimum, which says what binds.
    fields : tuple of str
        The fields that have derivatives.

    Returns
    -------
    Kkt
        In D, f, b, P, lambda (of each device's time), nu and varpi.
    """
    problem = solution.problem
    count = problem.sizes["device"]
    D0, f0, b0, P0 = (
        solution.samples,
        solution.cpu_frequency_hz,
        solution.bandwidth_hz,
        solution.transmit_power_w,
    )
    held = problem.local_samples
    fixed = np.isfinite(problem.fixed_synthetic_samples)
    at_high = (held + problem.max_synthetic_samples) * (1 - 1e-10) <= D0
    at_low = ~at_high & (held * (1 + 1e-10) >= D0)
    fastest = f0 >= problem.max_cpu_frequency_hz * (1 - 1e-10)
    full = problem.max_transmit_power_w * (1 - 1e-10) <= P0
    learns = float(solution.price_learning_j) > 0
    time = solution.sensitivity().price_time_w
    start = [
        *D0,
        *f0,
        *b0,
        *P0,
        *time,
        float(solution.price_learning_j),
        float(solution.price_bandwidth_j_per_hz),
    ]

    def rate(given: Numbers, i: int, b: Any, P: Any) -> tuple[Any, Any, Any]:
        """Seconds per bit, with slopes in b and P."""
        noise = given["noise_psd_w_per_hz"][0] / given["channel_gain"][i]
        snr = P / (noise * b)
        r = b * mp.log(1 + snr) / mp.log(2)
        in_b = (mp.log(1 + snr) - snr / (1 + snr)) / mp.log(2)
        in_P = 1 / (noise * (1 + snr)) / mp.log(2)
        return 1 / r, -in_b / r**2, -in_P / r**2

    def equations(unknown: list[Any], given: Numbers) -> list[Any]:
        D, f, b, P, lam = (unknown[i * count : (i + 1) * count] for i in range(5))
        nu, varpi = unknown[5 * count :]
        beta, S, tau = given["curve_beta"][0], given["payload_bits"][0], given["local_epochs"][0]
        left = []
        for i in range(count):
            work, eps = tau * given["cycles_per_sample"][i], given["energy_coefficient"][i]
            per_bit, in_b, in_P = rate(given, i, b[i], P[i])
            if fixed[i]:
                left.append(D[i] - given["local_samples"][i] - given["fixed_synthetic_samples"][i])
            elif at_low[i]:
                left.append(D[i] - given["local_samples"][i])
            elif at_high[i]:
                left.append(D[i] - given["local_samples"][i] - given["max_synthetic_samples"][i])
            else:
                left.append(eps * work * f[i] ** 2 - nu * beta * D[i] ** (-beta - 1) + lam[i] * work / f[i])
            if fastest[i]:
                left.append(f[i] - given["max_cpu_frequency_hz"][i])
            else:
                left.append(2 * eps * f[i] - lam[i] / f[i] ** 2)
            left.append((P[i] + lam[i]) * S * in_b + varpi)
            if full[i]:
                left.append(P[i] - given["max_transmit_power_w"][i])
            else:
                left.append(per_bit + (P[i] + lam[i]) * in_P)
            left.append(work * D[i] / f[i] + S * per_bit - given["max_round_latency_s"][0])
        error = (
            1
            + given["curve_gamma"][0]
            + given["convergence_constant"][0] / given["num_rounds"][0] * mp.log(given["max_global_error"][0])
        )
        budget = count * error / given["curve_alpha"][0]
        left.append(mp.fsum(d**-beta for d in D) - budget if learns else nu)
        left.append(mp.fsum(b) - given["bandwidth_hz"][0])
        return left

    def results(unknown: list[Any], given: Numbers) -> Numbers:
        D, f, b, P = (unknown[i * count : (i + 1) * count] for i in range(4))
        tau = given["local_epochs"][0]
        compute = [
            given["energy_coefficient"][i] * tau * given["cycles_per_sample"][i] * D[i] * f[i] ** 2
            for i in range(count)
        ]
        upload = [P[i] * given["payload_bits"][0] * rate(given, i, b[i], P[i])[0] for i in range(count)]
        energy = [c + u for c, u in zip(compute, upload, strict=True)]
        return {
            "synthetic_samples": [D[i] - given["local_samples"][i] for i in range(count)],
            "cpu_frequency_hz": f,
            "bandwidth_hz": b,
            "transmit_power_w": P,
            "compute_energy_j": compute,
            "upload_energy_j": upload,
            "energy_j": energy,
            "objective": [mp.fsum(energy)],
            "price_learning_j": [unknown[5 * count]],
            "price_bandwidth_j_per_hz": [unknown[5 * count + 1]],
        }

    return Kkt(numbers_of(problem, fields), np.asarray(start).tolist(), equations, results)
