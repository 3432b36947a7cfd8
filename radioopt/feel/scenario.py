"""``[feel]`` in a scenario file: the settings of the batchsize problem, and how devices pose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem, _CpuDevices, _GpuDevices
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Of
from radioopt.scenario.tables import Table

_problem, _cpu, _gpu = BatchsizeProblem.quantities, _CpuDevices.quantities, _GpuDevices.quantities


class _Round(Table):
    payload_bits: Annotated[Law, Of(_problem["payload_bits"])]
    max_batchsize: Annotated[Law, Of(_problem["max_batchsize"])]
    uplink_frame_s: Annotated[Law | None, Of(_problem["uplink_frame_s"])] = None
    downlink_frame_s: Annotated[Law | None, Of(_problem["downlink_frame_s"])] = None
    loss_decay: Annotated[Law | None, Of(_problem["loss_decay"])] = None
    total_batchsize: Annotated[Law | None, Of(_problem["total_batchsize"])] = None
    max_round_latency_s: Annotated[Law | None, Of(_problem["max_round_latency_s"])] = None
    downlink: Literal["tdma", "broadcast"] = "tdma"


class CpuSettings(_Round):
    """``compute = "cpu"``: compute time proportional to the batch; see :meth:`BatchsizeProblem.cpu`.

    Attributes
    ----------
    compute : str
        What devices compute with.
    """

    compute: Literal["cpu"]
    cycles_per_sample: Annotated[Law, Of(_cpu["cycles_per_sample"])]
    update_cycles: Annotated[Law, Of(_cpu["update_cycles"])]


class GpuSettings(_Round):
    """``compute = "gpu"``: compute time flat up to a threshold batch; see :meth:`BatchsizeProblem.gpu`.

    Attributes
    ----------
    compute : str
        What devices compute with.
    """

    compute: Literal["gpu"]
    seconds_per_sample: Annotated[Law, Of(_gpu["seconds_per_sample"])]
    base_time_s: Annotated[Law, Of(_gpu["base_time_s"])]
    threshold_batchsize: Annotated[Law, Of(_gpu["threshold_batchsize"])]
    update_time_s: Annotated[Law, Of(_problem["update_time_s"])]


Settings = Annotated[CpuSettings | GpuSettings, Field(discriminator="compute")]


def build(
    devices: Devices, settings: CpuSettings | GpuSettings, values: Mapping[str, Array]
) -> BatchsizeProblem:
    """Pose the batchsize problem to devices.

    Parameters
    ----------
    devices : Devices
        With a downlink, and with ``cpu_frequency_hz`` for CPUs. Where ``local_samples`` are known, no batch
        exceeds them.
    settings : CpuSettings or GpuSettings
        Which of the two constructors it is.
    values : mapping of str to array_like
        Its arguments beside the devices' own.

    Returns
    -------
    BatchsizeProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    given: dict[str, Any] = {
        **values,
        "uplink_rate_bps": devices.uplink_rate_bps,
        "downlink_rate_bps": devices.downlink_rate_bps,
    }
    given |= {
        "downlink": settings.downlink,
        "strict": None,
    }  # the devices' numbers are checked, or follow from them
    if "local_samples" in devices.quantities:
        given["local_samples"] = devices.local_samples
    if settings.compute == "cpu":
        return BatchsizeProblem.cpu(cpu_frequency_hz=devices.cpu_frequency_hz, **given)
    return BatchsizeProblem.gpu(**given)
