r"""What a change of each parameter is worth, from the prices at the optimum.

By the envelope theorem the change of the optimum is that of the Lagrangian. Device i values

    time               :math:`\lambda_i = -U'(t)`: :math:`\varpi b/t`, or :math:`\varpi a e^u/(t^2 h) - P^{max}`
    CPU frequency      :math:`\phi_i F = \lambda_i - 2 A D^3/s^3` at :math:`f^{max}`, else 0
    power              :math:`\pi_i = \varpi/(k h) - t` at :math:`P^{max}`, else 0
    a sample more      :math:`\psi_i = \nu\beta D^{-\beta-1} - 3 A D^2/s^2 - \phi_i`: positive at :math:`D^{hi}`,
                       negative at :math:`D^{loc}`, else 0

and :math:`d E/d \ln k_i = P_i t_i + \pi_i P_i`, :math:`d E/d\ln S = \sum \varpi a e^u/(t h)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Quantity, quantity, unrestricted
from radioopt.base.sensitivity import Sensitivity
from radioopt.fimi.device import Canonical, log_h

if TYPE_CHECKING:
    from radioopt.fimi.solution import SynthesisSolution


class SynthesisSensitivity(Sensitivity):
    """Elasticities of the energy: per cent of energy for one per cent more of a parameter, negative if it saves.

    ``prices`` has the energy that one unit more of a field saves; see :class:`~radioopt.base.sensitivity.Sensitivity`.

    Attributes
    ----------
    local_samples, max_synthetic_samples, cycles_per_sample, energy_coefficient : ndarray, shape (..., I)
        With respect to the problem's fields.
    fixed_synthetic_samples : ndarray, shape (..., I)
        Likewise; zero where the samples are chosen.
    max_cpu_frequency_hz, max_transmit_power_w, channel_gain : ndarray, shape (..., I)
        Likewise; zero where a limit does not bind.
    price_time_w : ndarray, shape (..., I)
        What a device would save with a second more than the others, as a power [W].
    noise_psd_w_per_hz, bandwidth_hz, payload_bits, max_round_latency_s : float or ndarray (...)
        With respect to the problem's fields.
    num_rounds, convergence_constant, max_global_error : float or ndarray (...)
        Likewise; zero where the local samples alone meet the error.
    curve_alpha, curve_beta, curve_gamma, local_epochs : float or ndarray (...)
        Likewise.
    """

    local_samples: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the samples held")
    max_synthetic_samples: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the limit of D_gen")
    fixed_synthetic_samples: Quantity = quantity(
        "1", unrestricted, DEVICE, "elasticity in the synthetic samples held"
    )
    cycles_per_sample: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the cycles per sample")
    energy_coefficient: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the capacitance")
    max_cpu_frequency_hz: Quantity = quantity(
        "1", unrestricted, DEVICE, "elasticity in the largest frequency"
    )
    max_transmit_power_w: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the largest power")
    channel_gain: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the channel gain")
    price_time_w: Quantity = quantity("W", unrestricted, DEVICE, "price of time")
    noise_psd_w_per_hz: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the noise")
    bandwidth_hz: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the bandwidth")
    payload_bits: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the payload")
    max_round_latency_s: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the deadline")
    num_rounds: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the rounds")
    convergence_constant: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in zeta")
    max_global_error: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the error")
    curve_alpha: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in alpha")
    curve_beta: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in beta")
    curve_gamma: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in gamma")
    local_epochs: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the epochs")

    apart = ("price_time_w",)
    solution: SynthesisSolution

    @np.errstate(all="ignore")
    def slopes(self) -> dict[str, Array]:
        """Return the derivative of the energy in every field, also in those that are 0."""
        solution, problem = self.solution, self.solution.problem
        energy = problem.energy_coefficient
        coefficient = np.expand_dims(problem.local_epochs, -1) * problem.cycles_per_sample * solution.samples
        worth = solution.price_learning_j * problem.sizes["device"] / problem.curve_alpha
        found = super().slopes()
        known = np.isnan(found["energy_coefficient"]) | (energy > 0)
        found["energy_coefficient"] = np.where(
            known, found["energy_coefficient"], coefficient * solution.cpu_frequency_hz**2
        )
        return found | {"curve_gamma": -worth}


def sensitivity(solution: SynthesisSolution) -> SynthesisSensitivity:
    """Evaluate the elasticities at a solution.

    Parameters
    ----------
    solution : SynthesisSolution
        A continuous optimum, or a batch of them; NaN where an instance has none.

    Returns
    -------
    SynthesisSensitivity
        One-sided where a device sits exactly at the edge of a limit without being pushed against it.

    Notes
    -----
    In SI units :math:`dE/dB` is ``-price_bandwidth_j_per_hz``, and :math:`dE/dT` is the sum of ``-price_time_w``.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> solution = Scenario.load("fimi").draw(seed=1).problem("fimi").solve()
    >>> worth = solution.sensitivity()
    >>> bool(worth.bandwidth_hz < 0), bool(worth.max_round_latency_s < 0), bool(worth.payload_bits > 0)
    (True, True, True)
    """
    problem, p = solution.problem, Canonical.of(solution.problem)
    nu = np.expand_dims(solution.price_learning_j, -1)
    varpi = np.expand_dims(solution.price_bandwidth_j_per_hz, -1)
    energy = np.expand_dims(solution.objective, -1)
    D, b, P = solution.samples, solution.bandwidth_hz, solution.transmit_power_w
    with np.errstate(all="ignore"):
        u = np.log1p(P / (p.k * b))
        t = p.a / (b * u)
        s = p.T - t
        h = np.exp(log_h(u))
        compute, upload = p.A * D**3 / s**2, P * t
        full = p.power * (1 - 1e-12) <= P
        time = np.where(full, varpi * p.a * np.exp(u) / (t**2 * h) - p.power, varpi * b / t)
        speed = np.where(p.F * s <= D * (1 + 1e-9), np.maximum(time - 2 * p.A * (D / s) ** 3, 0.0), 0.0)
        power = np.where(full, np.maximum(varpi / (p.k * h) - t, 0.0), 0.0)
        sample = nu * p.beta * D ** (-p.beta - 1) - 3 * p.A * D**2 / s**2 - speed / p.F
        at_high, at_low = p.high * (1 - 1e-9) <= D, p.low * (1 + 1e-9) >= D
        wants = np.where(at_high, np.maximum(sample, 0.0), 0.0)
        refuses = np.where(at_low, np.maximum(-sample, 0.0), 0.0)
        gain = upload + power * P
        held = np.where(np.isfinite(problem.fixed_synthetic_samples), problem.fixed_synthetic_samples, 0.0)
        most = np.where(np.isfinite(problem.max_synthetic_samples), problem.max_synthetic_samples, 0.0)
        cycles = 3 * compute + speed * s
        learned = D**-p.beta
        total = solution.objective
        worth = solution.price_learning_j * problem.sizes["device"] / problem.curve_alpha / total
        ratio = problem.convergence_constant / problem.num_rounds
        of_rounds = worth * ratio * np.log(problem.max_global_error)
        values = {
            "local_samples": (refuses - wants) * problem.local_samples / energy,
            "fixed_synthetic_samples": refuses * held / energy,
            "max_synthetic_samples": -wants * most / energy,
            "cycles_per_sample": cycles / energy,
            "energy_coefficient": compute / energy,
            "max_cpu_frequency_hz": -speed * s / energy,
            "max_transmit_power_w": -power * p.power / energy,
            "channel_gain": -gain / energy,
            "price_time_w": time,
            "noise_psd_w_per_hz": gain.sum(-1) / total,
            "bandwidth_hz": -solution.price_bandwidth_j_per_hz * problem.bandwidth_hz / total,
            "payload_bits": (varpi * p.a * np.exp(u) / (t * h)).sum(-1) / total,
            "max_round_latency_s": -time.sum(-1) * problem.max_round_latency_s / total,
            "num_rounds": of_rounds,
            "convergence_constant": -of_rounds,
            "max_global_error": -worth * ratio,
            "curve_alpha": solution.price_learning_j * problem.learning_budget / total,
            "curve_beta": -(nu * p.beta * np.log(D) * learned).sum(-1) / total,
            "curve_gamma": -worth * problem.curve_gamma,
            "local_epochs": cycles.sum(-1) / total,
        }
    values = {name: value + 0.0 for name, value in values.items()}  # no -0
    return SynthesisSensitivity.at(solution, values)
