"""Block fading: bands, slots and seed samples of a round, and a link whose slots are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from learning.messages import Wire
from learning.options import choose, label, whole
from learning.radio.base import (
    Allocation,
    Delivery,
    Floats,
    Payload,
    Plan,
    Planner,
    Prices,
    Radio,
    Sent,
    Times,
    Work,
    compute_energy,
    table_of,
)
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.channel import BlockFadingLink
from radioopt.mix2fld import RoundPlanProblem, RoundPlanSolution
from radioopt.scenario import Devices, Scenario

#: bands, slots and seed samples, from the problem that has candidates for them
Policy = Callable[[RoundPlanProblem, np.random.Generator], tuple[int, int, int]]

#: bands, slots and seed samples of the paper
PAPER = {"num_channels": 2, "max_slots": 100, "seed_samples": 10}
#: steps of devices and server that a scenario's compute time is of
PAPER_STEPS = 6_400 + 3_200


@dataclass(frozen=True, eq=False)
class FadingPlan(Plan):
    """What the devices send in a round over block fading, and how long they may.

    Parameters
    ----------
    problem : RoundPlanProblem
        Links and payloads.
    num_channels, max_slots, seed_samples : int
        Bands, slots that either way may take, seed samples of the first round.
    compute_time_s : ndarray, shape (K,)
        Time of each device's training [s].
    server_time_s : float
        Time of the server's training [s].
    solution : RoundPlanSolution, optional
        The certified plan, if it is an optimum.
    """

    problem: RoundPlanProblem
    num_channels: int
    max_slots: int
    seed_samples: int
    compute_time_s: NDArray[np.float64]
    server_time_s: float
    solution: RoundPlanSolution | None = None

    def figures(self) -> Mapping[str, float]:
        """Return the bands and the slots that there are."""
        return {"num_channels": self.num_channels, "max_slots": self.max_slots}

    def told(self) -> Mapping[str, int]:
        """Return the number of seed samples."""
        return {"seed_samples": self.seed_samples}

    @property
    def uplink(self) -> BlockFadingLink:
        """Links of the devices, each with its share of the bands."""
        problem = self.problem
        return _link(
            problem,
            problem.uplink_snr_threshold,
            problem.bandwidth_hz * self.num_channels / problem.sizes["device"],
            problem.transmit_power_w,
        )

    @property
    def downlink(self) -> BlockFadingLink:
        """Links from the server, which has the whole band for everybody at once."""
        return _downlink(self.problem)


def _link(problem: RoundPlanProblem, threshold: Any, bandwidth_hz: Any, power_w: Any) -> BlockFadingLink:
    return BlockFadingLink(
        snr_threshold=threshold,
        bandwidth_hz=bandwidth_hz,
        transmit_power_w=power_w,
        channel_gain=problem.channel_gain,
        noise_psd_w_per_hz=problem.noise_psd_w_per_hz,
        slot_s=problem.slot_s,
    )


def _downlink(problem: RoundPlanProblem) -> BlockFadingLink:
    return _link(problem, problem.downlink_snr_threshold, problem.bandwidth_hz, problem.downlink_power_w)


@dataclass(frozen=True, eq=False)
class FadingSent(Sent):
    """What became of a round's transmissions over block fading.

    Parameters
    ----------
    upload_slots, download_slots : ndarray, shape (K,)
        Slots that each device spent, at most those that there are.
    """

    upload_slots: Floats
    download_slots: Floats


class RoundPlanner:
    """Bands, slots and seed samples by a policy, the same in every round as long as mean gains stay.

    Parameters
    ----------
    policy : str or callable
        "optimal": the candidates of the scenario with least expected time to convergence, proven. "paper": the
        paper's, or what `fixed` says. Or a function ``(problem, rng) -> (num_channels, max_slots, seed_samples)``.
    work : Work
        What devices and server compute.
    wire : Wire
        What goes up in every round and comes down, and whether seed samples do in the first.
    bits_per_parameter : float, optional
        Size of a number that is sent [bit]; by default ``model_bits`` and ``output_bits`` of the scenario.
    fixed : mapping of str to int, optional
        Values of the policy "paper" to use instead of :data:`PAPER`.

    Raises
    ------
    OptionError
        If there is no policy of that name, or values are fixed for one that chooses them.
    ProblemError
        If the scheme leaves batch sizes to the plan.

    Notes
    -----
    The scenario's ``compute_time_s`` is that of the paper's 6,400 local steps and 3,200 steps of the server, one after
    the other, all of one sample and equally long; other numbers of samples take in proportion. [reconstructed: the
    paper measured] Where devices go through different numbers of samples, the plan is for the largest.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("mix2fld").draw(seed=0)
    >>> work = Work(np.full(10, 500), (np.ones(6400, np.int64),) * 10, server_steps=3200, sample=784)
    >>> wire = Wire({"outputs": 100}, {"weights": 12544}, seeded=True)
    >>> plan = RoundPlanner("paper", work=work, wire=wire)(devices, np.random.default_rng(0))
    >>> plan.payload, plan.seed_samples, plan.max_slots
    (Payload(uplink_bits=3200.0, downlink_bits=401408.0, across_bits=0.0), 10, 100)
    """

    def __init__(
        self,
        policy: str | Policy | Allocation,
        *,
        work: Work,
        wire: Wire,
        bits_per_parameter: float | None = None,
        fixed: Mapping[str, int] | None = None,
    ) -> None:
        given = dict(fixed or {})
        values = PAPER | given
        if isinstance(policy, Allocation):
            self.policy: Any = policy
        elif callable(policy):
            self.policy = policy
        else:
            chosen = values["num_channels"], values["max_slots"], values["seed_samples"]
            table: dict[str, Policy | None] = {"optimal": None, "paper": lambda problem, rng: chosen}
            self.policy = choose("policy", policy, table, "a function (problem, rng)")
        if given and policy != "paper":
            raise OptionError(
                f"{', '.join(given)}: policy {label(policy)} chooses: leave out, or take policy paper"
            )
        self.work, self.wire, self.bits = work, wire, bits_per_parameter
        self.samples = work.samples
        self._solved: RoundPlanSolution | None = None

    def __call__(self, devices: Devices, rng: np.random.Generator) -> FadingPlan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With a ``[mix2fld]`` table in their scenario.
        rng : numpy.random.Generator
            For policies that draw.

        Returns
        -------
        FadingPlan
            Bands, slots, seed samples, payloads, compute times.

        Raises
        ------
        ProblemError
            If the scenario has no such table, or a policy of one's own returns something else than whole numbers,
            positive for bands and slots.
        SolveError
            If no candidate has enough devices take part; the policy "paper" is not judged.
        """
        posed, prices, step_s = self.pose(devices)
        solution = None
        if self.policy is None:
            if self._solved is None or self._solved.problem != posed:
                self._solved = posed.solve()
            solution = self._solved
            bands, slots, seeds = (int(getattr(solution, name)) for name in PAPER)
        elif isinstance(self.policy, Allocation):
            given = self.policy(devices, rng)
            if not isinstance(given, RoundPlanSolution):
                raise ProblemError(f"radio fading takes a RoundPlanSolution, got a {type(given).__name__}")
            bands, slots, seeds = (int(getattr(given, name)) for name in PAPER)
        else:
            bands, slots, seeds = _checked(self.policy(posed, rng), label(self.policy))
        return FadingPlan(
            devices=devices,
            batchsize=self.samples,
            problem=posed,
            num_channels=bands,
            max_slots=slots,
            seed_samples=seeds if self.wire.seeded else 0,
            payload=prices.payload(self.wire),
            prices=prices,
            compute_time_s=step_s * self.samples.astype(np.float64),
            server_time_s=step_s * self.work.server_steps,
            solution=solution,
        )

    def pose(self, devices: Devices) -> tuple[RoundPlanProblem, Prices, float]:
        """Return the problem with this scheme's payloads, the bits of what it sends, and the time of a step.

        Parameters
        ----------
        devices : Devices
            With a ``[mix2fld]`` table in their scenario.

        Returns
        -------
        problem : RoundPlanProblem
            Its ``output_bits`` are what goes up in every round, its ``model_bits`` what comes down.
        prices : Prices
            Bits of what is sent.
        step_s : float
            Time of a step of one sample, on a device or at the server [s].
        """
        posed = cast(RoundPlanProblem, devices.problem("mix2fld"))
        sample = {"samples": float(posed.sample_bits) / self.work.sample}
        if self.bits is None:
            model = float(posed.model_bits)
            prices = Prices(
                {"weights": model, "gradient": model, "outputs": float(posed.output_bits)}, sample
            )
        else:
            prices = Prices(each=sample, other=self.bits)
        step_s = float(posed.compute_time_s) / PAPER_STEPS
        payload = prices.payload(self.wire)
        changes: dict[str, Any] = {
            "output_bits": payload.uplink_bits,
            "model_bits": payload.downlink_bits,
            "compute_time_s": step_s * (int(self.samples.max()) + self.work.server_steps),
        }
        if not self.wire.seeded:
            changes |= {"seed_samples": [0], "rounds": posed.rounds[:1]}
        return cast(RoundPlanProblem, posed.replace(**changes)), prices, step_s


