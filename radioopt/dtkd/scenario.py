"""``[dtkd]`` in a scenario file: models, prices and weights, and how devices pose the problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, PlainSerializer

from radioopt.base.quantity import Array
from radioopt.dtkd.catalogue import ModelCatalogue
from radioopt.dtkd.problem import DistillationProblem
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Of
from radioopt.scenario.tables import Table

_of = DistillationProblem.quantities
#: keys that may name a file
FILES = ("catalogue",)


def _read_catalogue(value: Any) -> ModelCatalogue:
    if not isinstance(value, (Mapping, ModelCatalogue, str)):
        raise ValueError(
            "expected a table with a list per column: names, gigacycles, parameter_mbit, ...; or the path of a CSV file"
        )
    return ModelCatalogue.read(value)


class Settings(Table):
    """See :class:`DistillationProblem`; the server's CPU and the models are not of the devices.

    ``catalogue`` is a table of lists with the columns of :meth:`ModelCatalogue.from_frame`, or the path of a CSV file
    that has them, beside the scenario. ``noise`` says whether the
    cell's noise counts as a fixed power over the whole band, as in the paper, or as a density over each user's own.

    Attributes
    ----------
    catalogue : table of lists, or path of a CSV file
        The models: names, gigacycles, parameter_mbit, own_accuracy_percent, average_accuracy_percent.
    noise : str
        What of the cell's noise counts.
    """

    catalogue: Annotated[
        Any, BeforeValidator(_read_catalogue), PlainSerializer(lambda catalogue: catalogue.to_dict())
    ]
    server_cpu_frequency_hz: Annotated[Law, Of(_of["server_cpu_frequency_hz"])]
    teacher_cycles: Annotated[Law, Of(_of["teacher_cycles"])]
    label_bits: Annotated[Law, Of(_of["label_bits"])]
    delay_weight_per_s: Annotated[Law, Of(_of["delay_weight_per_s"])]
    cpu_price_per_cycle: Annotated[Law, Of(_of["cpu_price_per_cycle"])]
    bandwidth_price_per_hz: Annotated[Law, Of(_of["bandwidth_price_per_hz"])]
    own_accuracy_weight: Annotated[Law | None, Of(_of["own_accuracy_weight"])] = None
    average_accuracy_weight: Annotated[Law | None, Of(_of["average_accuracy_weight"])] = None
    min_server_cpu_frequency_hz: Annotated[Law | None, Of(_of["min_server_cpu_frequency_hz"])] = None
    max_server_cpu_frequency_hz: Annotated[Law | None, Of(_of["max_server_cpu_frequency_hz"])] = None
    min_bandwidth_hz: Annotated[Law | None, Of(_of["min_bandwidth_hz"])] = None
    max_bandwidth_hz: Annotated[Law | None, Of(_of["max_bandwidth_hz"])] = None
    max_delay_s: Annotated[Law | None, Of(_of["max_delay_s"])] = None
    noise: Literal["power", "density"] = "power"


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> DistillationProblem:
    """Pose the problem to devices.

    Parameters
    ----------
    devices : Devices
        With ``cpu_frequency_hz`` and with links that follow from power and gain; under block fading, this round's.
    settings : Settings
        Models and kind of noise.
    values : mapping of str to array_like
        The other fields, by name.

    Returns
    -------
    DistillationProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    bandwidth, psd = np.asarray(devices.bandwidth_hz), np.asarray(devices.noise_psd_w_per_hz)
    noise = {"noise_psd_w_per_hz": psd} if settings.noise == "density" else {"noise_power_w": psd * bandwidth}
    given: dict[str, Any] = {
        "catalogue": settings.catalogue,
        "channel_gain": devices.uplink_snr * np.expand_dims(psd * bandwidth, -1) / devices.transmit_power_w,
        "local_cpu_frequency_hz": devices.cpu_frequency_hz,
        "transmit_power_w": devices.transmit_power_w,
        "bandwidth_hz": bandwidth,
        **noise,
        **values,
    }
    return DistillationProblem(**given, strict=None)
