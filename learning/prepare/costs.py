"""What it takes to send before the first round, where no plan of a round is spent yet."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.d2d import EnergyModel
from radioopt.scenario import Devices


def upload(bits: float, devices: Devices) -> tuple[float, float]:
    """Seconds and joules until all devices have sent so many bits each to the server, one after the other.

    Parameters
    ----------
    bits : float
        Size > 0 [bit].
    devices : Devices
        With ``uplink_rate_bps``; without ``transmit_power_w`` the energy is NaN.

    Returns
    -------
    seconds : float
        Sum over the devices [s].
    joules : float
        Of all devices [J].

    Raises
    ------
    ProblemError
        If the scenario gives no uplink rates.
    """
    rate = np.asarray(getattr(devices, "uplink_rate_bps", np.nan), np.float64)
    if not np.isfinite(rate).all():
        raise ProblemError("before: the scenario gives no uplink rates, which this preparation sends with")
    seconds = bits / rate
    power = np.asarray(getattr(devices, "transmit_power_w", np.nan), np.float64)
    return float(seconds.sum()), float((power * seconds).sum())


class Links:
    """Links between devices, as a problem of D2D has drawn them: what it takes to send over one.

    Parameters
    ----------
    devices : Devices
        With ``transmit_power_w``.
    snr : ndarray, shape (N, N)
        Signal-to-noise ratio, receiver then transmitter, linear.
    amplifier_efficiency, circuit_power_w : float
        As of :class:`radioopt.d2d.EnergyModel`.
    """

    def __init__(
        self, devices: Devices, snr: Any, *, amplifier_efficiency: float, circuit_power_w: float
    ) -> None:
        self.snr, self.bandwidth_hz = np.asarray(snr, np.float64), float(devices.bandwidth_hz)
        self.models = [
            EnergyModel(
                transmit_power_w=float(power),
                bandwidth_hz=self.bandwidth_hz,
                amplifier_efficiency=amplifier_efficiency,
                circuit_power_w=circuit_power_w,
            )
            for power in np.broadcast_to(devices.transmit_power_w, len(self.snr))
        ]

    def send(self, bits: Any, source: Any) -> tuple[float, float]:
        """Seconds and joules to send each device so many bits (N,) from its source, -1 for none.

        A transmitter serves its receivers one after the other at the rate W log2(1 + SNR), all transmitters at once.
        """
        busy, joules = np.zeros(len(self.snr)), 0.0
        for i, j in enumerate(np.asarray(source).tolist()):
            if j >= 0 and bits[i] > 0:
                busy[j] += bits[i] / (self.bandwidth_hz * np.log2(1.0 + self.snr[i, j]))
                joules += float(self.models[j].energy_j(bits[i], snr=self.snr[i, j]))
        return float(busy.max(initial=0.0)), joules

    def talk(self, bits: float, trials: float) -> tuple[float, float]:
        """Seconds and joules of messages: each device tries so many links, each as often as any other."""
        count = len(self.snr)
        if count < 2 or not trials:
            return 0.0, 0.0
        others = ~np.eye(count, dtype=np.bool_)
        seconds = bits / (self.bandwidth_hz * np.log2(1.0 + self.snr))
        joules = [
            float(self.models[j].energy_j(bits, snr=self.snr[i, j])) for i, j in np.argwhere(others).tolist()
        ]
        return trials * float(seconds[others].mean()), trials * count * float(np.mean(joules))