def _checked(given: Any, policy: str) -> list[int]:
    """Check what a policy returned."""
    values = np.asarray(given)
    if values.shape != (3,) or values.dtype.kind not in "iu" or (values < [1, 1, 0]).any():
        raise ProblemError(
            f"policy {policy}: expected whole numbers of bands >= 1, slots >= 1 and seed samples >= 0, "
            f"got {shorten(given)}"
        )
    return [int(value) for value in values]


@dataclass(frozen=True)
class Fading(Radio):
    r"""Block fading: unicast up over shared bands, multicast down over the whole band, no longer than so many slots.

    Every device needs :math:`T_k` slots, drawn from the law of :class:`~radioopt.channel.BlockFadingLink`; who needs
    more than M is late, and what it sent is lost. All wait for the slowest, but no longer than that:

    .. math::
        T = \max_k \bigl( t_k + \tau \min(T_k^{\mathrm{up}}, M) \bigr) + t_{\mathrm{server}}
          + \tau \max_k \min(T_k^{\mathrm{dn}}, M).

    A device radiates its power in all slots up to its last. The server's energy is not counted. Where nobody arrives
    the server has nothing to say, and the round ends with the uplink.

    Parameters
    ----------
    num_channels, max_slots, seed_samples : int, optional
        Bands, slots, and seed samples of the first round under the policy "paper", by default 2, 100 and 10; other
        policies choose them.

    Raises
    ------
    OptionError
        If a number is out of its range, or given where the policy chooses it.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-C, (4). The paper counts no energy.
    """

    num_channels: int | None = None
    max_slots: int | None = None
    seed_samples: int | None = None

    table: ClassVar[str] = "mix2fld"

    def __post_init__(self) -> None:
        for name, value in self.fixed().items():
            whole(name, value)

    def fixed(self) -> dict[str, int]:
        """Return what is given of bands, slots and seed samples."""
        given = {name: getattr(self, name) for name in PAPER}
        return {name: value for name, value in given.items() if value is not None}

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Plan bands, slots and seed samples; see :meth:`Radio.planner`."""
        if self.seed_samples is not None and not wire.seeded:
            raise OptionError("seed_samples: this scheme sends none: leave out")
        return RoundPlanner(
            policy, work=work, wire=wire, bits_per_parameter=bits_per_parameter, fixed=self.fixed()
        )

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> FadingSent:
        """Send an update from every device, and the server's answer to all; see :meth:`Radio.transmit`.

        There is no answer if nobody arrived or the payload has none. Two numbers are drawn in any case, so that
        paired runs stay paired.
        """
        devices, limit = plan.devices, plan.max_slots
        ways = map(np.random.default_rng, rng.integers(2**63, size=2))
        up, down = (
            link.slots(bits).sample(luck)
            for link, bits, luck in zip((plan.uplink, plan.downlink), payload[:2], ways, strict=True)
        )
        arrived = up <= limit
        answered = bool(arrived.any() and payload.downlink_bits > 0)
        upload_slots, download_slots = np.minimum(up, limit), answered * np.minimum(down, limit)
        slot_s = float(plan.problem.slot_s)
        upload, download = slot_s * upload_slots, slot_s * download_slots
        compute = plan.compute_time_s
        return FadingSent(
            arrived=arrived,
            received=answered & (down <= limit),
            seconds=float((compute + upload).max() + answered * plan.server_time_s + download.max()),
            uplink_bits=payload.uplink_bits,
            downlink_bits=answered * payload.downlink_bits,
            compute_time_s=compute,
            upload_time_s=upload,
            download_time_s=download,
            update_time_s=np.zeros(upload.shape),
            compute_energy_j=compute_energy(devices, compute),
            upload_energy_j=devices.transmit_power_w * upload,
            upload_slots=upload_slots,
            download_slots=download_slots,
        )

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Multicast over the whole band until everybody has it; see :meth:`Radio.deliver`."""
        problem = cast(RoundPlanProblem, devices.problem("mix2fld"))
        slots = _downlink(problem).slots(bits).sample(rng)
        return Delivery(np.ones(slots.shape, np.bool_), float(problem.slot_s) * float(slots.max()))

    def timed(self, scenario: Scenario, times: Times, work: Work) -> Scenario:
        """Put the measured time of a sample into ``[mix2fld]``; see :meth:`Radio.timed`."""
        table_of(scenario, "mix2fld")
        batch = max(int(own.max()) for own in work.steps or ())
        step_s = float(times.training_time(batch)) + times.update_time_s
        return scenario.replace({"mix2fld.compute_time_s": PAPER_STEPS * step_s / batch})
