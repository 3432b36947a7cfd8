r"""What a change of each parameter is worth, from the closed forms at the optimum.

By the envelope theorem the change of the optimum is that of the Lagrangian. With
:math:`\pi_k = (\phi_k^2/a_k)/\sum (\phi^2/a)` and :math:`\pi^D_k` likewise from the downlink (for a broadcast: one
for the device with the least rate, one for that with the longest update), :math:`y` the upload time and
:math:`x = T + T_D`,

.. math::
    \frac{d \ln E}{d \ln R_k^U} = f\,\frac{\pi_k y_k}{x}, \quad
    \frac{d \ln E}{d \ln R_k^D} = f\,\frac{\pi^D_k (T_D - c_k)}{x}, \quad
    \frac{d \ln E}{d \ln c_k} = -f\,\frac{\pi^D_k c_k}{x},

where :math:`f = 1 + \nu/2\theta` and :math:`\nu` is the multiplier of the deadline, :math:`\theta = x/\sum B`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Quantity, quantity, unrestricted
from radioopt.base.sensitivity import Sensitivity

if TYPE_CHECKING:
    from radioopt.feel.solution import BatchsizeSolution


class BatchsizeSensitivity(Sensitivity):
    """Elasticities of the learning efficiency: per cent of efficiency for one per cent more of a parameter.

    ``prices`` has what one unit more of a field adds to the efficiency; see
    :class:`~radioopt.base.sensitivity.Sensitivity`.

    Attributes
    ----------
    uplink_rate_bps, downlink_rate_bps : ndarray, shape (..., K)
        With respect to the rate of a device.
    compute_speed : ndarray, shape (..., K)
        With respect to the speed of everything a device computes: its CPU frequency in the CPU scenario.
    seconds_per_sample, base_time_s, update_time_s : ndarray, shape (..., K)
        With respect to the problem's fields (intercept and slope of the compute time each held fixed).
    slope_above_limit, time_at_limit : ndarray, shape (..., K)
        With respect to the slope of the compute time above ``min_batchsize``, and to the time there: in the
        GPU scenario the slope and the flat time, for thresholds from 1 to the largest batch.
    max_batchsize, min_batchsize : ndarray, shape (..., K)
        With respect to the limits of the batch; zero where a limit does not bind. Of two equal limits the one that
        the device pushes against binds.
    payload_bits : float or ndarray (...)
        With respect to the gradient size.
    total_batchsize : float or ndarray (...)
        With respect to a fixed total; zero where it is free, as it is chosen best.
    max_round_latency_s : float or ndarray (...)
        With respect to the deadline; zero where it does not bind.
    """

    uplink_rate_bps: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the uplink rate")
    downlink_rate_bps: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the downlink rate")
    compute_speed: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the speed of the device")
    seconds_per_sample: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the slope")
    base_time_s: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the intercept")
    update_time_s: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the update time")
    slope_above_limit: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the slope above l")
    time_at_limit: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the time at l")
    max_batchsize: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the upper limit")
    min_batchsize: Quantity = quantity("1", unrestricted, DEVICE, "elasticity in the lower limit")
    payload_bits: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the payload")
    total_batchsize: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the total batch")
    max_round_latency_s: Quantity = quantity("1", unrestricted, PER_INSTANCE, "elasticity in the deadline")

    solution: BatchsizeSolution

    @np.errstate(all="ignore")
    def slopes(self) -> dict[str, Array]:
        """Return the derivative of the efficiency in every field, also in times that are 0."""
        solution, problem = self.solution, self.solution.problem
        phi = solution.uplink_slot_s / np.expand_dims(problem.uplink_frame_s, -1)
        upload = problem.upload_time_full_frame_s
        # f pi E / x: of a second that a device takes longer before its upload
        second = self.uplink_rate_bps * phi / upload * np.expand_dims(solution.objective, -1)
        psi = solution.downlink_slot_s / np.expand_dims(problem.downlink_frame_s, -1)
        if problem.downlink == "broadcast":
            weight = _one_hot(problem.update_time_s)
        else:
            weight = psi**2 / problem.download_time_full_frame_s
            weight = weight / weight.sum(-1, keepdims=True)
        whole = second.sum(-1, keepdims=True)  # f E / x, as the pi of all devices sum to one
        return super().slopes() | {"base_time_s": -second, "update_time_s": -whole * weight}


def sensitivity(solution: BatchsizeSolution) -> BatchsizeSensitivity:
    """Evaluate the elasticities at a solution.

    Parameters
    ----------
    solution : BatchsizeSolution
        A continuous optimum, or a batch of them; NaN where an instance has none.

    Returns
    -------
    BatchsizeSensitivity
        One-sided where a device sits exactly at the edge of a limit without being pushed against it.

    Notes
    -----
    Elasticities in rates and compute speed sum to one where there is neither deadline nor fixed total: doing
    everything twice as fast doubles the efficiency.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> solution = Scenario.load("feel-cpu").draw(seed=1).problem("feel").solve()
    >>> worth = sensitivity(solution)
    >>> total = worth.uplink_rate_bps + worth.downlink_rate_bps + worth.compute_speed
    >>> bool(abs(total.sum() - 1) < 1e-12)
    True
    """
    problem = solution.problem
    batch, low, high = solution.batchsize, problem.min_batchsize, problem.max_batchsize
    base, slope, update = problem.base_time_s, problem.seconds_per_sample, problem.update_time_s
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    phi = solution.uplink_slot_s / np.expand_dims(problem.uplink_frame_s, -1)
    psi = solution.downlink_slot_s / np.expand_dims(problem.downlink_frame_s, -1)
    fixed, deadline = problem.total_batchsize, problem.max_round_latency_s
    with np.errstate(all="ignore"):
        total, latency = batch.sum(-1), np.asarray(solution.round_latency_s)
        weight = phi**2 / upload
        pi = weight / weight.sum(-1, keepdims=True)
        if problem.downlink == "broadcast":
            pi_rate = _one_hot(download)
            pi_update = _one_hot(update)
        else:
            pi_rate = psi**2 / download
            pi_rate = pi_update = pi_rate / pi_rate.sum(-1, keepdims=True)

        # gamma: what one more sample is worth in the Lagrangian of (T + T_D)^2 / sum B, or of T for a fixed total
        free = (low < batch) & (batch < high)
        theta = latency / total
        ratio = np.where(free, 1 / slope, 0.0).sum(-1) / np.where(free, weight, 0.0).sum(-1)
        multiplier = theta**2 * ratio * weight.sum(-1)  # sum of lambda when gamma = theta^2
        late = np.isfinite(fixed) | (latency < deadline * (1 - 1e-9)) | ~free.any(-1)
        nu = np.where(late, 0.0, np.maximum(multiplier - 2 * theta, 0.0))
        factor = 1 + nu / (2 * theta)
        gamma = np.where(np.isfinite(fixed), 2 * theta / (ratio * weight.sum(-1)), theta**2)

        f, x = np.expand_dims(factor, -1), np.expand_dims(latency, -1)
        scale = np.expand_dims(2 * theta * latency, -1)  # 2 kappa
        price = np.expand_dims(2 * theta + nu, -1) * pi
        pressure = (np.expand_dims(gamma, -1) - price * slope) / scale
        values = {
            "uplink_rate_bps": f * pi * (upload / phi) / x,
            "downlink_rate_bps": f * pi_rate * (download / psi) / x,
            "seconds_per_sample": -f * pi * slope * batch / x,
            "base_time_s": -f * pi * base / x,
            "update_time_s": -f * pi_update * update / x,
            "slope_above_limit": -f * pi * slope * (batch - low) / x,
            "time_at_limit": -f * pi * (base + slope * low) / x,
            "max_batchsize": np.where(batch >= high, np.maximum(pressure, 0.0) * high, 0.0),
            "min_batchsize": np.where(batch <= low, np.minimum(pressure, 0.0) * low, 0.0),
            "max_round_latency_s": np.where(nu > 0, nu * deadline / (2 * theta * latency), 0.0),
            "total_batchsize": np.where(np.isfinite(fixed), 0.5 - gamma * total / (2 * theta * latency), 0.0),
        }
        values["compute_speed"] = -(
            values["seconds_per_sample"] + values["base_time_s"] + values["update_time_s"]
        )
        values["payload_bits"] = -(values["uplink_rate_bps"] + values["downlink_rate_bps"]).sum(-1)
    return BatchsizeSensitivity.at(solution, values)


def _one_hot(values: Array) -> Array:
    return np.asarray(np.arange(values.shape[-1]) == values.argmax(-1, keepdims=True), np.float64)
