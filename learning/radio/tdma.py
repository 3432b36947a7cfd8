"""TDMA: batch sizes and slots of FEEL, and a link that spends them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.catalog import POLICIES
from learning.messages import Wire
from learning.options import choose, label, real
from learning.radio.base import (
    Allocation,
    Delivery,
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
    table_of,
)
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.base.solution import Solution
from radioopt.feel import BatchsizeProblem, BatchsizeSolution
from radioopt.scenario import Devices, Scenario

Policy = Callable[[BatchsizeProblem, np.random.Generator], Any]

#: what a scenario's payload stands for, however many numbers the model trained here has
MODEL = ("weights", "gradient")


@dataclass(frozen=True, eq=False)
class TdmaPlan(Plan):
    """Batch sizes and time slots.

    Parameters
    ----------
    solution : BatchsizeSolution
        The certified slots for these batch sizes.
    """

    solution: BatchsizeSolution

    def figures(self) -> Mapping[str, float]:
        """Return the learning efficiency [1/s], see :attr:`radioopt.feel.BatchsizeSolution.learning_efficiency`."""
        return {"learning_efficiency": float(self.solution.learning_efficiency)}


def optimal(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take the batch sizes of largest learning efficiency, proven optimal over whole samples."""
    return problem.solve(integer=True).batchsize


