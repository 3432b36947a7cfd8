"""What a radio is: who plans a round, what it costs, and who arrived."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning.messages import Parcel, Wire
from learning.options import label, settings_of
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.base.solution import Solution
from radioopt.scenario import Devices, Scenario

Batchsizes = NDArray[np.int64]
Floats = NDArray[Any]
#: seconds of a local step, and of an update, by the samples in the step; see :class:`learning.local.timing.StepTimes`
Times = Any


class Payload(NamedTuple):
    """What is sent in a round.

    Attributes
    ----------
    uplink_bits : float
        From each device to the server >= 0 [bit].
    downlink_bits : float
        From the server to each device >= 0 [bit].
    across_bits : float, default 0
        From each device to each of its neighbours >= 0 [bit].
    """

    uplink_bits: float
    downlink_bits: float
    across_bits: float = 0.0


@dataclass(frozen=True, eq=False)
class Work:
    """What devices and server compute in a round, as a scheme declares it.

    Parameters
    ----------
    held : ndarray of int64, shape (K,)
        Samples that each device holds.
    steps : tuple of K ndarrays of int64, optional
        Batch sizes of each device's local steps; without them the plan says how large a batch is.
    server_steps : int, default 0
        Steps of the server, of one sample each.
    sample : int, default 1
        Numbers of a sample.
    own : ndarray of int64, shape (K,), optional
        Samples that each device held before anything was prepared; by default those that it holds.
    kinds : ndarray of int64, shape (K,), optional
        Which of several architectures each device has, by its place among them; None where all have the same.
    """

    held: Batchsizes
    steps: tuple[Batchsizes, ...] | None = None
    server_steps: int = 0
    sample: int = 1
    own: Batchsizes | None = None
    kinds: Batchsizes | None = None

    @property
    def samples(self) -> Batchsizes:
        """Samples that each device goes through, repetitions counted, shape (K,)."""
        if self.steps is None:
            raise ProblemError(
                "this radio does not plan batch sizes: take a scheme with local steps, as fedavg"
            )
        return np.array([own.sum() for own in self.steps])


@dataclass(frozen=True)
class Prices:
    """Bits of what is sent.

    Parameters
    ----------
    whole : mapping of str to float
        Bits of all numbers of a kind together, whatever their number: a scenario's payload [bit].
    each : mapping of str to float
        Bits of one number of a kind [bit].
    other : float, default 32
        Bits of one number of any other kind [bit].
    """

    whole: Mapping[str, float] = field(default_factory=dict)
    each: Mapping[str, float] = field(default_factory=dict)
    other: float = 32.0

    def bits(self, parcel: Parcel, own: Mapping[str, float]) -> float:
        """Return the bits of a parcel, numbers by what they are, of which some have a size of their `own`."""
        each = {**self.each, **own}
        whole = {kind: bits for kind, bits in self.whole.items() if kind not in own}
        return float(
            sum(
                whole[kind] if kind in whole and count else each.get(kind, self.other) * count
                for kind, count in parcel.items()
            )
        )

    def payload(self, wire: Wire) -> Payload:
        """Return the bits both ways, and across."""
        return Payload(*(self.bits(parcel, wire.bits) for parcel in (wire.up, wire.down, wire.across)))


@dataclass(frozen=True, eq=False)
class Plan:
    """What the devices do in one round; planners derive their own, with the resources that their radio spends.

    Parameters
    ----------
    devices : Devices
        The devices with this round's channel.
    batchsize : ndarray of int64, shape (K,)
        Samples that each device trains with in the round, repetitions counted.
    payload : Payload
        What the resources were planned for.
    prices : Prices
        Bits of what is sent.

    Notes
    -----
    A plan is kept in the ledger and, with it, in checkpoints: its fields are numbers, arrays, records of radioopt
    and containers of them.
    """

    devices: Devices
    batchsize: Batchsizes
    payload: Payload
    prices: Prices

    def figures(self) -> Mapping[str, float]:
        """Return numbers of the plan worth a column in the table of rounds; none unless overridden."""
        return {}

    def realised(self, found: Mapping[str, float]) -> Mapping[str, float]:
        """Return numbers that follow from the plan and from what the judge found; none unless overridden.

        Parameters
        ----------
        found : mapping of str to float
            What the judge measured after the round.

        Returns
        -------
        mapping of str to float
            A column each.
        """
        return {}

    def told(self) -> Mapping[str, int]:
        """Return what devices are told beside their batch size; nothing unless overridden."""
        return {}

    def takes_part(self) -> NDArray[np.bool_] | None:
        """Return who takes part, shape (K,); None for everybody."""
        return None

    def learnt(self, losses: Floats) -> Plan:
        """Return the plan with the losses of the round, shape (K,), where the next ones need them."""
        return self


#: from devices with this round's channel, and random numbers for policies that draw, to the plan of the round
Planner = Callable[[Devices, np.random.Generator], Plan]


def steady(planner: Planner) -> Planner:
    """Plan anew only where the devices are others than in the last round: for a planner that draws nothing.

    Parameters
    ----------
    planner : callable
        Whose plans follow from the devices alone, with their channel.

    Returns
    -------
    callable
        The same plans. Devices that do not fade are the same object in every round.
    """
    last: list[Plan] = []

    def plan(devices: Devices, rng: np.random.Generator) -> Plan:
        if not last or last[0].devices is not devices:
            last[:] = [planner(devices, rng)]
        return last[0]

    return plan


@dataclass(frozen=True, eq=False)
class Allocation:
    """A policy that is a function of this round's devices, from ``train(allocator=...)``.

    Parameters
    ----------
    function : callable
        ``(devices, rng) -> Solution`` of the radio's problem.
    held : ndarray of int64, shape (K,), optional
        Samples that each device holds, which the devices then know.
    """

    function: Callable[[Devices, np.random.Generator], Solution]
    held: Batchsizes | None = None

    def __call__(self, devices: Devices, rng: np.random.Generator) -> Solution:
        """Allot the resources of a round; what is returned otherwise than a solution is refused."""
        found = self.function(devices if self.held is None else devices.with_local_samples(self.held), rng)
        if not isinstance(found, Solution) or found.batch_shape:
            raise ProblemError(
                f"allocator {label(self.function)}: expected a single solution, as of problem.solve() or "
                f"problem.judge(...), got {shorten(found)}"
            )
        return found


@dataclass(frozen=True, eq=False)
class Sent:
    """What became of a round's transmissions.

    Parameters
    ----------
    arrived : ndarray of bool, shape (K,)
        Whose update reached the server in time.
    received : ndarray of bool, shape (K,)
        Who got what the server sent.
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
    received: NDArray[np.bool_]
    seconds: float
    uplink_bits: float
    downlink_bits: float
    compute_time_s: Floats
    upload_time_s: Floats
    download_time_s: Floats
    update_time_s: Floats
    compute_energy_j: Floats
    upload_energy_j: Floats

    #: names of more fields with a number per device, which are columns of the table of devices
    columns: ClassVar[tuple[str, ...]] = ()

    @property
    def energy_j(self) -> float:
        """Energy of all devices in the round [J]."""
        return float((self.compute_energy_j + self.upload_energy_j).sum())

    def figures(self) -> Mapping[str, float]:
        """Return more numbers worth a column in the table of rounds; none unless overridden."""
        return {}


