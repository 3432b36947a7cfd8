"""Rounds over block fading: how many bands, slots and seed samples, and what a scheme sends with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from learning.options import choose, label
from learning.radio.base import Payload, Plan
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.channel import BlockFadingLink
from radioopt.mix2fld import RoundPlanProblem, RoundPlanSolution
from radioopt.scenario import Devices

#: bands, slots and seed samples, from the problem that has candidates for them
Policy = Callable[[RoundPlanProblem, np.random.Generator], tuple[int, int, int]]

#: what the paper has
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
    compute_time_s, server_time_s : float
        Time of the devices' and of the server's training [s].
    solution : RoundPlanSolution, optional
        The certified plan, if it is an optimum.
    """

    problem: RoundPlanProblem
    num_channels: int
    max_slots: int
    seed_samples: int
    compute_time_s: float
    server_time_s: float
    solution: RoundPlanSolution | None = None

    def figures(self) -> Mapping[str, float]:
        """Return the bands and the slots that there are."""
        return {"num_channels": self.num_channels, "max_slots": self.max_slots}

    @property
    def first_payload(self) -> Payload:
        """What is sent in the first round, with the seed samples."""
        seed_bits = self.seed_samples * float(self.problem.sample_bits)
        return Payload(self.payload.uplink_bits + seed_bits, self.payload.downlink_bits)

    @property
    def uplink(self) -> BlockFadingLink:
        """Links of the devices, each with its share of the bands."""
        problem = self.problem
        return BlockFadingLink(
            snr_threshold=problem.uplink_snr_threshold,
            bandwidth_hz=problem.bandwidth_hz * self.num_channels / problem.sizes["device"],
            transmit_power_w=problem.transmit_power_w,
            channel_gain=problem.channel_gain,
            noise_psd_w_per_hz=problem.noise_psd_w_per_hz,
            slot_s=problem.slot_s,
        )

    @property
    def downlink(self) -> BlockFadingLink:
        """Links from the server, which has the whole band for everybody at once."""
        problem = self.problem
        return BlockFadingLink(
            snr_threshold=problem.downlink_snr_threshold,
            bandwidth_hz=problem.bandwidth_hz,
            transmit_power_w=problem.downlink_power_w,
            channel_gain=problem.channel_gain,
            noise_psd_w_per_hz=problem.noise_psd_w_per_hz,
            slot_s=problem.slot_s,
        )


class RoundAllocator:
    """Bands, slots and seed samples by a policy, the same in every round as long as mean gains stay.

    Parameters
    ----------
    policy : str or callable
        "optimal": the candidates of the scenario with least expected time to convergence, proven. "paper": the
        paper's, or what `fixed` says. Or a function ``(problem, rng) -> (num_channels, max_slots, seed_samples)``.
    uplink, downlink : {"model_bits", "output_bits"}
        What a scheme sends: weights or outputs.
    seeded : bool
        Whether devices send seed samples in the first round.
    iterations, server_iterations : int
        Local steps per device and round, and steps of the server, 0 if it does not train.
    batchsize : int
        Samples per local step.
    fixed : mapping of str to int, optional
        Values of the policy "paper" to use instead of :data:`PAPER`.
    sizes : mapping of str to float, optional
        ``model_bits`` and ``output_bits`` to use instead of the scenario's.

    Raises
    ------
    OptionError
        If there is no policy of that name, or values are fixed for one that chooses them.

    Notes
    -----
    The scenario's ``compute_time_s`` is that of the paper's 6,400 local steps and 3,200 steps of the server, one after
    the other, all of one sample and equally long; other numbers of samples take in proportion. [reconstructed: the
    paper measured]

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("mix2fld").draw(seed=0)
    >>> allocator = RoundAllocator("paper", "output_bits", "model_bits", True, 6400, 3200, 1)
    >>> plan = allocator(devices, np.random.default_rng(0))
    >>> plan.first_payload, plan.max_slots
    (Payload(uplink_bits=65920.0, downlink_bits=401408.0), 100)
    """

    def __init__(
        self,
        policy: str | Policy,
        uplink: str,
        downlink: str,
        seeded: bool,
        iterations: int,
        server_iterations: int,
        batchsize: int,
        fixed: Mapping[str, int] = MappingProxyType({}),
        sizes: dict[str, float] | None = None,
    ) -> None:
        self.policy: Policy | None = policy if callable(policy) else None
        if not callable(policy):
            bands, slots, seeds = (PAPER | dict(fixed)).values()
            table: dict[str, Policy | None] = {
                "optimal": None,
                "paper": lambda problem, rng: (bands, slots, seeds),
            }
            self.policy = choose("policy", policy, table, "a function (problem, rng)")
        self.uplink, self.downlink, self.seeded = uplink, downlink, seeded
        if fixed and policy != "paper":
            raise OptionError(
                f"{', '.join(fixed)}: policy {label(policy)} chooses: leave out, or take policy paper"
            )
        self.server_iterations, self.sizes = server_iterations, sizes or {}
        self.samples = iterations * batchsize
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
        posed, step_s = self.pose(devices)
        solution = None
        if self.policy is None:
            if self._solved is None or self._solved.problem != posed:
                self._solved = posed.solve()
            solution = self._solved
            values = [int(getattr(solution, name)) for name in solution.decisions]
        else:
            values = _checked(self.policy(posed, rng), label(self.policy))
        bands, slots, seeds = values if self.seeded else (*values[:2], 0)
        return FadingPlan(
            devices=devices,
            batchsize=np.full(posed.sizes["device"], self.samples),
            problem=posed,
            num_channels=bands,
            max_slots=slots,
            seed_samples=seeds,
            payload=Payload(float(posed.output_bits), float(posed.model_bits)),
            compute_time_s=step_s * self.samples,
            server_time_s=step_s * self.server_iterations,
            solution=solution,
        )

    def pose(self, devices: Devices) -> tuple[RoundPlanProblem, float]:
        """Return the problem with this scheme's payloads, and the time of a step [s].

        Parameters
        ----------
        devices : Devices
            With a ``[mix2fld]`` table in their scenario.

        Returns
        -------
        problem : RoundPlanProblem
            Its ``output_bits`` are what goes up in every round, its ``model_bits`` what comes down.
        step_s : float
            Of a step of one sample, on a device or at the server.
        """
        posed = cast(RoundPlanProblem, devices.problem("mix2fld").replace(**self.sizes))
        step_s = float(posed.compute_time_s) / PAPER_STEPS
        changes: dict[str, Any] = {
            "output_bits": getattr(posed, self.uplink),
            "model_bits": getattr(posed, self.downlink),
            "compute_time_s": step_s * (self.samples + self.server_iterations),
        }
        if not self.seeded:
            changes |= {"seed_samples": [0], "rounds": posed.rounds[:1]}
        return cast(RoundPlanProblem, posed.replace(**changes)), step_s


def _checked(given: Any, policy: str) -> list[int]:
    """Check what a policy returned."""
    values = np.asarray(given)
    if values.shape != (3,) or values.dtype.kind not in "iu" or (values < [1, 1, 0]).any():
        raise ProblemError(
            f"policy {policy}: expected whole numbers of bands >= 1, slots >= 1 and seed samples >= 0, "
            f"got {shorten(given)}"
        )
    return [int(value) for value in values]
