"""What it takes to send before the first round, where no plan of a round is spent yet."""

from __future__ import annotations

import numpy as np

from radioopt.base.errors import ProblemError
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