class Delivery(NamedTuple):
    """What it takes to bring the same bits from the server to all devices.

    Attributes
    ----------
    received : ndarray of bool, shape (K,)
        Who got them.
    seconds : float
        Until the last one has them [s].
    """

    received: NDArray[np.bool_]
    seconds: float


class Radio(ABC):
    """From this round's channel to who arrived after how many seconds and joules.

    A radio is a frozen dataclass of its options. It plans every round (by a policy), sends what the scheme declares,
    and knows which table of the scenario is its own. Schemes know nothing of it.
    """

    #: table of the scenario that it plans with; empty for none
    table: ClassVar[str] = ""
    #: whether its plans are for all devices together, so that nobody can sit out
    needs_all: ClassVar[bool] = False
    #: tables of the scenario that say how links between devices are, of which it needs one; empty for no such links
    links: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Return what plans the rounds.

        Parameters
        ----------
        policy : str or callable
            How to choose.
        work : Work
            What devices and server compute.
        wire : Wire
            What they send.
        bits_per_parameter : float or None
            Size of a number that is sent [bit]; None for the scenario's payload.

        Returns
        -------
        callable
            ``(devices, rng) -> Plan``, called once a round.

        Raises
        ------
        OptionError
            If there is no policy of that name, or this radio cannot carry such rounds.
        """

    @abstractmethod
    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Send an update from every device, and the server's answer back.

        Parameters
        ----------
        payload : Payload
            What is sent in this round, each way.
        plan : Plan
            What the round allots, made by this radio's planner.
        rng : numpy.random.Generator
            For radios that lose some.

        Returns
        -------
        Sent
            Who arrived, who received, seconds, joules.
        """

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Send the same to all devices before the first round.

        Parameters
        ----------
        bits : float
            Size > 0 [bit].
        devices : Devices
            With their channel.
        rng : numpy.random.Generator
            For radios that lose some.

        Returns
        -------
        Delivery
            Who got it, and when.

        Raises
        ------
        OptionError
            If this radio has no downlink.
        """
        raise OptionError(f"radio: {type(self).__name__} sends nothing: take another radio")

    def timed(self, scenario: Scenario, times: Times, work: Work) -> Scenario:
        """Put compute times that were measured into the radio's table of a scenario.

        Parameters
        ----------
        scenario : Scenario
            With modelled compute times.
        times : StepTimes
            From :func:`learning.time_training`.
        work : Work
            What devices compute.

        Returns
        -------
        Scenario
            With these times on every device, and nothing else changed.

        Raises
        ------
        ProblemError
            If the scenario has no such table.
        """
        raise OptionError(f"compute: {type(self).__name__} takes no measured times: leave compute out")

    def settings(self) -> dict[str, Any]:
        """Return the options, for the manifest of a run."""
        return settings_of(self)


def table_of(scenario: Scenario, family: str) -> dict[str, Any]:
    """Return the table of a scenario that measured times go into, or refuse one without it."""
    found: dict[str, Any] | None = scenario.to_dict().get(family)
    if found is None:
        raise ProblemError(
            f"compute: the scenario has no table [{family}] to put measured times into: add one"
        )
    return found


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
