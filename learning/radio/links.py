"""Links between devices: what it takes to send over them, who is whose neighbour, and who is in one cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.options import whole
from learning.radio.base import Floats
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten
from radioopt.d2d import EnergyModel
from radioopt.scenario import Devices


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

    def per_bit(self) -> tuple[Floats, Floats]:
        """Seconds and joules to send a bit over each link, (N, N): receiver, transmitter; the diagonal is 0."""
        others = ~np.eye(len(self.snr), dtype=np.bool_)
        seconds = np.zeros(self.snr.shape)
        seconds[others] = 1.0 / (self.bandwidth_hz * np.log2(1.0 + self.snr[others]))
        return seconds, seconds * np.array([model.power_w for model in self.models])


def graph_of(kind: str) -> tuple[str, int]:
    """Read what a graph is called: "links", "complete", "ring", "nearest:3", "random:2".

    Returns
    -------
    name : str
        Before the colon.
    neighbours : int
        After it; 0 for those without a number.

    Raises
    ------
    OptionError
        If there is no such graph.
    """
    name, colon, count = kind.partition(":") if isinstance(kind, str) else ("", "", "")
    if name in ("links", "complete", "ring") and not colon:
        return name, 0
    if name in ("nearest", "random") and count.isdecimal():
        return name, whole(f"graph: {name}", int(count))
    raise OptionError(
        f"graph: expected links, complete, ring, nearest:NEIGHBOURS or random:NEIGHBOURS, got {shorten(kind)}"
    )


def neighbours(kind: str, outage: Floats, max_outage: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return who is whose neighbour.

    Parameters
    ----------
    kind : str
        "links": all links with an outage of `max_outage` at most, of both directions the larger. "complete": everybody.
        "ring": devices in the order of their numbers. "nearest:K": the K links of each device with the least outage.
        "random:K": K of its "links", drawn, or all if it has no more. A link counts that either of its ends chose.
    outage : ndarray, shape (N, N)
        Outage of the links, receiver then transmitter.
    max_outage : float
        In (0, 1].
    rng : numpy.random.Generator
        For "random"; the same numbers are drawn for every graph.

    Returns
    -------
    ndarray of bool, shape (N, N)
        Symmetric, without a diagonal.
    """
    name, count = graph_of(kind)
    size = len(outage)
    others, worse = ~np.eye(size, dtype=np.bool_), np.maximum(outage, outage.T)
    drawn = rng.random(outage.shape)
    if name == "complete":
        return others
    if name == "ring":
        after = np.zeros(outage.shape, np.bool_)
        after[np.arange(size), (np.arange(size) + 1) % size] = True
        return (after | after.T) & others
    allowed = others & (worse <= max_outage) if name != "nearest" else others
    if name == "links":
        return allowed
    rank = np.where(allowed, worse if name == "nearest" else drawn, np.inf)
    first = rank.argsort(1, kind="stable").argsort(1, kind="stable") < count
    chosen = first & allowed
    return chosen | chosen.T
