"""``[mix2fld]`` in a scenario file: the model, the samples, and the candidates to plan with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from radioopt.base.quantity import Array
from radioopt.mix2fld.payload import Payload
from radioopt.mix2fld.problem import RoundPlanProblem
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Of
from radioopt.scenario.tables import Table

_of = RoundPlanProblem.quantities


class Settings(Table):
    """See :class:`RoundPlanProblem`; ``num_weights`` and ``num_labels`` are those of :meth:`Payload.fld`.

    ``bandwidth_hz`` of the cell is the width of a band, the path loss that of the mean gain.

    Attributes
    ----------
    num_weights, num_labels : int
        Numbers that the model, and an output, consist of.
    """

    num_weights: int
    num_labels: int
    sample_bits: Annotated[Law, Of(_of["sample_bits"])]
    slot_s: Annotated[Law, Of(_of["slot_s"])]
    num_channels: list[int]
    max_slots: list[int]
    seed_samples: list[int]
    rounds: list[float]
    compute_time_s: Annotated[Law | None, Of(_of["compute_time_s"])] = None
    uplink_snr_threshold: Annotated[Law | None, Of(_of["uplink_snr_threshold"])] = None
    downlink_snr_threshold: Annotated[Law | None, Of(_of["downlink_snr_threshold"])] = None
    min_participation: Annotated[Law | None, Of(_of["min_participation"])] = None


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> RoundPlanProblem:
    """Pose the problem to devices.

    Parameters
    ----------
    devices : Devices
        With ``transmit_power_w``, a path and ``downlink_power_w``.
    settings : Settings
        Sizes and candidates.
    values : mapping of str to array_like
        The other fields, by name.

    Returns
    -------
    RoundPlanProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    payload = Payload.fld(
        num_weights=settings.num_weights, num_labels=settings.num_labels, seed_samples=0, sample_bits=1.0
    )
    given: dict[str, Any] = {
        "transmit_power_w": devices.transmit_power_w,
        "channel_gain": devices.channel_gain,
        "downlink_power_w": devices.downlink_power_w,
        "bandwidth_hz": devices.bandwidth_hz,
        "noise_psd_w_per_hz": devices.noise_psd_w_per_hz,
        "output_bits": payload.uplink_bits,
        "model_bits": payload.downlink_bits,
        **{name: getattr(settings, name) for name in ("num_channels", "max_slots", "seed_samples", "rounds")},
        **values,
    }
    return RoundPlanProblem(**given, strict=None)
