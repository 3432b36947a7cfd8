"""Allocators: from this round's channel to the resources of the round, by policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.catalog import POLICIES
from learning.options import choose, label
from learning.radio.base import Payload, Plan
from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten
from radioopt.feel import BatchsizeProblem, BatchsizeSolution
from radioopt.scenario import Devices

Policy = Callable[[BatchsizeProblem, np.random.Generator], NDArray[np.float64]]


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


@dataclass(frozen=True, eq=False)
class LocalPlan(Plan):
    """Training without any transmission.

    Parameters
    ----------
    compute_time_s : ndarray, shape (K,)
        Time of each device to train in this round [s].
    """

    compute_time_s: NDArray[np.float64]


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


class BatchsizeAllocator:
    """FEEL: batch sizes by a policy, and for these batch sizes the optimal slots.

    Every policy gets the slots that minimise the latency of a round with its own batch sizes, so that
    policies differ in their batch sizes alone. A total batch that the scenario fixes binds "optimal" only; a
    deadline of the scenario binds all.

    Parameters
    ----------
    policy : str or callable
        "optimal" (whole samples, proven), "online" (one sample), "full" (the largest batch), "random" (uniform
        from 1 to the largest, anew in each round) or "entire" (all that the device holds, in pieces if it is more
        than the largest batch); or a function ``(problem, rng) -> batch sizes (K,)`` of whole numbers.
    samples : array_like of int, shape (K,)
        Samples that each device holds; no batch exceeds them.
    payload : Payload, optional
        Size of what goes up and of what comes down; by default both are the scenario's ``payload_bits``.

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
    >>> plan = BatchsizeAllocator("online", [120] * 12)(devices, np.random.default_rng(0))
    >>> int(plan.batchsize.sum()), plan.solution.status.name
    (12, 'OPTIMAL')
    """

    def __init__(
        self, policy: str | Policy, samples: NDArray[np.int64] | list[int], payload: Payload | None = None
    ) -> None:
        self.policy = policy if callable(policy) else choose("policy", policy, POLICIES, "a function")
        self.samples = np.asarray(samples)
        self.payload = payload

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
        Plan
            Integer batch sizes and their certified optimal slots.

        Raises
        ------
        ProblemError
            If the scenario has no such table, or a policy of one's own returns something else than whole
            numbers from 1 to the largest batch.
        SolveError
            If no slots let these batches meet a deadline of the scenario.
        """
        largest = self.samples
        if self.policy is not entire:
            largest = np.minimum(pose(devices, self.payload)[0].max_batchsize, largest)
        problem, payload = pose(devices, self.payload, max_batchsize=largest)
        batchsize = np.asarray(self.policy(problem, rng))
        whole = batchsize.shape == problem.max_batchsize.shape and (batchsize == np.rint(batchsize)).all()
        if not (whole and (batchsize >= 1).all() and (batchsize <= problem.max_batchsize).all()):
            raise ProblemError(
                f"policy {label(self.policy)}: expected {problem.max_batchsize.size} whole numbers from 1 to "
                f"{problem.max_batchsize.min():g} ... {problem.max_batchsize.max():g}, got {shorten(batchsize)}"
            )
        return TdmaPlan(devices, batchsize.astype(np.int64), payload, fixed(problem, batchsize).solve())


class WorkAllocator:
    """Optimal slots for local training whose batches are given, as that of FedAvg.

    Parameters
    ----------
    batches : sequence of K arrays of int
        Batch sizes of the local steps that each device takes in a round.
    payload : Payload, optional
        Size of what goes up and of what comes down; by default both are the scenario's ``payload_bits``. Without
        any bits there are no slots either.

    Notes
    -----
    A step takes the time of its batch, below the threshold of a GPU that of the threshold, and the time of an
    update; all steps come before the upload, and what is downloaded replaces the weights without further work.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("feel-cpu").draw(seed=1)
    >>> allocator = WorkAllocator([np.array([10, 10, 4])] * 12)
    >>> plan = allocator(devices, np.random.default_rng(0))
    >>> int(plan.batchsize.sum()), plan.solution.status.name
    (288, 'OPTIMAL')
    """

    def __init__(self, batches: Sequence[NDArray[np.int64]], payload: Payload | None = None) -> None:
        self.batches = batches
        self.payload = payload

    def __call__(self, devices: Devices, rng: np.random.Generator) -> TdmaPlan | LocalPlan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With this round's channel and a ``[feel]`` table in their scenario.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        TdmaPlan or LocalPlan
            The latter if nothing is sent.

        Raises
        ------
        ProblemError
            If the scenario has no such table.
        SolveError
            If no slots let this work meet a deadline of the scenario.
        """
        silent = self.payload == (0.0, 0.0)
        posed, payload = pose(devices, None if silent else self.payload)
        work = np.array([batch.sum() for batch in self.batches])
        least = np.broadcast_to(posed.min_batchsize, work.shape)
        idle = [np.maximum(low - batch, 0).sum() for low, batch in zip(least, self.batches, strict=True)]
        steps = np.array([len(batch) for batch in self.batches])
        apart = steps * (posed.base_time_s + posed.update_time_s) + posed.seconds_per_sample * np.array(idle)
        if silent:
            return LocalPlan(devices, work, Payload(0.0, 0.0), apart + posed.seconds_per_sample * work)
        problem = cast(
            BatchsizeProblem,
            posed.replace(
                min_batchsize=work,
                max_batchsize=work,
                base_time_s=apart,
                update_time_s=np.zeros(work.shape),
                total_batchsize=np.inf,
            ),
        )
        return TdmaPlan(devices, work, payload, problem.solve())


def pose(
    devices: Devices, payload: Payload | None, **overrides: ArrayLike
) -> tuple[BatchsizeProblem, Payload]:
    """Pose the problem of a round for a payload.

    Parameters
    ----------
    devices : Devices
        With a ``[feel]`` table in their scenario.
    payload : Payload or None
        What is sent; None for the scenario's ``payload_bits`` both ways.
    **overrides
        Other values for settings of the scenario.

    Returns
    -------
    problem : BatchsizeProblem
        Whose payload is what goes up.
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
    if payload is None:
        posed = cast(BatchsizeProblem, devices.problem("feel", **overrides))
        return posed, Payload(float(posed.payload_bits), float(posed.payload_bits))
    up, down = payload
    if not (up > 0 and down > 0):
        raise ProblemError(f"payload: slots are for bits both ways, got {up:g} up and {down:g} down")
    posed = cast(BatchsizeProblem, devices.problem("feel", payload_bits=up, **overrides))
    if up != down:
        posed = cast(BatchsizeProblem, posed.replace(downlink_rate_bps=posed.downlink_rate_bps * (up / down)))
    return posed, payload


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
