"""DT-KD's Problem 3: its optimality equations as the Lagrangian of the problem has them, for 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np

from radioopt.dtkd.solution import DistillationSolution
from validation.kkt import Kkt, Numbers, numbers_of

RESULTS = (
    "server_cpu_frequency_hz",
    "bandwidth_hz",
    "delay_s",
    "objective",
    "price_delay_per_s",
    "price_server_cpu_per_hz",
    "price_bandwidth_per_hz",
)


def kkt(solution: DistillationSolution, fields: tuple[str, ...]) -> Kkt:
    """State the equations that hold at a single optimum, models and places unchanged.

    Parameters
    ----------
    solution : DistillationSolution
        An optimum, which says what binds.
    fields : tuple of str
        The fields that have derivatives.

    Returns
    -------
    Kkt
        In f, b, omega (of each user's deadline), lambda and nu.
    """
    problem = solution.problem
    K = problem.sizes["device"]
    f0, b0 = solution.server_cpu_frequency_hz, solution.bandwidth_hz
    f_high = f0 >= problem.max_server_cpu_frequency_hz * (1 - 1e-10)
    f_low = ~f_high & (f0 <= problem.min_server_cpu_frequency_hz * (1 + 1e-10))
    b_high = b0 >= problem.max_bandwidth_hz * (1 - 1e-10)
    b_low = ~b_high & (b0 <= problem.min_bandwidth_hz * (1 + 1e-10))
    due = solution.price_delay_per_s > 0
    density = float(problem.noise_psd_w_per_hz) > 0
    lam0, nu0 = float(solution.price_server_cpu_per_hz), float(solution.price_bandwidth_per_hz)
    local = np.asarray(solution.trains_locally, float)
    student, parameters = solution._of_model("cycles"), solution._of_model("parameter_bits")
    own, average = solution._of_model("own_accuracy"), solution._of_model("average_accuracy")
    start = [*f0, *b0, *solution.price_delay_per_s, lam0, nu0]

    def parts(given: Numbers, i: int, f: Any, b: Any) -> tuple[Any, Any, Any]:
        """Delay of a user, with slopes in f and b."""
        cycles = given["teacher_cycles"][0] + (0 if local[i] else mp.mpf(student[i]))
        bits = mp.mpf(parameters[i]) + local[i] * given["label_bits"][0]
        received = given["transmit_power_w"][i] * given["channel_gain"][i]
        if density:
            snr = received / (given["noise_psd_w_per_hz"][0] * b)
            in_b = (mp.log(1 + snr) - snr / (1 + snr)) / mp.log(2)
        else:
            snr = received / given["noise_power_w"][0]
            in_b = mp.log(1 + snr) / mp.log(2)
        r = b * mp.log(1 + snr) / mp.log(2)
        compute = cycles / f if cycles else mp.mpf(0)
        at_home = local[i] * mp.mpf(student[i]) / given["local_cpu_frequency_hz"][i]
        return compute + at_home + bits / r, (-compute / f if cycles else mp.mpf(0)), -bits * in_b / r**2

    def equations(unknown: list[Any], given: Numbers) -> list[Any]:
        f, b, omega = (unknown[i * K : (i + 1) * K] for i in range(3))
        lam, nu = unknown[3 * K :]
        left = []
        for i in range(K):
            delay, in_f, in_b = parts(given, i, f[i], b[i])
            w = given["delay_weight_per_s"][0] + omega[i]
            if f_low[i] or f_high[i]:
                left.append(f[i] - given[f"{'max' if f_high[i] else 'min'}_server_cpu_frequency_hz"][i])
            else:
                left.append(w * in_f + lam)
            if b_low[i] or b_high[i]:
                left.append(b[i] - given[f"{'max' if b_high[i] else 'min'}_bandwidth_hz"][i])
            else:
                left.append(w * in_b + given["bandwidth_price_per_hz"][0] + nu)
            left.append(delay - given["max_delay_s"][i] if due[i] else omega[i])
        left.append(mp.fsum(f) - given["server_cpu_frequency_hz"][0] if lam0 > 0 else lam)
        left.append(mp.fsum(b) - given["bandwidth_hz"][0] if nu0 > 0 else nu)
        return left

    def results(unknown: list[Any], given: Numbers) -> Numbers:
        f, b, omega = (unknown[i * K : (i + 1) * K] for i in range(3))
        delay = [parts(given, i, f[i], b[i])[0] for i in range(K)]
        cost = mp.mpf(0)
        for i in range(K):
            cycles = given["teacher_cycles"][0] + (0 if local[i] else mp.mpf(student[i]))
            cost += given["delay_weight_per_s"][0] * delay[i] + given["cpu_price_per_cycle"][0] * cycles
            cost += given["bandwidth_price_per_hz"][0] * b[i]
            cost -= (
                given["own_accuracy_weight"][0] * own[i] + given["average_accuracy_weight"][0] * average[i]
            )
        return {
            "server_cpu_frequency_hz": f,
            "bandwidth_hz": b,
            "delay_s": delay,
            "objective": [cost],
            "price_delay_per_s": omega,
            "price_server_cpu_per_hz": [unknown[3 * K]],
            "price_bandwidth_per_hz": [unknown[3 * K + 1]],
        }

    return Kkt(numbers_of(problem, fields), np.asarray(start).tolist(), equations, results)
