"""No radio: devices train by themselves, and nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from learning.messages import Wire
from learning.radio.base import (
    Allocation,
    Payload,
    Plan,
    Planner,
    Prices,
    Radio,
    Sent,
    Times,
    Work,
    compute_energy,
    steady,
)
from learning.radio.tdma import Tdma, apart_s
from radioopt.base.errors import OptionError
from radioopt.feel import BatchsizeProblem
from radioopt.scenario import Devices, Scenario


@dataclass(frozen=True, eq=False)
class LocalPlan(Plan):
    """Training without any transmission.

    Parameters
    ----------
    compute_time_s : ndarray, shape (K,)
        Time of each device to train in this round [s].
    """

    compute_time_s: NDArray[np.float64]


@dataclass(frozen=True)
class Silent(Radio):
    """Nothing is sent, nobody arrives; a round takes as long as the slowest device computes."""

    table: ClassVar[str] = "feel"

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Time the work of each device; see :meth:`Radio.planner`."""
        if wire.numbers != (0, 0):
            raise OptionError(
                "radio silent: cannot send what this scheme sends: take a radio that does, as tdma"
            )
        if policy != "optimal":
            name = "allocator" if isinstance(policy, Allocation) else "policy"
            what = name if name == "allocator" else f"policy {policy!r}"
            raise OptionError(f"{what}: there is nothing to plan where nothing is sent: leave {name} out")
        samples, batches = work.samples, work.steps
        assert batches is not None

        def plan(devices: Devices, rng: np.random.Generator) -> LocalPlan:
            posed = cast(BatchsizeProblem, devices.problem("feel"))
            seconds = apart_s(posed, batches) + posed.seconds_per_sample * samples
            return LocalPlan(devices, samples, Payload(0.0, 0.0), Prices(), seconds)

        return steady(plan)

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Let the devices compute; see :meth:`Radio.transmit`."""
        compute = plan.compute_time_s
        nobody, nothing = np.zeros(compute.shape, np.bool_), np.zeros(compute.shape)
        return Sent(
            arrived=nobody,
            received=nobody,
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

    def timed(self, scenario: Scenario, times: Times, work: Work) -> Scenario:
        """Put the measured training function into ``[feel]``; see :meth:`Radio.timed`."""
        return Tdma().timed(scenario, times, work)
