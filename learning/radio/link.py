"""Links: who arrived, in how many seconds, for how many joules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learning.options import real
from learning.radio.base import Payload, Plan
from learning.radio.tdma import LocalPlan, TdmaPlan
from radioopt.base.errors import OptionError
from radioopt.scenario import Devices

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sent:
    """What became of a round's transmissions.

    Parameters
    ----------
    arrived : ndarray of bool, shape (K,)
        Whose update reached the server in time.
    seconds : float
        Duration of the round until the last device is ready for the next, late ones aside [s].
    uplink_bits, downlink_bits : float
        Sent by each device, and to each device [bit].
    compute_time_s, upload_time_s, download_time_s, update_time_s : ndarray, shape (K,)
        Time of each device in each step, without waiting for others [s].
    compute_energy_j : ndarray, shape (K,)
        Energy to compute and to update [J]; NaN where the scenario does not say what hardware a device has.
    upload_energy_j : ndarray, shape (K,)
        Energy to transmit [J].
    """

    arrived: NDArray[np.bool_]
    seconds: float
    uplink_bits: float
    downlink_bits: float
    compute_time_s: Floats
    upload_time_s: Floats
    download_time_s: Floats
    update_time_s: Floats
    compute_energy_j: Floats
    upload_energy_j: Floats

    @property
    def energy_j(self) -> float:
        """Energy of all devices in the round [J]."""
        return float((self.compute_energy_j + self.upload_energy_j).sum())


class Link(Protocol):
    """Carries the updates of a round; a link goes with the plans that its allocator makes."""

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Send an update from every device, and the server's answer back.

        Parameters
        ----------
        payload : Payload
            What is sent, each way.
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
    r"""TDMA with mean rates, in the slots of the plan; every update arrives, unless told otherwise.

    The server waits for the slowest device before it averages, but no longer than the deadline D, and again after
    the download:

    .. math::
        T = \min\Bigl(\max_k \Bigl(a_k t_k + \frac{s^U}{R_k^U \phi_k}\Bigr), D\Bigr)
          + \max_k \left(\frac{s^D}{R_k^D \psi_k} + c_k\right),

    with the shares :math:`\phi_k, \psi_k` of the frames, compute time :math:`t_k` and update time :math:`c_k`. A
    device radiates its power :math:`P_k` only in its own slots, for :math:`s^U / R_k^U` in total, and spends
    :math:`\kappa_k f_k^2` per cycle. The base station's energy is not counted.

    Parameters
    ----------
    deadline_s : float, default inf
        :math:`D > 0` [s]: who needs longer to compute and to upload is late, and what it sent is lost.
    slowdown : float, default 0
        Mean :math:`\sigma >= 0` of what stragglers add to their compute time: :math:`a_k = 1 + \sigma E_k` with
        :math:`E_k` exponential of mean 1, anew in each round. The slots are planned for :math:`a_k = 1`.
    loss_probability : float, default 0
        Probability in [0, 1) that an update is lost on the way, independently of all else.

    Raises
    ------
    OptionError
        If a number is outside its range.

    Notes
    -----
    A late device computes to the end, for which the next round does not wait, and radiates until the deadline. A slower
    one spends the same energy to compute, as it takes the same cycles. All devices receive the download.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    latencies (9)-(15), (27)-(29). The paper counts no energy and knows neither stragglers nor losses.
    K. Lee et al., "Speeding Up Distributed Machine Learning Using Codes", for shifted exponential compute times.
    """

    def __init__(
        self, deadline_s: float = math.inf, slowdown: float = 0.0, loss_probability: float = 0.0
    ) -> None:
        self.deadline_s = math.inf if deadline_s == math.inf else real("deadline_s", deadline_s)
        self.slowdown = 0.0 if slowdown == 0 else real("slowdown", slowdown)
        self.loss_probability = (
            0.0 if loss_probability == 0 else real("loss_probability", loss_probability, high=1.0)
        )

    def transmit(self, payload: Payload, plan: Plan, rng: np.random.Generator) -> Sent:
        """Send an update from every device, and the average back.

        Parameters
        ----------
        payload : Payload
            Another one than planned for takes longer or shorter in the same slots.
        plan : TdmaPlan
            Batch sizes and slots; others are refused.
        rng : numpy.random.Generator
            Source of slowdowns and losses; two numbers per device are drawn in any case, so that paired runs stay
            paired.

        Returns
        -------
        Sent
            Who arrived, times and energies as above.

        Raises
        ------
        OptionError
            If it is a plan for another link.
        """
        plan = plan.spent_by(self, TdmaPlan)
        solution, devices = plan.solution, plan.devices
        update = solution.problem.update_time_s
        drawn = rng.random((2, *solution.compute_time_s.shape))
        compute = solution.compute_time_s * (1.0 - self.slowdown * np.log1p(-drawn[0]))
        upload = payload.uplink_bits / plan.payload.uplink_bits * solution.upload_time_s
        download = payload.downlink_bits / plan.payload.downlink_bits * solution.download_time_s
        ready = compute + upload
        on_air = np.clip((self.deadline_s - compute) / upload, 0.0, 1.0)
        return Sent(
            arrived=(ready <= self.deadline_s) & (drawn[1] >= self.loss_probability),
            seconds=float(min(ready.max(), self.deadline_s) + (download + update).max()),
            uplink_bits=payload.uplink_bits,
            downlink_bits=payload.downlink_bits,
            compute_time_s=compute,
            upload_time_s=upload * on_air,
            download_time_s=download,
            update_time_s=update,
            compute_energy_j=compute_energy(devices, solution.compute_time_s + update),
            upload_energy_j=devices.transmit_power_w * payload.uplink_bits / devices.uplink_rate_bps * on_air,
        )


class NoLink:
    """No link: devices train by themselves, nothing is sent, nobody arrives."""

    def transmit(self, payload: Payload, plan: Plan, rng: np.random.Generator) -> Sent:
        """Let the devices compute.

        Parameters
        ----------
        payload : Payload
            Must be of no bits.
        plan : LocalPlan
            Compute times.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        Sent
            Nobody arrived; compute times and energies, and the slowest device's as the duration.

        Raises
        ------
        OptionError
            If there is something to send.
        """
        if payload != (0.0, 0.0):
            raise OptionError(f"link: NoLink cannot send {payload}: give a link that does, as TdmaLink()")
        compute = plan.spent_by(self, LocalPlan).compute_time_s
        nothing = np.zeros(compute.shape)
        return Sent(
            arrived=np.zeros(compute.shape, np.bool_),
            seconds=float(compute.max()),
            uplink_bits=0.0,
            downlink_bits=0.0,
            compute_time_s=compute,
            upload_time_s=nothing,
            download_time_s=nothing,
            update_time_s=nothing,
            compute_energy_j=compute_energy(plan.devices, compute),
            upload_energy_j=nothing,
        )


def compute_energy(devices: Devices, seconds: Floats) -> Floats:
    r"""Return the energy of computing at full frequency for so long, :math:`\kappa_k f_k^3 t` [J].

    Parameters
    ----------
    devices : Devices
        With ``cpu_frequency_hz`` and ``energy_coefficient``, if known.
    seconds : ndarray, shape (K,)
        Time [s].

    Returns
    -------
    ndarray, shape (K,)
        NaN where the scenario does not give frequency or coefficient.
    """
    frequency = getattr(devices, "cpu_frequency_hz", np.nan)
    coefficient = getattr(devices, "energy_coefficient", np.nan)
    energy: Floats = coefficient * frequency**3 * seconds
    return energy
