"""A link over block fading: slots are drawn, and who needs more than there are is late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.radio.base import Payload, Plan
from learning.radio.fading import FadingPlan
from learning.radio.link import Floats, Sent


@dataclass(frozen=True, eq=False)
class FadingSent(Sent):
    """What became of a round's transmissions both ways.

    Parameters
    ----------
    received : ndarray of bool, shape (K,)
        Who got what the server sent; of the devices whose upload was late too.
    upload_slots, download_slots : ndarray, shape (K,)
        Slots that each device spent, at most those that there are.
    """

    received: NDArray[np.bool_]
    upload_slots: Floats
    download_slots: Floats


class FadingLink:
    r"""Block fading: unicast up over shared bands, multicast down over the whole band, no longer than so many slots.

    Every device needs :math:`T_k` slots, drawn from the law of :class:`~radioopt.channel.BlockFadingLink`; who needs
    more than M is late, and what it sent is lost. All wait for the slowest, but no longer than that:

    .. math::
        T = t_{\mathrm{cp}} + \tau \max_k \min(T_k^{\mathrm{up}}, M) + t_{\mathrm{server}}
          + \tau \max_k \min(T_k^{\mathrm{dn}}, M).

    A device radiates its power in all slots up to its last. The server's energy is not counted. Where nobody arrives
    the server has nothing to say, and the round ends with the uplink.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-C, (4). The paper counts no energy.
    """

    def transmit(self, payload: Payload, plan: Plan, rng: np.random.Generator) -> FadingSent:
        """Send an update from every device, and the server's answer to all; if nobody arrived, there is none.

        Parameters
        ----------
        payload : Payload
            Bits from a device, and from the server, in this round; of the latter none if it has nothing to answer.
        plan : FadingPlan
            Links, slots and what comes down.
        rng : numpy.random.Generator
            Source of the slots; two numbers are drawn in any case, so that paired runs stay paired.

        Returns
        -------
        FadingSent
            Who arrived, who received, times and energies.

        Raises
        ------
        OptionError
            If it is a plan for another link.
        """
        plan = plan.spent_by(self, FadingPlan)
        devices, limit = plan.devices, plan.max_slots
        ways = map(np.random.default_rng, rng.integers(2**63, size=2))
        up, down = (
            link.slots(bits).sample(luck)
            for link, bits, luck in zip((plan.uplink, plan.downlink), payload, ways, strict=True)
        )
        arrived = up <= limit
        answered = bool(arrived.any() and payload.downlink_bits > 0)
        upload_slots, download_slots = np.minimum(up, limit), answered * np.minimum(down, limit)
        slot_s = float(plan.problem.slot_s)
        upload, download = slot_s * upload_slots, slot_s * download_slots
        server_s = answered * plan.server_time_s
        compute = np.full(upload.shape, plan.compute_time_s)
        frequency = getattr(devices, "cpu_frequency_hz", np.nan)
        coefficient = getattr(devices, "energy_coefficient", np.nan)
        return FadingSent(
            arrived=arrived,
            seconds=plan.compute_time_s + float(upload.max()) + server_s + float(download.max()),
            uplink_bits=payload.uplink_bits,
            downlink_bits=answered * payload.downlink_bits,
            compute_time_s=compute,
            upload_time_s=upload,
            download_time_s=download,
            update_time_s=np.zeros(upload.shape),
            compute_energy_j=coefficient * frequency**3 * compute,
            upload_energy_j=devices.transmit_power_w * upload,
            received=answered & (down <= limit),
            upload_slots=upload_slots,
            download_slots=download_slots,
        )
