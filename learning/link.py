"""Links: who arrived, in how many seconds, for how many joules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learning.allocators import Plan

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sent:
    """What became of a round's transmissions.

    Parameters
    ----------
    arrived : ndarray of bool, shape (K,)
        Whose update reached the server.
    seconds : float
        Duration of the round until the last device is ready for the next [s].
    compute_time_s, upload_time_s, download_time_s, update_time_s : ndarray, shape (K,)
        Time of each device in each step, without waiting for others [s].
    compute_energy_j : ndarray, shape (K,)
        Energy to compute and to update [J]; NaN where the scenario does not say what hardware a device has.
    upload_energy_j : ndarray, shape (K,)
        Energy to transmit [J].
    """

    arrived: NDArray[np.bool_]
    seconds: float
    compute_time_s: Floats
    upload_time_s: Floats
    download_time_s: Floats
    update_time_s: Floats
    compute_energy_j: Floats
    upload_energy_j: Floats


class Link(Protocol):
    """Carries the updates of a round."""

    def transmit(self, payload_bits: float, plan: Plan, rng: np.random.Generator) -> Sent:
        """Send an update from every device, and the server's answer back.

        Parameters
        ----------
        payload_bits : float
            Size of an update > 0 [bit].
        plan : Plan
            What the round allots.
        rng : numpy.random.Generator
            For links that lose some.

        Returns
        -------
        Sent
            Who arrived, seconds, joules.
        """
        ...


class TdmaLink:
    r"""TDMA with mean rates: every update arrives, in the slots of the plan.

    The server waits for the slowest device before it averages, and again after the download:

    .. math::
        T = \max_k \left(t_k + \frac{s}{R_k^U \phi_k}\right)
          + \max_k \left(\frac{s}{R_k^D \psi_k} + c_k\right),

    with the shares :math:`\phi_k, \psi_k` of the frames, compute time :math:`t_k` and update time
    :math:`c_k`. A device radiates its power :math:`P_k` only in its own slots, for :math:`s / R_k^U` in
    total, and spends :math:`\kappa_k f_k^2` per cycle. The base station's energy is not counted.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    latencies (9)-(15), (27)-(29). The paper counts no energy.
    """

    def transmit(self, payload_bits: float, plan: Plan, rng: np.random.Generator) -> Sent:
        """Send an update of ``payload_bits`` [bit] from every device, and the average back.

        Parameters
        ----------
        payload_bits : float
            Size of an update and of the average > 0 [bit]; another one than planned for takes longer or shorter
            in the same slots.
        plan : Plan
            Batch sizes and slots.
        rng : numpy.random.Generator
            Not used: mean rates leave nothing to chance.

        Returns
        -------
        Sent
            Everybody arrived; times and energies as above.
        """
        solution, devices = plan.solution, plan.devices
        update = solution.problem.update_time_s
        compute = solution.compute_time_s
        scale = payload_bits / plan.payload_bits
        upload, download = scale * solution.upload_time_s, scale * solution.download_time_s
        frequency = getattr(devices, "cpu_frequency_hz", np.nan)
        coefficient = getattr(devices, "energy_coefficient", np.nan)
        return Sent(
            arrived=np.ones(compute.shape, np.bool_),
            seconds=float((compute + upload).max() + (download + update).max()),
            compute_time_s=compute,
            upload_time_s=upload,
            download_time_s=download,
            update_time_s=update,
            compute_energy_j=coefficient * frequency**3 * (compute + update),
            upload_energy_j=devices.transmit_power_w * payload_bits / devices.uplink_rate_bps,
        )
