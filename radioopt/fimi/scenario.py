"""``[fimi]`` in a scenario file: the settings of the synthesis problem, and how devices pose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from radioopt.base.quantity import Array
from radioopt.fimi.problem import SynthesisProblem
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Of
from radioopt.scenario.tables import Table

_problem = SynthesisProblem.quantities


class Settings(Table):
    """The round and the learning; see :class:`SynthesisProblem` for each key."""

    cycles_per_sample: Annotated[Law, Of(_problem["cycles_per_sample"])]
    payload_bits: Annotated[Law, Of(_problem["payload_bits"])]
    max_round_latency_s: Annotated[Law, Of(_problem["max_round_latency_s"])]
    num_rounds: Annotated[Law, Of(_problem["num_rounds"])]
    convergence_constant: Annotated[Law, Of(_problem["convergence_constant"])]
    max_global_error: Annotated[Law, Of(_problem["max_global_error"])]
    curve_alpha: Annotated[Law, Of(_problem["curve_alpha"])]
    curve_beta: Annotated[Law, Of(_problem["curve_beta"])]
    curve_gamma: Annotated[Law, Of(_problem["curve_gamma"])]
    max_synthetic_samples: Annotated[Law | None, Of(_problem["max_synthetic_samples"])] = None
    fixed_synthetic_samples: Annotated[Law | None, Of(_problem["fixed_synthetic_samples"])] = None
    local_epochs: Annotated[Law | None, Of(_problem["local_epochs"])] = None


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> SynthesisProblem:
    """Pose the synthesis problem to devices.

    Parameters
    ----------
    devices : Devices
        With ``cpu_frequency_hz`` and ``transmit_power_w``, which are limits here, ``energy_coefficient`` and
        ``local_samples``; under block fading with their mean channel gains.
    settings : Settings
        The table of the scenario.
    values : mapping of str to array_like
        The arguments of the problem beside the devices' own.

    Returns
    -------
    SynthesisProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    given: dict[str, Any] = {
        **values,
        "local_samples": devices.local_samples,
        "energy_coefficient": devices.energy_coefficient,
        "max_cpu_frequency_hz": devices.cpu_frequency_hz,
        "max_transmit_power_w": devices.transmit_power_w,
        "channel_gain": devices.channel_gain,
        "noise_psd_w_per_hz": devices.noise_psd_w_per_hz,
        "bandwidth_hz": devices.bandwidth_hz,
    }
    return SynthesisProblem(**given, strict=None)