def online(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take one sample per device."""
    return np.ones_like(problem.max_batchsize)


def full(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take the largest batch."""
    return np.floor(problem.max_batchsize)


def random(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw each batch size uniformly from the integers 1 to the largest."""
    return rng.integers(1, np.floor(problem.max_batchsize), endpoint=True).astype(np.float64)


def entire(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take all samples that a device holds, however many the scenario lets into one batch."""
    return problem.max_batchsize


class BatchPlanner:
    """FEEL: batch sizes by a policy, and for these batch sizes the optimal slots.

    A policy that says only batch sizes gets the slots that minimise the latency of a round with its own batch sizes, so
    that policies differ in their batch sizes alone. A total batch that the scenario fixes binds "optimal" only; a
    deadline of the scenario binds all.

    Parameters
    ----------
    policy : str or callable
        "optimal" (whole samples, proven), "online" (one sample), "full" (the largest batch), "random" (uniform
        from 1 to the largest, anew in each round) or "entire" (all that the device holds, in pieces if it is more
        than the largest batch); or a function of ``(problem, rng)`` that returns whole batch sizes (K,), or a solution
        or mapping that has ``uplink_slot_s`` and ``downlink_slot_s`` too, as ``problem.judge(...)``.
    samples : array_like of int, shape (K,)
        Samples that each device holds; no batch exceeds them.
    wire : Wire, optional
        What goes up and comes down; by default one gradient each way.
    bits_per_parameter : float, optional
        Size of a number [bit]; by default gradients and weights are the scenario's ``payload_bits``.

    Raises
    ------
    OptionError
        If there is no policy of that name.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    problem P1 (17) and the benchmark policies of Section VI-D; "entire" is its gradient-based FEEL of Section VI-C.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("feel-cpu").draw(seed=1)
    >>> plan = BatchPlanner("online", [120] * 12)(devices, np.random.default_rng(0))
    >>> int(plan.batchsize.sum()), plan.solution.status.name
    (12, 'OPTIMAL')
    """

    def __init__(
        self,
        policy: str | Policy | Allocation,
        samples: ArrayLike,
        wire: Wire | None = None,
        bits_per_parameter: float | None = None,
    ) -> None:
        self.policy: Any = policy if callable(policy) else choose("policy", policy, POLICIES, "a function")
        self.samples = np.asarray(samples)
        self.wire = wire or Wire({"gradient": 1}, {"gradient": 1})
        self.bits = bits_per_parameter

    def __call__(self, devices: Devices, rng: np.random.Generator) -> TdmaPlan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With this round's channel and a ``[feel]`` table in their scenario.
        rng : numpy.random.Generator
            Source of the random policy.

        Returns
        -------
        TdmaPlan
            Whole batch sizes, and their certified slots: the optimal ones, or the policy's own.

        Raises
        ------
        ProblemError
            If the scenario has no such table, or a policy of one's own returns something else than whole
            numbers from 1 to the largest batch.
        SolveError
            If no slots let these batches meet a deadline of the scenario, or slots of the policy's own are more than
            the frame has.
        """
        largest = self.samples
        if self.policy is not entire:
            largest = np.minimum(devices.drawn("feel")["max_batchsize"], largest)
        problem, prices, payload = pose(devices, self.wire, self.bits, max_batchsize=largest)
        given = self.policy(devices if isinstance(self.policy, Allocation) else problem, rng)
        slots = allotted(given)
        batchsize = np.asarray(given if slots is None else slots.pop("batchsize"))
        whole = batchsize.shape == problem.max_batchsize.shape and (batchsize == np.rint(batchsize)).all()
        if not (whole and (batchsize >= 1).all() and (batchsize <= problem.max_batchsize).all()):
            role = "allocator" if isinstance(self.policy, Allocation) else "policy"
            whole = "; problem.solve(integer=True) gives whole ones" if isinstance(given, Solution) else ""
            raise ProblemError(
                f"{role} {told(self.policy)}: expected {problem.max_batchsize.size} whole batch sizes from 1 to "
                f"{problem.max_batchsize.min():g} ... {problem.max_batchsize.max():g}, got {shorten(batchsize)}{whole}"
            )
        posed = fixed(problem, batchsize)
        solution = posed.solve() if slots is None else posed.judge(batchsize=batchsize, **slots)
        return TdmaPlan(devices, batchsize.astype(np.int64), payload, prices, solution)


class WorkPlanner:
    """Optimal slots for local training whose batches are given, as that of FedAvg.

    Parameters
    ----------
    batches : sequence of K arrays of int
        Batch sizes of the local steps that each device takes in a round.
    wire : Wire, optional
        What goes up and comes down; by default the weights each way.
    bits_per_parameter : float, optional
        Size of a number [bit]; by default gradients and weights are the scenario's ``payload_bits``.
    allocation : Allocation, optional
        Whose slots are taken instead of the optimal ones.

    Notes
    -----
    A step takes the time of its batch, below the threshold of a GPU that of the threshold, and the time of an
    update; all steps come before the upload, and what is downloaded replaces the weights without further work.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("feel-cpu").draw(seed=1)
    >>> planner = WorkPlanner([np.array([10, 10, 4])] * 12)
    >>> plan = planner(devices, np.random.default_rng(0))
    >>> int(plan.batchsize.sum()), plan.solution.status.name
    (288, 'OPTIMAL')
    """

    def __init__(
        self,
        batches: Sequence[NDArray[np.int64]],
        wire: Wire | None = None,
        bits_per_parameter: float | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self.allocation = allocation
        self.wire = wire or Wire({"weights": 1}, {"weights": 1})
        self.bits = bits_per_parameter
        self.samples = np.array([batch.sum() for batch in batches])
        self.batches = batches

    def __call__(self, devices: Devices, rng: np.random.Generator) -> TdmaPlan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With this round's channel and a ``[feel]`` table in their scenario.
        rng : numpy.random.Generator
            For allocations that draw.

        Returns
        -------
        TdmaPlan
            The work as batch sizes, and their certified slots.

        Raises
        ------
        ProblemError
            If the scenario has no such table.
        SolveError
            If no slots let this work meet a deadline of the scenario, or those of an allocation are more than the
            frame has.
        """
        posed, prices, payload = pose(devices, self.wire, self.bits)
        changed = posed.replace(
            min_batchsize=self.samples,
            max_batchsize=self.samples,
            base_time_s=apart_s(posed, self.batches),
            update_time_s=np.zeros(self.samples.shape),
            total_batchsize=np.inf,
        )
        problem = cast(BatchsizeProblem, changed)
        slots = None if self.allocation is None else allotted(self.allocation(devices, rng))
        if slots is None:
            return TdmaPlan(devices, self.samples, payload, prices, problem.solve())
        solution = problem.judge(**{**slots, "batchsize": self.samples})
        return TdmaPlan(devices, self.samples, payload, prices, solution)


def allotted(given: Any) -> dict[str, Any] | None:
    """Return batch sizes and slots, if that is what was given; None for batch sizes alone."""
    if isinstance(given, Mapping):
        missing = [name for name in BatchsizeSolution.decisions if name not in given]
        if missing:
            raise ProblemError(
                f"policy: {', '.join(missing)} missing: give {', '.join(BatchsizeSolution.decisions)}"
            )
        return {name: given[name] for name in BatchsizeSolution.decisions}
    if not isinstance(given, Solution):
        return None
    if not isinstance(given, BatchsizeSolution):
        raise ProblemError(f"radio tdma takes batch sizes and slots, got a {type(given).__name__}")
    return {name: getattr(given, name) for name in BatchsizeSolution.decisions}


def told(policy: Any) -> str:
    """Return the name of a policy, or that of the function behind an allocation."""
    return label(policy.function if isinstance(policy, Allocation) else policy)


def apart_s(problem: BatchsizeProblem, batches: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return what local steps take beside their samples: start, update, and what a GPU idles [s]."""
    least = np.broadcast_to(problem.min_batchsize, len(batches))
    idle = [np.maximum(low - batch, 0).sum() for low, batch in zip(least, batches, strict=True)]
    steps = np.array([len(batch) for batch in batches])
    apart: NDArray[np.float64] = steps * (problem.base_time_s + problem.update_time_s)
    return apart + problem.seconds_per_sample * np.array(idle)


@dataclass(frozen=True)
class Tdma(Radio):
    r"""TDMA with mean rates, in the slots of the plan; every update arrives, unless told otherwise.

    The server waits for the slowest device before it averages, but no longer than the deadline D, and again after
    the download:

    .. math::
        T = \min\Bigl(\max_k \Bigl(a_k t_k + \frac{s^U}{R_k^U \phi_k}\Bigr), D\Bigr)
          + \max_k \left(\frac{s^D}{R_k^D \psi_k} + c_k\right),

    with the shares :math:`\phi_k, \psi_k` of the frames, compute time :math:`t_k` and update time :math:`c_k`. A
    device radiates its power :math:`P_k` only in its own slots, for :math:`s^U / R_k^U` in total, and spends
    :math:`\kappa_k f_k^2` per cycle. The base station's energy is not counted.

    Parameters
    ----------
    deadline_s : float, default inf
        :math:`D > 0` [s]: who needs longer to compute and to upload is late, and what it sent is lost.
    slowdown : float, default 0
        Mean :math:`\sigma >= 0` of what stragglers add to their compute time: :math:`a_k = 1 + \sigma E_k` with
        :math:`E_k` exponential of mean 1, anew in each round. The slots are planned for :math:`a_k = 1`.
    loss_probability : float, default 0
        Probability in [0, 1) that an update is lost on the way, independently of all else.

    Raises
    ------
    OptionError
        If a number is outside its range.

    Notes
    -----
    A late device computes to the end, for which the next round does not wait, and radiates until the deadline. A slower
    one spends the same energy to compute, as it takes the same cycles. All devices receive the download.

    The scenario's ``payload_bits`` is what weights and gradients cost, unless ``bits_per_parameter`` is given; other
    numbers cost 32 bits each.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    latencies (9)-(15), (27)-(29). The paper counts no energy and knows neither stragglers nor losses.
    K. Lee et al., "Speeding Up Distributed Machine Learning Using Codes", for shifted exponential compute times.

    Examples
    --------
    >>> Tdma(deadline_s=250.0, loss_probability=0.05).settings()["slowdown"]
    0.0
    """

    deadline_s: float = math.inf
    slowdown: float = 0.0
    loss_probability: float = 0.0

    table: ClassVar[str] = "feel"

    def __post_init__(self) -> None:
        if self.deadline_s != math.inf:
            real("deadline_s", self.deadline_s)
        real("slowdown", self.slowdown, zero=True)
        real("loss_probability", self.loss_probability, high=1.0, zero=True)

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Plan batch sizes and slots, or slots alone where the work is given; see :meth:`Radio.planner`."""
        if not (wire.numbers[0] and wire.numbers[1]):
            raise OptionError(
                "radio tdma: its slots are for bits both ways, and this scheme sends none: take silent"
            )
        if isinstance(policy, Allocation):
            policy = replace(policy, held=work.held)
        if work.steps is None:
            planner = BatchPlanner(policy, work.held, wire, bits_per_parameter)
            draws = callable(policy) or planner.policy is random
            return planner if draws else steady(planner)
        if isinstance(policy, Allocation):
            return WorkPlanner(work.steps, wire, bits_per_parameter, policy)
        if policy != "optimal":
            raise OptionError(
                f"policy {policy!r}: the batches of this scheme are set by batchsize, epochs and iterations, and "
                "their slots are optimal: choose policy optimal, or give slots of your own by allocator"
            )
        return steady(WorkPlanner(work.steps, wire, bits_per_parameter))

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Send an update from every device, and the average back; see :meth:`Radio.transmit`.

        Another payload than planned for takes longer or shorter in the same slots. The same number of random numbers
        is drawn whatever the settings, so that paired runs stay paired.
        """
        solution, devices = plan.solution, plan.devices
        update = solution.problem.update_time_s
        drawn = rng.random((2, *solution.compute_time_s.shape))
        compute = solution.compute_time_s * (1.0 - self.slowdown * np.log1p(-drawn[0]))
        upload = payload.uplink_bits / plan.payload.uplink_bits * solution.upload_time_s
        download = payload.downlink_bits / plan.payload.downlink_bits * solution.download_time_s
        ready = compute + upload
        on_air = np.clip((self.deadline_s - compute) / upload, 0.0, 1.0)
        return Sent(
            arrived=(ready <= self.deadline_s) & (drawn[1] >= self.loss_probability),
            received=np.full(ready.shape, payload.downlink_bits > 0),
            seconds=float(min(ready.max(), self.deadline_s) + (download + update).max()),
            uplink_bits=payload.uplink_bits,
            downlink_bits=payload.downlink_bits,
            compute_time_s=compute,
            upload_time_s=upload * on_air,
            download_time_s=download,
            update_time_s=update,
            compute_energy_j=compute_energy(devices, solution.compute_time_s + update),
            upload_energy_j=devices.transmit_power_w * payload.uplink_bits / devices.uplink_rate_bps * on_air,
        )

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Broadcast at the rate of the weakest device; see :meth:`Radio.deliver`."""
        rates = np.asarray(devices.downlink_rate_bps)
        return Delivery(np.ones(rates.shape, np.bool_), bits / float(rates.min()))

    def timed(self, scenario: Scenario, times: Times, work: Work) -> Scenario:
        """Put the measured training function into ``[feel]``; see :meth:`Radio.timed`."""
        given = table_of(scenario, "feel")
        dropped = {f"feel.{name}": None for name in ("cycles_per_sample", "update_cycles") if name in given}
        measured = {f"feel.{name}": value for name, value in times.to_dict().items()}
        return scenario.replace({"feel.compute": "gpu", **dropped, **measured})


def pose(
    devices: Devices, wire: Wire, bits_per_parameter: float | None, **overrides: ArrayLike
) -> tuple[BatchsizeProblem, Prices, Payload]:
    """Pose the problem of a round for what is sent.

    Parameters
    ----------
    devices : Devices
        With a ``[feel]`` table in their scenario.
    wire : Wire
        Numbers up from each device and down to it.
    bits_per_parameter : float or None
        Size of a number [bit]; None for the scenario's ``payload_bits`` of weights and gradients.
    **overrides
        Other values for settings of the scenario.

    Returns
    -------
    problem : BatchsizeProblem
        Whose payload is what goes up.
    prices : Prices
        Bits of what is sent.
    payload : Payload
        What it is for.

    Raises
    ------
    ProblemError
        If nothing goes one way, for which there are no slots.

    Notes
    -----
    The problem has one payload s for both ways. A download of other size takes as long as one of size s at a rate
    that is different in the same proportion.
    """
    posed = cast(BatchsizeProblem, devices.problem("feel", **overrides))
    scenario_bits = float(posed.payload_bits)
    prices = Prices(whole=dict.fromkeys(MODEL, scenario_bits))
    if bits_per_parameter is not None:
        prices = Prices(other=bits_per_parameter)
    payload = prices.payload(wire)
    up, down = payload.uplink_bits, payload.downlink_bits
    if not (up > 0 and down > 0):
        raise ProblemError(f"payload: slots are for bits both ways, got {up:g} up and {down:g} down")
    changes: dict[str, ArrayLike] = {} if up == scenario_bits else {"payload_bits": up}
    if up != down:
        changes["downlink_rate_bps"] = posed.downlink_rate_bps * (up / down)
    return cast(BatchsizeProblem, posed.replace(**changes)) if changes else posed, prices, payload


def fixed(problem: BatchsizeProblem, batchsize: NDArray[np.float64]) -> BatchsizeProblem:
    """Return the problem of the slots alone, for given batch sizes.

    Parameters
    ----------
    problem : BatchsizeProblem
        With limits on the batch sizes.
    batchsize : ndarray, shape (K,)
        Samples per device >= 1.

    Returns
    -------
    BatchsizeProblem
        Whose only feasible batch sizes are the given ones.

    Notes
    -----
    The lower limit of a GPU is its threshold batch, below which the time stays that of the threshold: a
    smaller batch is allowed here and takes as long.
    """
    idle = np.maximum(problem.min_batchsize - batchsize, 0.0)
    return cast(
        BatchsizeProblem,
        problem.replace(
            min_batchsize=batchsize,
            max_batchsize=batchsize,
            base_time_s=problem.base_time_s + problem.seconds_per_sample * idle,
            total_batchsize=np.inf,
        ),
    )
