r"""Derivatives of FIMI's optimum: its optimality equations, linearised in logarithms.

With D samples, s and t the compute and upload times, :math:`s + t = T`, :math:`u = \ln(1 + SNR)`, prices :math:`\nu` of
learning and :math:`\varpi` of bandwidth, and the symbols of :mod:`radioopt.fimi.certificate`, each device satisfies

    samples    :math:`3 A D^2/s^2 = \nu\beta D^{-\beta-1}` inside its limits, else :math:`D = D^{lo}, D^{hi}` or
               :math:`D = F s`, the fastest CPU; :math:`D = D^{loc} + D^{gen}` where the synthetic ones are fixed
    time       :math:`-C'(s) = -U'(t)`; at the fastest CPU and a limit of the samples instead :math:`D = F s`
    power      :math:`\varpi = k t h(u)` below :math:`P^{max}`, there :math:`t = \kappa (e^u - 1)/u`

and all together :math:`\sum D^{-\beta} = Y` (or :math:`\nu = 0`) and :math:`\sum b = B`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.adjoint import Linearised, each, near, refuse_unproven, slight
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array
from radioopt.base.status import Status
from radioopt.fimi.device import Canonical, log_h

if TYPE_CHECKING:
    from radioopt.fimi.solution import SynthesisSolution

#: fields with a derivative
FIELDS = (
    "local_samples",
    "cycles_per_sample",
    "energy_coefficient",
    "max_cpu_frequency_hz",
    "max_transmit_power_w",
    "channel_gain",
    "max_synthetic_samples",
    "fixed_synthetic_samples",
    "noise_psd_w_per_hz",
    "bandwidth_hz",
    "payload_bits",
    "max_round_latency_s",
    "num_rounds",
    "convergence_constant",
    "max_global_error",
    "curve_alpha",
    "curve_beta",
    "curve_gamma",
    "local_epochs",
)


@np.errstate(all="ignore")
def linearise(solution: SynthesisSolution) -> Linearised:
    """Linearise the optimality equations at an optimum, or at a batch of them.

    Parameters
    ----------
    solution : SynthesisSolution
        What an exact method answered.

    Returns
    -------
    Linearised
        In every field; results are the decisions, the energies, both prices and the objective.

    Raises
    ------
    ProblemError
        If the method proves no continuous optimum.
    """
    refuse_unproven(solution)
    problem, p = solution.problem, Canonical.of(solution.problem)
    answered = np.asarray(solution.status_code == Status.OPTIMAL)
    nu, varpi = each(solution.price_learning_j), each(solution.price_bandwidth_j_per_hz)
    D, b, P = solution.samples, solution.bandwidth_hz, solution.transmit_power_w
    u = np.log1p(P / (p.k * b))
    t = p.a / (b * u)
    s = p.T - t
    r, L = t / s, np.log(D)
    h = np.exp(log_h(u))
    mu, q = u**2 * np.exp(u) / h, -u / np.expm1(-u) - 1  # d ln h/d ln u, d ln((e^u - 1)/u)/d ln u

    # which equations hold
    full = p.power * (1 - 1e-12) <= P
    fastest = p.F * s <= D * (1 + 1e-9)
    saved = np.where(full, varpi * p.a * np.exp(u) / (t**2 * h) - p.power, varpi * b / t)  # by a second more
    speed = saved - 2 * p.A * (D / s) ** 3  # of it by a faster CPU
    marginal, worth = 3 * p.A * D**2 / s**2, nu * p.beta * D ** (-p.beta - 1)
    wants = worth - marginal - np.where(fastest, np.maximum(speed, 0.0), 0.0) / p.F  # a sample more
    high, low = p.high * (1 - 1e-9) <= D, p.low * (1 + 1e-9) >= D
    high, low = high & ~(low & (wants <= 0)), low & ~(high & (wants > 0))
    fixed = np.isfinite(problem.fixed_synthetic_samples)
    high, low = high & ~fixed, low | fixed
    edge = high | low
    corner, fast = edge & fastest, ~edge & fastest
    learns = nu > 0

    V = np.where(fastest, saved, 2 * p.A * (D / s) ** 3)
    rho = np.where(full, V / (V + p.power), 1.0)
    cube = p.A * p.F**3 / V  # at the fastest CPU, where -C' = X - A F^3
    slope_beta = (1 - p.beta * L) / p.beta

    def cases(corner_: Any, fast_: Any, other: Any) -> Array:
        found: Array = np.where(corner, corner_, np.where(fast, rho * fast_, rho * other))
        return found

    epochs, cycles, S = each(problem.local_epochs), problem.cycles_per_sample, each(problem.payload_bits)
    inner = ~edge & ~fast
    equations: list[dict[str, Any]] = [
        {
            "ln_D": np.where(inner, p.beta + 3, 1.0),
            "ln_t": np.where(edge, 0.0, np.where(fast, r, 2 * r)),
            "ln_nu": -1.0 * inner,
            "ln_A": 1.0 * inner,
            "ln_F": -1.0 * fast,
            "max_round_latency_s": -np.where(edge, 0.0, np.where(fast, 1.0, 2.0)) / s,
            "curve_beta": -1.0 * inner * slope_beta,
            "local_samples": -1.0 * edge / D,
            "max_synthetic_samples": -1.0 * high / D,
            "fixed_synthetic_samples": -1.0 * fixed / D,
        },
        {
            "ln_D": cases(s, -(1 + cube) * (p.beta + 1), 3.0),
            "ln_t": np.where(corner, t, 2.0 + np.where(fast, 0.0, 3 * rho * r)),
            "ln_u": np.where(corner, 0.0, np.where(full, mu - u, 1.0)),
            "ln_nu": cases(0.0, 1 + cube, 0.0),
            "ln_varpi": -1.0 * ~corner,
            "ln_A": cases(0.0, -cube, 1.0),
            "ln_F": cases(-s, 1 - 2 * cube, 0.0),
            "ln_a": -1.0 * ~corner,
            "max_round_latency_s": cases(-1.0, 0.0, -3 / s),
            "curve_beta": cases(0.0, (1 + cube) * slope_beta, 0.0),
            "max_transmit_power_w": np.where(corner, 0.0, (1 - rho) / p.power),
        },
        {
            "ln_t": 1.0,
            "ln_u": np.where(full, -q, mu),
            "ln_varpi": -1.0 * ~full,
            "ln_k": np.where(full, -1.0, 1.0),
            "ln_a": -1.0 * full,
            "max_transmit_power_w": full / p.power,
        },
    ]
    learned = D**-p.beta / p.Y
    joint: list[dict[str, Any]] = [
        {
            "ln_D": -1.0 * learns * p.beta * learned,
            "curve_beta": -1.0 * learns * learned * L,
            "ln_Y": -1.0 * learns,
            "ln_nu": 1.0 * ~learns,
        },
        {"ln_a": b / p.B, "ln_t": -b / p.B, "ln_u": -b / p.B, "bandwidth_hz": -1 / p.B},
    ]
    left = p.Y * each(problem.curve_alpha) / problem.sizes["device"]
    ratio = each(problem.convergence_constant) / each(problem.num_rounds)
    log_error = np.log(each(problem.max_global_error))
    parameters = {
        "ln_A": (
            DEVICE,
            {
                "energy_coefficient": 1 / problem.energy_coefficient,
                "cycles_per_sample": 3 / cycles,
                "local_epochs": 3 / epochs,
            },
        ),
        "ln_F": (
            DEVICE,
            {
                "max_cpu_frequency_hz": 1 / problem.max_cpu_frequency_hz,
                "cycles_per_sample": -1 / cycles,
                "local_epochs": -1 / epochs,
            },
        ),
        "ln_k": (
            DEVICE,
            {
                "noise_psd_w_per_hz": 1 / each(problem.noise_psd_w_per_hz),
                "channel_gain": -1 / problem.channel_gain,
            },
        ),
        "ln_a": (PER_INSTANCE, {"payload_bits": 1 / S}),
        "ln_Y": (
            PER_INSTANCE,
            {
                "curve_alpha": -1 / each(problem.curve_alpha),
                "curve_gamma": 1 / left,
                "convergence_constant": log_error / each(problem.num_rounds) / left,
                "num_rounds": -ratio * log_error / each(problem.num_rounds) / left,
                "max_global_error": ratio / each(problem.max_global_error) / left,
            },
        ),
    }
    f = solution.cpu_frequency_hz
    compute, upload = solution.compute_energy_j, solution.upload_energy_j
    of_compute = {
        "ln_A": compute,
        "ln_D": 3 * compute,
        "ln_t": 2 * r * compute,
        "max_round_latency_s": -2 * compute / s,
    }
    of_upload = {"ln_k": upload, "ln_a": upload, "ln_u": q * upload}
    results: dict[str, Any] = {
        "synthetic_samples": (
            DEVICE,
            {
                "ln_D": np.where(low, 0.0, D),
                "local_samples": -1.0 * ~low,
                "fixed_synthetic_samples": 1.0 * fixed,
            },
        ),
        "cpu_frequency_hz": (
            DEVICE,
            {
                "ln_D": f,
                "ln_t": r * f,
                "max_round_latency_s": -f / s,
                "cycles_per_sample": f / cycles,
                "local_epochs": f / epochs,
            },
        ),
        "bandwidth_hz": (DEVICE, {"ln_a": b, "ln_t": -b, "ln_u": -b}),
        "transmit_power_w": (DEVICE, {"ln_k": P, "ln_a": P, "ln_t": -P, "ln_u": q * P}),
        "compute_energy_j": (DEVICE, of_compute),
        "upload_energy_j": (DEVICE, of_upload),
        "energy_j": (DEVICE, of_compute | of_upload),
        "objective": (PER_INSTANCE, of_compute | of_upload),
        "price_learning_j": (PER_INSTANCE, {"ln_nu": nu}),
        "price_bandwidth_j_per_hz": (PER_INSTANCE, {"ln_varpi": varpi}),
    }

    def kinks() -> Array:
        close = np.where(edge & (p.low < p.high), slight(wants, np.maximum(marginal, worth)), False)
        close |= ~edge & (near(D, p.low) | near(D, p.high))
        close |= np.where(fastest, slight(speed, saved), near(p.F * s, D))
        close |= np.where(full, slight(varpi / (p.k * h) - t, t), near(P, p.power))
        reached = (p.low**-p.beta).sum(-1, keepdims=True)
        overall = near(reached, p.Y)
        return np.asarray(close.any(-1) | overall[..., 0])

    return Linearised(
        "SynthesisSolution",
        problem.batch_shape,
        problem.sizes["device"],
        {name: problem.quantities[name].axes for name in FIELDS},
        parameters,
        ("ln_D", "ln_t", "ln_u"),
        equations,
        ("ln_nu", "ln_varpi"),
        joint,
        results,
        answered,
        kinks,
    )
