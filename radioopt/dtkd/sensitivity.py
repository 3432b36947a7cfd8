r"""What a change of each parameter is worth at the optimum, models and places unchanged.

By the envelope theorem the change of the optimum is that of the Lagrangian. With :math:`w_k = \alpha + \omega_k` the
weight of a user's delay (its deadline's price on top), :math:`\tau_k` its time on the air, e its spectral efficiency,

.. math::
    \frac{dJ}{dF} = -\lambda, \quad \frac{dJ}{dB} = -\nu, \quad \frac{dJ}{dD_k} = -\omega_k, \quad
    \frac{dJ}{df^{loc}_k} = -w_k \frac{x_k \mu}{(f^{loc}_k)^2}, \quad
    \frac{dJ}{dh_k} = -\frac{w_k \tau_k}{e_k} \cdot \frac{p_k}{(n + p_k h_k) \ln 2},

with n the noise power, or N0 b for a density. Where a model or a place is about to change the optimum has a kink, and
these are its slopes on the side of the present choice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Quantity, quantity, unrestricted
from radioopt.base.sensitivity import Sensitivity, elasticities
from radioopt.dtkd.pricing import spectral_efficiency

if TYPE_CHECKING:
    from radioopt.dtkd.solution import DistillationSolution


def _slope(axes: tuple[str, ...], of: str) -> Quantity:
    declared: Quantity = quantity("1", unrestricted, axes, f"elasticity in {of}")
    return declared


class DistillationSensitivity(Sensitivity):
    """Elasticities of the cost: per cent of its size for one per cent more of a parameter, negative if it saves.

    ``prices`` has what one unit more of a field saves; see :class:`~radioopt.base.sensitivity.Sensitivity`. They say
    more than elasticities where the cost, a difference of costs and worths, is near 0.

    Attributes
    ----------
    channel_gain, local_cpu_frequency_hz, transmit_power_w, max_delay_s : ndarray, shape (..., K)
        With respect to these fields of a user.
    min_server_cpu_frequency_hz, max_server_cpu_frequency_hz, min_bandwidth_hz, max_bandwidth_hz : ndarray, (..., K)
        With respect to the bounds; zero where one does not bind.
    server_cpu_frequency_hz, bandwidth_hz : float or ndarray (...)
        With respect to the totals.
    teacher_cycles, label_bits, delay_weight_per_s, cpu_price_per_cycle, bandwidth_price_per_hz : float or ndarray (...)
        With respect to these fields.
    own_accuracy_weight, average_accuracy_weight, noise_power_w, noise_psd_w_per_hz : float or ndarray (...)
        With respect to these fields; zero for the noise that is not given.
    """

    channel_gain: Quantity = _slope(DEVICE, "the gain")
    local_cpu_frequency_hz: Quantity = _slope(DEVICE, "the user's CPU")
    transmit_power_w: Quantity = _slope(DEVICE, "the power")
    max_delay_s: Quantity = _slope(DEVICE, "the deadline")
    min_server_cpu_frequency_hz: Quantity = _slope(DEVICE, "the least share of the server")
    max_server_cpu_frequency_hz: Quantity = _slope(DEVICE, "the largest share of the server")
    min_bandwidth_hz: Quantity = _slope(DEVICE, "the least bandwidth")
    max_bandwidth_hz: Quantity = _slope(DEVICE, "the largest bandwidth")
    server_cpu_frequency_hz: Quantity = _slope(PER_INSTANCE, "the server's CPU")
    bandwidth_hz: Quantity = _slope(PER_INSTANCE, "the bandwidth")
    teacher_cycles: Quantity = _slope(PER_INSTANCE, "the teacher's cycles")
    label_bits: Quantity = _slope(PER_INSTANCE, "the size of the teacher's outputs")
    delay_weight_per_s: Quantity = _slope(PER_INSTANCE, "the weight of delay")
    cpu_price_per_cycle: Quantity = _slope(PER_INSTANCE, "the price of a cycle")
    bandwidth_price_per_hz: Quantity = _slope(PER_INSTANCE, "the price of bandwidth")
    own_accuracy_weight: Quantity = _slope(PER_INSTANCE, "the worth of own accuracy")
    average_accuracy_weight: Quantity = _slope(PER_INSTANCE, "the worth of average accuracy")
    noise_power_w: Quantity = _slope(PER_INSTANCE, "the noise power")
    noise_psd_w_per_hz: Quantity = _slope(PER_INSTANCE, "the noise density")

    solution: DistillationSolution

    def slopes(self) -> dict[str, Array]:
        """Return the derivative of the cost in every field, also in those that are 0."""
        return slopes(self.solution)


def sensitivity(solution: DistillationSolution) -> DistillationSensitivity:
    """Evaluate the elasticities at a solution.

    Parameters
    ----------
    solution : DistillationSolution
        An optimum, or a batch of them; NaN where an instance has none.

    Returns
    -------
    DistillationSensitivity
        Of the present choices of models and places.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> solution = Scenario.load("dtkd").draw(seed=1).problem("dtkd").solve()
    >>> worth = sensitivity(solution)
    >>> bool(worth.prices["server_cpu_frequency_hz"] == solution.price_server_cpu_per_hz)
    True
    """
    return DistillationSensitivity.at(solution, elasticities(solution, slopes(solution)))


def slopes(solution: DistillationSolution) -> dict[str, Array]:
    """Evaluate the derivatives of the cost at a solution, in its unit over the field's.

    Parameters
    ----------
    solution : DistillationSolution
        An optimum, or a batch of them.

    Returns
    -------
    dict of str to ndarray
        By field.
    """
    problem, local = solution.problem, np.asarray(solution.trains_locally)
    f, b = solution.server_cpu_frequency_hz, solution.bandwidth_hz

    def expand(value: Array) -> Array:
        return np.expand_dims(value, -1)

    cycles, price = solution.server_cycles, expand(solution.price_server_cpu_per_hz)
    with np.errstate(all="ignore"):
        weight = expand(problem.delay_weight_per_s) + solution.price_delay_per_s
        efficiency = spectral_efficiency(problem, b)
        bits = solution._of_model("parameter_bits") + local * expand(problem.label_bits)
        air = np.where(bits > 0, bits / (b * efficiency), 0.0)
        received = problem.transmit_power_w * problem.channel_gain
        density = expand(problem.noise_psd_w_per_hz) > 0
        noise = np.where(density, expand(problem.noise_psd_w_per_hz) * b, expand(problem.noise_power_w))
        # d cost/d ln SNR, and what one hertz more saves of time on the air: for a density the SNR falls with it
        snr_slope = -weight * air / efficiency * received / (noise + received) / math.log(2)
        wider = np.where(density, weight * air / b + snr_slope / b, weight * air / b)
        faster = np.where(cycles > 0, weight * cycles / f**2, 0.0)
        kappa = expand(problem.bandwidth_price_per_hz + solution.price_bandwidth_per_hz)
        idle_noise = np.where(np.squeeze(density, -1), 0.0, snr_slope.sum(-1) / problem.noise_power_w)
        dense_noise = np.where(np.squeeze(density, -1), snr_slope.sum(-1) / problem.noise_psd_w_per_hz, 0.0)
        student = local * solution._of_model("cycles")
        return {
            "channel_gain": snr_slope / problem.channel_gain,
            "transmit_power_w": snr_slope / problem.transmit_power_w,
            "local_cpu_frequency_hz": -weight * student / problem.local_cpu_frequency_hz**2,
            "max_delay_s": -solution.price_delay_per_s,
            "min_server_cpu_frequency_hz": _at(f <= problem.min_server_cpu_frequency_hz, price - faster),
            "max_server_cpu_frequency_hz": -_at(f >= problem.max_server_cpu_frequency_hz, faster - price),
            "min_bandwidth_hz": _at(b <= problem.min_bandwidth_hz, kappa - wider),
            "max_bandwidth_hz": -_at(b >= problem.max_bandwidth_hz, wider - kappa),
            "server_cpu_frequency_hz": -solution.price_server_cpu_per_hz,
            "bandwidth_hz": -solution.price_bandwidth_per_hz,
            "teacher_cycles": (
                expand(problem.cpu_price_per_cycle) + np.where(cycles > 0, weight / f, 0.0)
            ).sum(-1),
            "label_bits": (local * weight / (b * efficiency)).sum(-1),
            "delay_weight_per_s": solution.delay_s.sum(-1),
            "cpu_price_per_cycle": cycles.sum(-1),
            "bandwidth_price_per_hz": b.sum(-1),
            "own_accuracy_weight": -solution._of_model("own_accuracy").sum(-1),
            "average_accuracy_weight": -solution._of_model("average_accuracy").sum(-1),
            "noise_power_w": -idle_noise,
            "noise_psd_w_per_hz": -dense_noise,
        }


def _at(binding: Array, pressure: Array) -> Array:
    """Return the pressure on a bound that binds, zero elsewhere."""
    return np.where(binding, np.maximum(pressure, 0.0), np.where(np.isnan(pressure), np.nan, 0.0))
